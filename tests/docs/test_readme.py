"""The README, executed: every command that it shows, and every example."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fintech_kernel.domain.journal import Entry
from fintech_kernel.host import PluginHost

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SERVE = 'pip install "nox[uv]" && nox -s serve'
DEMO = "nox -s demo"
TEST = 'pip install "nox[uv]" && nox'
READY_SECONDS = 240
COMMAND_SECONDS = 300


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [block.strip() for block in found]


def shell_environment(folder: Path) -> dict[str, str]:
    """A clean virtual environment in front of PATH, and nothing of ours or of the caller's tools."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=COMMAND_SECONDS)
    left_out = ("APP_", "DB_", "JWT_", "PYTHON", "VIRTUAL_ENV", "NOX", "UV_PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {
        **kept,
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(venv),
    }


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of this tree would hold."""
    folder = tmp_path_factory.mktemp("readme")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        source, target = ROOT / name, folder / "fintech" / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return folder / "fintech"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return shell_environment(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(clone: Path, environment: dict[str, str], free_port: int) -> Iterator[str]:
    """The first command of the README, running; the port is the machine's choice, not 8000."""
    process = subprocess.Popen(
        ["bash", "-c", f"{SERVE} -- --port {free_port}"],
        cwd=clone,
        env=environment,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{free_port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) is not None


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    give_up_at = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up_at:
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(f"{url}/health/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError("the server was not ready in time")


def test_these_tests_know_every_command_of_the_readme() -> None:
    assert [block.splitlines()[0][:40] for block in blocks("sh")] == [
        SERVE[:40],
        DEMO,
        TEST,
        "uv pip install -c constraints.txt ./pack",
    ]


@pytest.mark.timeout(600)
def test_the_server_starts_as_the_readme_says_and_the_demo_ends_as_it_shows(
    served: str, clone: Path, environment: dict[str, str]
) -> None:
    assert httpx.get(f"{served}/docs", timeout=10).status_code == 200
    demo = subprocess.run(
        ["bash", "-c", f"{DEMO} -- --url {served}"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    (shown,) = blocks("text")
    assert shown in demo.stdout


def test_continuous_integration_runs_the_command_that_contributors_are_told() -> None:
    assert TEST in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_merchants_alone_install_and_start_as_the_readme_says(clone: Path, tmp_path: Path) -> None:
    environment = shell_environment(tmp_path)
    (block,) = (one for one in blocks("sh") if one.startswith("uv pip install"))
    done = subprocess.run(
        ["bash", "-ec", f"pip install --quiet uv\n{block}"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "merchants" in done.stdout
    assert "payments" not in done.stdout
    imported = subprocess.run(
        ["python", "-c", "import fintech_payments"],
        env=environment,
        check=False,
        capture_output=True,
    )
    assert imported.returncode != 0


async def run_handler(handler: Any, entry: Entry) -> None:
    await handler.handle(entry)


@pytest.mark.anyio
async def test_the_plugin_of_the_readme_loads_and_hears_of_a_capture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (source,) = blocks("python")
    module = types.ModuleType("loyalty")
    exec(compile(source, "README.md", "exec"), module.__dict__)  # noqa: S102 - the README's own code is what is tested
    host = PluginHost.of([module])
    (handler,) = host.event_handlers(None)  # pyright: ignore[reportArgumentType] - the example needs no context
    entry = Entry(
        entry_id="mer_1/pay_1:3",
        step_key="op_1:authorize:2",
        stream_id="mer_1/pay_1",
        seq=3,
        type="payment.captured",
        data={"amount": {"amount": 100, "currency": "KES"}},
        actor={},
        request_id="",
        occurred_at=1,
        previous_hash="",
        hash="",
    )
    await run_handler(handler, entry)
    assert "mer_1 pay_1" in capsys.readouterr().out


def documents() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listing.stdout.splitlines()]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [
        target
        for target in targets
        if "://" not in target
        and not target.startswith("mailto:")
        and not (document.parent / target).exists()
    ]
    assert missing == []
