"""An empty environment, the wheels to put into it, and servers that run from it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules of this folder import one another by name

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV", "uv")
COMMAND_SECONDS = 300
STOP_SECONDS = 30
LISTENING = "listening on "

SETTINGS = {
    "APP_ENV": "test",
    "APP_SECRET": "7c1e9a4f5d3b8062e1c5a7d9b3f108264c1e9a7d3b8f4062",
    "JWT_SECRET": "2b8f4062a1c5e7d9b3f1082645d1e9a7c3b8f40629a7c3b8",
    "APP_REQUEST_TIMEOUT_SECONDS": "1.5",
    "OPERATION_LEASE_SECONDS": "1.8",
    "PAYMENTS_ANSWER_SECONDS": "1",
}
"""Leases end soon, so that what a killed server left behind is looked at soon."""


def pytest_addoption(parser):
    parser.addoption("--wheel", action="append", default=[], help="a wheel of ours, by path")


@dataclass
class Environment:
    """A virtual environment of its own, with nothing in it until something is installed."""

    folder: Path
    wheels: dict[str, Path]
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def create(self) -> None:
        self._run([UV, "venv", "--quiet", "--python", sys.executable, str(self.folder / "venv")])
        ours = [f"{name} @ {wheel.as_uri()}" for name, wheel in self.wheels.items()]
        (self.folder / "ours.txt").write_text("\n".join(ours))

    def install(self, *names: str) -> None:
        """Install packages of ours with what they declare: ours from wheels, the rest as pinned."""
        pins = [
            f"--constraints={file}" for file in (ROOT / "constraints.txt", self.folder / "ours.txt")
        ]
        targets = [str(self.wheels[name]) for name in names]
        self._run([UV, "pip", "install", "--quiet", *self._python(), *pins, *targets])

    def uninstall(self, name: str) -> None:
        self._run([UV, "pip", "uninstall", "--quiet", *self._python(), name])

    def installed(self) -> set[str]:
        """Return the names of our packages that are installed."""
        listing = self._run([UV, "pip", "list", "--format=freeze", *self._python()]).stdout
        names = {line.partition("==")[0].partition(" @ ")[0] for line in listing.splitlines()}
        return names & self.wheels.keys()

    def fintech(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        return self._run([self._program("fintech"), *arguments], **settings)

    def start(self, program: str, *arguments: str, log: str, **settings: str) -> "Process":
        """Start a service and wait until it says where it listens."""
        path = self.folder / log
        with path.open("a") as sink:
            process = subprocess.Popen(
                [self._program(program), *arguments],
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                env=self._environment(**settings),
                cwd=self.folder,
            )
        self.started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith(LISTENING), f"{program} did not start: {path.read_text()}"
        return Process(process=process, url=line.removeprefix(LISTENING), log=path)

    def clean_up(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _python(self) -> tuple[str, str]:
        return "--python", self._program("python")

    def _program(self, name: str) -> str:
        return str(self.folder / "venv" / "bin" / name)

    def _environment(self, **settings: str) -> dict[str, str]:
        unwanted = ("APP_", "DB_", "JWT_", "PYTHON", "VIRTUAL_ENV", "PAYMENTS_", "UV_PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        return {**kept, **settings}

    def _run(self, command: list[str], **settings: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment(**settings),
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done


@dataclass
class Process:
    """A running service."""

    process: "subprocess.Popen[str]"
    url: str
    log: Path

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(STOP_SECONDS) == 0, self.log.read_text()

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)


@dataclass
class Database:
    """The database service, asked directly: what is stored whatever server runs."""

    client: httpx.Client

    def rows(self, sql: str) -> list[dict[str, Any]]:
        reply = self.client.post("/execute", json={"sql": sql}).json()
        assert reply["success"], reply
        return reply["data"]


@pytest.fixture(scope="session")
def wheels(pytestconfig) -> dict[str, Path]:
    """Wheels of ours by distribution name."""
    paths = [Path(one) for one in pytestconfig.getoption("--wheel")]
    return {path.name.split("-")[0].replace("_", "-"): path for path in paths}


@pytest.fixture
def environment(tmp_path: Path, wheels: dict[str, Path]) -> Iterator[Environment]:
    if not wheels:
        pytest.skip("run by `nox -s wheels`, which builds them")
    empty = Environment(folder=tmp_path, wheels=wheels)
    empty.create()
    yield empty
    empty.clean_up()
