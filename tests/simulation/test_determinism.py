"""One seed is one schedule: the same trace, hash for hash, also in another process."""

import subprocess
import sys

import pytest


def hashes(simulation, seeds) -> list[str]:
    return [simulation.run_random(seed, traced=True).digest for seed in seeds]


def test_a_seed_gives_the_same_trace_again(simulation):
    assert hashes(simulation, range(100)) == hashes(simulation, range(100))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_thousand_seeds_give_the_same_traces_again(simulation):
    assert hashes(simulation, range(1_000)) == hashes(simulation, range(1_000))


def test_a_seed_gives_the_same_trace_in_another_process(simulation):
    command = [sys.executable, "-m", "fintech_kernel.simulation.cli", "--seed", "5"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"trace {hashes(simulation, [5])[0]}" in said
    assert said[-1].startswith("schedules=1 faults=")
    assert said[-1].endswith("violations=0")


def test_seeds_differ(simulation):
    assert len(set(hashes(simulation, range(20)))) == 20
