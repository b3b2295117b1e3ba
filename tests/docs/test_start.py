"""The five minutes of docs/start.md, on a server: each command as it stands, and what it says comes of it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "start.md").read_text(encoding="utf-8")
PROGRAM = ".nox/serve/bin/fintech"
INSTALLED = Path(sys.executable).parent / "fintech"


@dataclass(frozen=True)
class Server:
    folder: Path
    url: str
    merchant_id: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("start")
    process = subprocess.Popen(
        [INSTALLED, "dev", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told: list[str] = []
    for line in process.stdout:
        told.append(line)
        if line.startswith("Ctrl-C"):
            break
    else:
        raise AssertionError("the server ended: " + "".join(told))
    try:
        (url,) = re.findall(r"^API +(\S+)$", "".join(told), re.MULTILINE)
        (merchant_id,) = re.findall(r"Merchant (mer_\w+):", "".join(told))
        yield Server(folder, url, merchant_id)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def answers(server: Server) -> list[str]:
    """What each block of commands prints, run in one shell as a reader does."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    script = "\necho ----\n".join(blocks)
    for shown, here in {
        "http://127.0.0.1:8000/v1": server.url,
        "mer_...": server.merchant_id,
        PROGRAM: str(INSTALLED),
    }.items():
        assert shown in script
        script = script.replace(shown, here)
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("----\n")


def test_each_command_answers_as_the_page_says(answers: list[str]) -> None:
    _, taken, repeated, reused, refunded, refused, timeline = answers
    assert '"status":"captured"' in taken
    assert "idempotent-replayed: true" in repeated
    assert taken.strip() in repeated
    assert '"code":"idempotency_key_reused"' in reused
    assert '"status":"succeeded"' in refunded
    assert '"facts":{"amount_refundable":7000' in refused
    for event in ("created", "authorized", "captured", "refund_requested", "refund_succeeded"):
        assert f'"type":"payment.{event}"' in timeline
    assert '"type":"operation.refused"' in timeline


def test_the_server_is_started_as_the_readme_starts_it() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```text\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
    assert f"```sh\n{command}\n```" in readme
