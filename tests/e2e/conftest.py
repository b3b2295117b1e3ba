"""Servers as processes: started, killed and started again on one database; always cleaned up."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fintech_kernel.testing.database import database_service
from fintech_kernel.testing.leaks import leaks

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
LISTENING = "listening on "

SETTINGS = {
    "APP_ENV": "test",
    "APP_SECRET": "7c1e9a4f5d3b8062e1c5a7d9b3f108264c1e9a7d3b8f4062",
    "JWT_SECRET": "2b8f4062a1c5e7d9b3f1082645d1e9a7c3b8f40629a7c3b8",
    "APP_REQUEST_TIMEOUT_SECONDS": "1.5",
    "OPERATION_LEASE_SECONDS": "1.8",
    "PAYMENTS_ANSWER_SECONDS": "1",
}
"""Leases end soon, so that an operation whose server was killed is taken over soon."""

UNWANTED = (
    "APP_", "DB_", "JWT_", "OPERATION_", "PAYMENTS_", "SETTLEMENTS_", "WEBHOOKS_", "FINTECH_",
)  # fmt: skip
"""Prefixes of variables that a person's shell must not bring into tests."""


def clean_environment(config: pytest.Config, **given: str) -> dict[str, str]:
    """Return what a server's process gets; compiled code is kept, since servers start many times."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    assert config.cache is not None
    kept.setdefault("PYTHONPYCACHEPREFIX", str(config.cache.mkdir("fintech-code")))
    return {**kept, **given}


@pytest.fixture(scope="session")
def environment(pytestconfig: pytest.Config) -> dict[str, str]:
    """What a command's process gets, but for its database."""
    return clean_environment(pytestconfig, **SETTINGS)


@dataclass(slots=True, kw_only=True)
class Running:
    """A process of the command ``fintech`` that said where it listens."""

    process: "subprocess.Popen[str]"
    url: str
    lines: "queue.SimpleQueue[str]"
    errors: Path

    def line_with(self, text: str) -> str:
        """Return the next line of its output that holds a text."""
        while text not in (line := self.lines.get(timeout=START_SECONDS_MAX)):
            if not line:
                pytest.fail(f"it ended without saying {text!r}: {self.errors.read_text()}")
        return line

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS_MAX)


@dataclass(slots=True, kw_only=True)
class Fintech:
    """Starts ``fintech`` commands in a folder of their own."""

    folder: Path
    environment: dict[str, str]
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def start(self, *arguments: str) -> Running:
        """Start a server and wait until it listens."""
        errors = self.folder / f"stderr-{len(self.started)}.txt"
        with errors.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "fintech_server", *arguments],
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )
        self.started.append(process)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_drain, args=(process, lines), daemon=True).start()
        first = lines.get(timeout=START_SECONDS_MAX).strip()
        if not first.startswith(LISTENING):
            pytest.fail(f"it did not start: {first} {errors.read_text()}")
        url = first.removeprefix(LISTENING)
        return Running(process=process, url=url, lines=lines, errors=errors)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "fintech_server", *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=START_SECONDS_MAX,
            check=False,
        )

    def clean_up(self) -> None:
        """End whatever still runs, and search what all of them logged for what must not be there."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS_MAX)
            if process.poll() is None:
                process.kill()
                process.wait()
        logged = [file.read_text() for file in sorted(self.folder.glob("stderr-*.txt"))]
        assert [leak for text in logged for leak in leaks(text)] == []


def _drain(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str]") -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put("")


@pytest.fixture
def fintech(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Fintech]:
    """The command, in a folder that is empty."""
    command = Fintech(folder=tmp_path, environment=clean_environment(pytestconfig))
    yield command
    command.clean_up()


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Any]:
    """The command, with one ``fintech dev`` of the module's own, and that server."""
    folder = tmp_path_factory.mktemp("visited")
    command = Fintech(folder=folder, environment=clean_environment(pytestconfig))
    try:
        yield command, command.start("dev", "--port", "0", "--data-folder", "data")
    finally:
        command.clean_up()


@dataclass(slots=True, kw_only=True)
class Restartable:
    """One server on one port and one database, that can be killed and started again."""

    command: Fintech
    database: httpx.Client
    running: Running

    @property
    def url(self) -> str:
        return self.running.url

    def kill(self) -> None:
        self.running.kill()

    def start_again(self) -> None:
        self.running = self.command.start("serve", "--port", self.url.rpartition(":")[2])

    def running_operations(self) -> list[str]:
        """Return the kinds of operations that were claimed and are not finished."""
        rows = self._rows("SELECT kind FROM operations WHERE state = ?", "running")
        return [row["kind"] for row in rows]

    def books_of_processor(self, payment_id: str) -> list[str]:
        """Return the effects in the sandbox's own books, sorted."""
        query = "SELECT effect FROM payments_sandbox_calls WHERE payment_id = ?"
        return sorted(row["effect"] for row in self._rows(query, payment_id))

    def _rows(self, query: str, parameter: str) -> list[dict[str, Any]]:
        body = {"sql": query, "params": [parameter]}
        return self.database.post("/execute", json=body).raise_for_status().json()["data"]


@pytest.fixture(scope="module")
def restartable(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Restartable]:
    """A production-like server of the module's own, on a database service that is never killed."""
    folder = tmp_path_factory.mktemp("sigkill")
    with database_service(f"sqlite:///{folder / 'books.db'}") as database_url:
        environment = clean_environment(pytestconfig, **SETTINGS, DB_BASE_URL=database_url)
        command = Fintech(folder=folder, environment=environment)
        try:
            with httpx.Client(base_url=database_url, timeout=10) as database:
                running = command.start("serve", "--port", "0")
                yield Restartable(command=command, database=database, running=running)
        finally:
            command.clean_up()
