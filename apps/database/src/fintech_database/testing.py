"""Real servers for tests: a PostgreSQL of one's own and the service as a process.

The service itself never imports this module; tests of every package may.

What does not live here: fixtures. They are a few lines around these context managers.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from fintech_database.engines.postgresql_driver import connect_postgresql

START_SECONDS = 30.0
"""How long a server may take to be ready."""


class PostgresqlMissing(Exception):
    """No ``TEST_POSTGRES_URL`` is set and no PostgreSQL binaries are installed."""


class ServiceFailed(Exception):
    """The service ended instead of listening; the message is what it wrote to stderr."""


@contextmanager
def start_postgresql(*, durable: bool = False) -> Generator[str]:
    """The URL of a PostgreSQL server to do anything with: ``TEST_POSTGRES_URL``, or a new one.

    A new server lives in a temporary folder, listens on a free loopback port, has the C locale and
    is gone afterwards. It works as root too, which PostgreSQL itself refuses to be.

    Args:
        durable: sync commits to disk. Measurements need it, tests of behaviour do not.

    Raises:
        PostgresqlMissing: there is neither a URL nor a PostgreSQL to start.
    """
    url = os.environ.get("TEST_POSTGRES_URL")
    if url:
        yield url
        return
    binaries = _postgresql_binaries()
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="fintech-postgresql-"))
    try:
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield from _postgresql(binaries, folder, user, durable=durable)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgresql(binaries: Path, folder: Path, user: str | None, *, durable: bool) -> Generator[str]:
    data = folder / "data"
    # The account's own groups, not root's.
    identity: Mapping[str, Any] = (
        {} if user is None else {"user": user, "group": user_group(user), "extra_groups": []}
    )
    port = free_port()
    switch = "on" if durable else "off"
    initialise = [
        *(
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "fintech",
            "-A",
            "trust",
            "--locale=C",
            "-E",
            "UTF8",
        ),
        "--no-sync",
    ]
    subprocess.run(initialise, check=True, capture_output=True, cwd=folder, **identity)  # noqa: S603
    settings = [
        f"port={port}",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        f"fsync={switch}",
        f"full_page_writes={switch}",
        "max_connections=200",
    ]
    arguments = [item for setting in settings for item in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - the system's own PostgreSQL
            [binaries / "postgres", "-D", data, *arguments],
            stdout=log,
            stderr=log,
            cwd=folder,
            **identity,
        )
    try:
        _wait_until_ready(binaries, port, server, folder / "log")
        yield f"postgresql://fintech@127.0.0.1:{port}/postgres"
    finally:
        # A fast shutdown: sessions are ended, files are left in order.
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(
    binaries: Path, port: int, server: "subprocess.Popen[Any]", log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    probe = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(probe, check=False).returncode != 0:  # noqa: S603 - as above
        if server.poll() is not None or time.monotonic() > deadline:
            raise ServiceFailed(log.read_text(errors="replace"))
        time.sleep(0.05)


def _postgresql_binaries() -> Path:
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: float(path.parent.name),
        reverse=True,
    )
    found = shutil.which("pg_config")
    if found is not None:
        answer = subprocess.run([found, "--bindir"], check=False, capture_output=True, text=True)  # noqa: S603
        candidates.append(Path(answer.stdout.strip()))
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise PostgresqlMissing(
        "install PostgreSQL's server (Debian: postgresql) or set TEST_POSTGRES_URL to a server whose"
        " user may create databases"
    )


def _unprivileged_user() -> str | None:
    """Whom to be for PostgreSQL; ``None`` is oneself."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def user_group(user: str) -> int:
    """The group id of an account."""
    return pwd.getpwnam(user).pw_gid


def create_database(server_url: str) -> str:
    """The URL of a new, empty database on a server; it compares text by bytes."""
    name = f"test_{secrets.token_hex(6)}"

    _run_on_postgresql(
        server_url,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def tidy(url: str) -> None:
    """Do at once what a database does by itself within minutes of many changes: measurements wait for it.

    Autovacuum of PostgreSQL renews the statistics that its planner relies on; SQLite needs nothing.
    """
    if url.startswith("postgresql:"):
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            _run_on_postgresql(url, statement)


def _run_on_postgresql(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await connect_postgresql(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    # In a thread of its own, since the caller may be inside an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(run())).result()


class RunningService:
    """The service as a process of its own."""

    def __init__(self, url: str, token: str | None, options: tuple[str, ...]) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "DB_API_TOKEN"}
        if token is not None:
            environment["DB_API_TOKEN"] = token
        command = [sys.executable, "-m", "fintech_database", "serve", "--url", url, *options]
        if "--port" not in options:
            command += ["--port", "0"]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in ``wait``
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdout=subprocess.PIPE, stderr=self._errors, env=environment, text=True
        )
        self.base_url = self._first_line()

    def _first_line(self) -> str:
        output = self.process.stdout
        if output is None:
            raise ServiceFailed("it has no stdout")
        lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_SECONDS)
        except Empty:
            line = ""
        greeting, _, base_url = line.strip().rpartition(" ")
        if greeting != "listening on":
            self.process.kill()
            self.process.wait()
            log = self.log()
            self._close()
            raise ServiceFailed(log)
        return base_url

    def log(self) -> str:
        """What it wrote to stderr so far."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> int:
        """End it in order; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._close()
        return code

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()


@contextmanager
def start_service(url: str, token: str | None = None, *options: str) -> Generator[str]:
    """The base URL of the service on a database, as a process of its own.

    Args:
        url: of the database, as for ``fintech-database serve``.
        token: bearer token it asks for.
        options: further options of ``serve``.

    Raises:
        ServiceFailed: it did not start.
    """
    service = RunningService(url, token, options)
    try:
        yield service.base_url
    finally:
        service.stop()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
