"""The programs of this folder, a few kills and rounds long; ``nox -s chaos`` runs them whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def last_line_of(program: str, *options: str) -> str:
    """Run a program of this folder; return its last line, or fail with everything that it said."""
    command = [sys.executable, str(FOLDER / program), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"{done.stdout}\n{done.stderr}")
    return done.stdout.splitlines()[-1]


def numbers_of(line: str) -> dict[str, int]:
    """Return the numbers that a last line names."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_no_acknowledged_payment_is_lost_while_servers_and_database_are_killed(engine: str):
    line = last_line_of(
        "chaos.py", "--engine", engine, "--kills", "9", "--restarts", "3", "--seconds-max", "180"
    )

    found = numbers_of(line)
    assert found["kills"] >= 9
    assert found["restarts"] >= 3
    assert found["acknowledged"] > 0
    assert (found["lost"], found["violations"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_64_clients_take_no_more_than_there_is_and_the_naive_guard_does():
    found = numbers_of(last_line_of("races.py", "--clients", "64", "--rounds", "6"))

    assert found["violations"] == 0
    assert found["naive_violations"] > 0
