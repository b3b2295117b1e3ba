"""The worlds of these tests: a real service on SQLite and on PostgreSQL, and a faulty one."""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fintech_dbclient import Backoff, HttpDatabase

SERVE = [str(Path(sys.executable).with_name("fintech-database")), "serve"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# ---- the reference service, as a process ----


def serving(url: str, *, port: int = 0, token: str | None = None):
    """The reference service on an engine, as a process: its base URL and the process."""
    return listening([*SERVE, "--url", url, "--port", str(port)], token=token)


@contextlib.contextmanager
def listening(command: list[str], *, token: str | None = None) -> Iterator[tuple[str, Any]]:
    environment = {**os.environ, **({"DB_API_TOKEN": token} if token else {})}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
        try:
            line = process.stdout.readline().decode()
            if not line.startswith("listening on "):
                errors.seek(0)
                raise RuntimeError(f"the service did not start: {line}{errors.read().decode()}")
            yield line.removeprefix("listening on ").strip(), process
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="session")
def serve_command() -> list[str]:
    return SERVE


@pytest.fixture(scope="session")
def start_service() -> Callable[..., contextlib.AbstractContextManager[tuple[str, Any]]]:
    return serving


@pytest.fixture(scope="session")
def start_core_engine() -> Callable[..., contextlib.AbstractContextManager[tuple[str, Any]]]:
    """An engine with the core profile only; its tables have the prefix ``engine``."""
    script = str(Path(__file__).with_name("core_engine.py"))
    return lambda broken="": listening([sys.executable, script, "--broken", broken])


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("sqlite") / "test.db"
    with serving(f"sqlite:///{path}") as (url, _):
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        server = os.environ.get("TEST_POSTGRES_URL")
        if server is None:
            if find_postgres() is None:
                if os.environ.get("CI"):
                    pytest.fail("PostgreSQL is missing: CI must have it")
                pytest.skip("PostgreSQL is not installed")
            server = stack.enter_context(private_postgres())
        url, _ = stack.enter_context(serving(server))
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request) -> str:
    return request.getfixturevalue(f"{request.param}_url")


def find_postgres() -> Path | None:
    places = [Path(found).parent for name in ["initdb"] if (found := shutil.which(name))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


@contextlib.contextmanager
def private_postgres() -> Iterator[str]:
    """A PostgreSQL cluster of our own; under another user where we are root, which it refuses."""
    binaries = find_postgres()
    user = _unprivileged() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="fintech-pg-"))
    if user is not None:
        shutil.chown(folder, user.pw_uid, user.pw_gid)
    as_user = (
        {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    )
    port = free_port()
    try:
        subprocess.run(
            [
                *(binaries / "initdb", "-D", folder / "data", "-U", "test", "-A", "trust"),
                *("-E", "UTF8", "--locale=C"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(binaries / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60"),
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
                **as_user,
            )
        try:
            _wait_for_port(port)
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("no unprivileged user for PostgreSQL")


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(0.3)  # it listens a moment before it is ready
            return
        time.sleep(0.05)
    raise RuntimeError("PostgreSQL did not start")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def unused_port() -> int:
    return free_port()


# ---- a service that does what it is told ----


@dataclass
class Heard:
    path: str
    body: bytes
    head: bytes

    @property
    def statements(self) -> list[str]:
        document = json.loads(self.body)
        if self.path.endswith("/batch"):
            return [one["sql"] for sequence in document["sequences"] for one in sequence]
        return [document["sql"]]


@dataclass
class FaultyServer:
    """Answers well unless ``script`` holds a behaviour for the next statement request."""

    script: list[Callable[..., Awaitable[None]]] = field(default_factory=list)
    health: bytes = json.dumps(
        {
            "status": "ok",
            "contract": "1",
            "engine": "faulty",
            "capabilities": ["params", "batch"],
            "max_batch": 64,
        }
    ).encode()
    heard: list[Heard] = field(default_factory=list)
    asked_health: int = 0
    connections: int = 0
    url: str = ""
    delay_seconds: float = 0.0
    is_down: bool = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing() and not self.is_down:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                body = await reader.readexactly(size)
                await self._answer(head, body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        path = head.split(b" ")[1].decode()
        if path.endswith("/health"):
            self.asked_health += 1
            self.reply(writer, self.health)
            return
        heard = Heard(path=path, body=body, head=head)
        self.heard.append(heard)
        if self.script:
            await self.script.pop(0)(self, writer, heard)
        else:
            await asyncio.sleep(self.delay_seconds)
            self.reply(writer, self.good(heard))

    def reply(self, writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK") -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    def good(self, heard: Heard) -> bytes:
        result = {"success": True, "data": [], "rows_affected": 1, "error": None}
        if heard.path.endswith("/execute"):
            return json.dumps(result).encode()
        sequences = json.loads(heard.body)["sequences"]
        return json.dumps({"results": [[result for _ in one] for one in sequences]}).encode()


@contextlib.asynccontextmanager
async def running(server: FaultyServer) -> AsyncIterator[FaultyServer]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await server.handle(reader, writer)

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


@pytest.fixture
async def faulty(anyio_backend) -> AsyncIterator[FaultyServer]:
    async with running(FaultyServer()) as server:
        yield server


@pytest.fixture
def connect() -> Callable[..., HttpDatabase]:
    """An ``HttpDatabase`` that is quick to try again and has fixed jitter."""

    def connect(url: str, attempts: int = 1_000, **options: Any) -> HttpDatabase:
        defaults: dict[str, Any] = {
            "backoff": Backoff(
                random=Random(7),
                base_seconds=0.005,
                max_seconds=0.05,
                attempts_max=attempts,
            ),
            "timeout_seconds": 3.0,
            "request_timeout_seconds": 1.0,
            "circuit_failures_max": 1000,
        }
        return HttpDatabase(url, **{**defaults, **options})

    return connect
