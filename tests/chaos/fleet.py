"""The processes: a database service (and its PostgreSQL), application servers, and who kills them.

What lives here: starting a real process, SIGKILL, SIGSTOP, and starting it again on the same port and
data. What deliberately does not: when that happens to whom (``chaos``).
"""

import asyncio
import os
import pwd
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Final

import fintech_database.testing as database_testing
from fintech_database.testing import free_port

START_SECONDS: Final = 40.0
LISTENING: Final = "listening on "
SHARED_MEMORY_SECONDS: Final = 60.0
"""How long PostgreSQL may refuse to start because children of the killed one still live."""

OURS: Final = ("APP_", "DB_", "JWT_", "OPERATION_", "PAYMENTS_", "SETTLEMENTS_", "FINTECH_", "PG")
"""Prefixes of variables that the processes must not inherit from whoever runs this."""


class NotStarted(Exception):
    """A process ended, or did not say that it listens; its log stands in the run's folder."""


class Process:
    """A process that says ``listening on URL`` on stdout; stderr goes to a file that grows."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of starts: compile once
        bytecode = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        self._environment = {**inherited, **bytecode, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it and return at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                text=True,
            )

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            NotStarted: it did not.
        """
        self.launch()
        await self.listening()

    async def listening(self) -> None:
        """Wait until it listens.

        Raises:
            NotStarted: it ended instead, or took too long.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        line = await asyncio.to_thread(_first_line, process.stdout)
        if not line.startswith(LISTENING):
            await self.kill()
            raise NotStarted(f"{self.name}: see {self.log}")

    async def kill(self) -> None:
        """SIGKILL; return when it is gone."""
        process = self._process
        if process is None:
            return
        process.kill()
        await asyncio.to_thread(process.wait)
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _first_line(output: IO[str]) -> str:
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        try:
            lines.put(output.readline())
        except ValueError:  # closed by ``kill`` meanwhile
            lines.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        return lines.get(timeout=START_SECONDS)
    except Empty:
        return ""


class DatabaseService(Process):
    """The reference database service on one engine, on one port for the whole run."""

    def __init__(self, url: str, *, folder: Path) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "fintech_database", "serve", "--log-level", "warning"]
        super().__init__(
            "database", [*command, "--url", url, "--port", str(self.port)], folder=folder
        )


class ApplicationServer(Process):
    """One ``fintech serve``."""

    def __init__(self, number: int, *, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.is_up = False
        command = [sys.executable, "-m", "fintech_server", "serve", "--port", str(self.port)]
        super().__init__(f"server-{number}", command, folder=folder, environment=settings)

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            NotStarted: it did not.
        """
        await super().start()
        self.is_up = True

    async def kill(self) -> None:
        """SIGKILL."""
        self.is_up = False
        await super().kill()


class Postgresql:
    """A PostgreSQL of our own that can be killed and started again on the same data.

    It runs with ``fsync`` and ``synchronous_commit`` on, as in production.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "postgresql"
        self._data = self._folder / "data"
        self._binaries = database_testing._postgresql_binaries()  # its search is not worth a copy
        self._port = free_port()
        self._identity: dict[str, Any] = {}
        user = database_testing._unprivileged_user()
        if user is not None:
            group = database_testing.user_group(user)
            self._identity = {"user": user, "group": group, "extra_groups": []}
            folder.chmod(0o755)
        self._folder.mkdir()
        if user is not None:
            os.chown(self._folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", self._data, "-U", "fintech", "-A", "trust", "--locale=C")

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"postgresql://fintech@127.0.0.1:{self._port}/postgres"

    def version(self) -> str:
        """What ``postgres --version`` says."""
        return self._run("postgres", "--version").strip()

    async def start(self) -> None:
        """Start it on its data; wait for the children of a killed one to be gone.

        Raises:
            NotStarted: it did not start.
        """
        give_up_at = time.monotonic() + SHARED_MEMORY_SECONDS
        while True:
            process = self._launch()
            while process.poll() is None:
                if await asyncio.to_thread(self._is_ready):
                    return
                await asyncio.sleep(0.05)
            if time.monotonic() > give_up_at:
                raise NotStarted(f"postgresql: see {self._folder / 'log'}")
            await asyncio.sleep(0.2)

    async def kill(self) -> None:
        """SIGKILL to the postmaster; its children notice that it is gone."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self._process.wait)

    def _launch(self) -> "subprocess.Popen[bytes]":
        settings = [
            f"port={self._port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=100",
        ]
        options = [part for setting in settings for part in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._identity,
            )
        return self._process

    def _is_ready(self) -> bool:
        probe = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(probe, check=False).returncode == 0

    def _run(self, program: str, *arguments: object) -> str:
        command = [self._binaries / program, *map(str, arguments)]
        done = subprocess.run(
            command, check=True, capture_output=True, cwd=self._folder, text=True, **self._identity
        )
        return done.stdout


def server_settings(database_url: str) -> dict[str, str]:
    """Return the environment of the servers: short leases, short patience, frequent resolving."""
    return {
        "APP_ENV": "test",
        "APP_SECRET": secrets.token_hex(32),
        "JWT_SECRET": secrets.token_hex(32),
        "APP_LOG_LEVEL": "WARNING",
        "APP_REQUEST_TIMEOUT_SECONDS": "2",
        "DB_BASE_URL": database_url,
        "DB_TIMEOUT_SECONDS": "2",
        "OPERATION_LEASE_SECONDS": "3",
        "OPERATION_WAIT_SECONDS": "1",
        "PAYMENTS_ANSWER_SECONDS": "0.8",
        "PAYMENTS_RESOLVE_EVERY_SECONDS": "1",
        "SETTLEMENTS_CHUNK_SIZE": "7",
    }
