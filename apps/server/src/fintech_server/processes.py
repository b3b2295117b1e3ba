"""The embedded database: a service of its own, run as a child of ``fintech dev``.

It runs in a session of its own, so that Ctrl-C reaches the server first: the server answers what it
has accepted, then the database is told to stop.
"""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from fintech_server.development import DATABASE_FILE, DataFolder
from fintech_server.failures import CommandFailed

SQLITE_COMMAND: Final = "fintech-database"
ELIXIR_COMMAND: Final = "fintech-elixir-database"
ELIXIR_VARIABLE: Final = "FINTECH_ELIXIR_DATABASE"
ELIXIR_IN_REPOSITORY: Final = Path("apps/elixir-database/bin") / ELIXIR_COMMAND
LISTENING: Final = "listening on "

START_SECONDS_MAX: Final = {SQLITE_COMMAND: 30.0, ELIXIR_COMMAND: 180.0}
"""How long a service may take until it listens; the Elixir one may compile itself first."""

STOP_SECONDS_MAX: Final = 15.0
"""How long a service may answer what it has accepted; then it is killed."""

LOOK_SECONDS: Final = 2.0
LOOK_AGAIN_SECONDS: Final = 0.05


def sqlite_command() -> str:
    """Return the reference service's command: beside our own Python, or on PATH.

    Raises:
        CommandFailed: it is not installed.
    """
    beside = Path(sys.executable).parent / SQLITE_COMMAND
    found = str(beside) if beside.exists() else shutil.which(SQLITE_COMMAND)
    if found is None:
        raise CommandFailed(
            f"the command {SQLITE_COMMAND} is missing: install the package fintech-database, or name"
            " a running service with --database http://..."
        )
    return found


def elixir_command() -> str:
    """Return the Elixir service's launcher: named by a variable, on PATH, or in this repository.

    Raises:
        CommandFailed: it is not on this machine.
    """
    named = os.environ.get(ELIXIR_VARIABLE)
    candidates = [named] if named else [ELIXIR_COMMAND, str(ELIXIR_IN_REPOSITORY.absolute())]
    found = next((path for one in candidates if (path := shutil.which(one))), None)
    if found is None:
        where = f"{ELIXIR_VARIABLE} names {named}, which" if named else f"{ELIXIR_COMMAND}, which"
        raise CommandFailed(
            f"the Elixir database service is not on this machine ({where} is no command): put it on"
            f" PATH, name its launcher in {ELIXIR_VARIABLE}, or use --database sqlite"
        )
    return found


class DatabaseProcess:
    """A database service that we started."""

    def __init__(
        self, process: "subprocess.Popen[str]", base_url: str, log: Path, log_begin: int
    ) -> None:
        self._process = process
        self._log_begin = log_begin
        self.base_url: Final = base_url
        self.log: Final = log

    @classmethod
    def start(cls, command: str, *, file: Path, token: str, log: Path) -> "DatabaseProcess":
        """Start a service on a free loopback port and wait until it listens.

        Raises:
            CommandFailed: it ended instead, or did not listen in time.
        """
        with log.open("a", encoding="utf-8") as errors:
            log_begin = errors.tell()  # what stands before it, an earlier service said
            try:
                process = subprocess.Popen(  # noqa: S603 - a command of ours, without a shell
                    [command, "serve", "--url", f"sqlite:///{file.absolute()}", "--port", "0"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env={**os.environ, "DB_API_TOKEN": token},
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandFailed(
                    f"{command} cannot be started ({error.strerror}): repair or reinstall it"
                ) from error
        try:
            line = _first_line(process, START_SECONDS_MAX[_kind(command)])
        except BaseException:
            _stop(process)
            raise
        if not line.startswith(LISTENING):
            _stop(process)
            raise CommandFailed(f"the database service did not start: {_last_line(log, log_begin)}")
        return cls(process, line.removeprefix(LISTENING), log, log_begin)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def obituary(self) -> str:
        """Say how it ended."""
        return (
            f"the database service ended by itself (exit code {self._process.poll()}), so the server"
            f" stopped; its last words: {_last_line(self.log, self._log_begin)} (log: {self.log});"
            " start again"
        )

    def stop(self) -> None:
        """Let it answer what it has accepted, and wait until it is gone."""
        _stop(self._process)


def stop_leftover(folder: DataFolder) -> None:
    """Stop the service that a killed ``fintech dev`` left behind on the folder's database.

    Only for the holder of the folder's lock: then nobody else uses that service.
    """
    left = folder.noted(DATABASE_FILE)
    folder.forget(DATABASE_FILE)
    pid, base_url = left.get("pid"), left.get("base_url")
    if type(pid) is not int or not isinstance(base_url, str) or not _answers(base_url):
        return
    os.kill(pid, signal.SIGTERM)
    give_up_at = time.monotonic() + STOP_SECONDS_MAX
    while _answers(base_url) and time.monotonic() < give_up_at:
        time.sleep(LOOK_AGAIN_SECONDS)


def _answers(base_url: str) -> bool:
    if urlsplit(base_url).hostname != "127.0.0.1":
        return False
    try:
        return httpx.get(f"{base_url}/health", timeout=LOOK_SECONDS).is_success
    except httpx.HTTPError:
        return False


def _kind(command: str) -> str:
    return SQLITE_COMMAND if Path(command).stem == SQLITE_COMMAND else ELIXIR_COMMAND


def _first_line(process: "subprocess.Popen[str]", seconds_max: float) -> str:
    """Return the first line of its output; what follows is read and dropped, so that it never blocks.

    Raises:
        CommandFailed: nothing was said in time.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None  # noqa: S101 - started with a pipe
        with process.stdout as output:
            lines.put(output.readline().strip())
            for _ in output:
                pass

    threading.Thread(target=read, name="database-output", daemon=True).start()
    try:
        return lines.get(timeout=seconds_max)
    except queue.Empty:
        raise CommandFailed(
            f"the database service did not listen within {seconds_max:.0f} s: see its log"
        ) from None


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path, begin: int) -> str:
    lines = log.read_bytes()[begin:].decode("utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
