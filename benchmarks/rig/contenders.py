"""Who is measured, and how each is started: real servers on loopback, each on a database of its own."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from fintech_database.testing import RunningService, create_database, free_port

from rig import machine
from rig.principals import Merchant, onboard, token_of

BENCHMARKS = Path(__file__).resolve().parents[1]
ELIXIR = BENCHMARKS.parent / "apps" / "elixir-database" / "bin" / "fintech-elixir-database"
START_SECONDS = 60.0
LINGER_SECONDS = 30.0

OURS = {
    "ours_sqlite": "sqlite",
    "ours_postgresql": "postgresql",
    "ours_elixir": "elixir",
    "ours_sandbox": "sqlite",
    "ours_shell": "sqlite",
}
PEERS = {
    "sqlalchemy_postgresql": ("sqlalchemy_peer", "postgresql+asyncpg"),
    "sqlalchemy_sqlite": ("sqlalchemy_peer", "sqlite+aiosqlite"),
    "asyncpg_postgresql": ("asyncpg_peer", "postgresql"),
}
SUMMARIES = {
    "ours_sqlite": "ours, all guarantees on, on SQLite",
    "ours_postgresql": "ours, all guarantees on, on PostgreSQL",
    "ours_elixir": "ours, all guarantees on, on the Elixir service",
    "ours_sandbox": "ours on SQLite with the sandbox instead of the instant processor",
    "ours_shell": "our endpoint without a database: answers from memory, no jobs",
    "sqlalchemy_postgresql": "FastAPI + SQLAlchemy async + asyncpg on PostgreSQL",
    "sqlalchemy_sqlite": "FastAPI + SQLAlchemy async + aiosqlite on SQLite",
    "asyncpg_postgresql": "FastAPI + bare asyncpg, one CTE, on PostgreSQL",
}


class NotHere(Exception):
    """This machine cannot run the contender; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Books:
    """What a contender's database says: payments, and what makes them right."""

    payments: int
    checks: Mapping[str, int]
    """Each must equal ``payments``."""

    def faults(self, accepted: int) -> list[str]:
        """Return what is in the books and was not accepted, or the other way round."""
        found = {"payments": self.payments, **self.checks}
        return [
            f"{name}: {n} for {accepted} accepted" for name, n in found.items() if n != accepted
        ]


@dataclass(slots=True)
class Running:
    """A contender that runs."""

    name: str
    ports: list[int]
    tokens: list[str]
    layers: dict[str, list[int]]
    books: Callable[[], Books]
    service: int = 0
    """The database service's process, where SQLite's threads are in it."""
    service_url: str = ""
    """Of the database service, of ours."""
    proxy: int = 0
    """The process between application and database service, if there is one."""

    def cpu(self) -> dict[str, float]:
        """Return CPU seconds so far by layer: app, database service, engine."""
        used = {layer: machine.cpu_seconds(pids) for layer, pids in self.layers.items()}
        if self.service and "engine" not in used:  # SQLite's threads are in the service's process
            used["service"], used["engine"] = machine.cpu_of_threads(self.service)
        return used

    def memory(self) -> dict[str, float]:
        """Return megabytes by layer."""
        return {layer: machine.memory_megabytes(pids) for layer, pids in self.layers.items()}

    def database_requests(self) -> float:
        """Return how many requests ours sent to its database so far, background jobs included."""
        return sum(map(_requests_of, self.ports))


@contextmanager
def started(
    name: str, *, postgresql: str, workers: int = 1, slow_port: int = 0
) -> Generator[Running]:
    """Start a contender on a new database.

    Args:
        name: of ``SUMMARIES``.
        postgresql: URL of a server to make databases on.
        workers: processes of the application, each on a port of its own.
        slow_port: where a proxy of the database service listens that the application is to use;
            0 lets it speak to the service.

    Raises:
        NotHere: this machine cannot run it.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fintech-bench-")))
        if name in OURS:
            yield _ours(name, stack, folder, postgresql, workers=workers, slow_port=slow_port)
        else:
            yield _peer(name, stack, folder, postgresql, workers=workers)


def _ours(
    name: str, stack: ExitStack, folder: Path, postgresql: str, *, workers: int, slow_port: int
) -> Running:
    engine = OURS[name]
    service_url, service = _database_service(engine, stack, folder, postgresql)
    database, proxy = service_url, 0
    if slow_port:
        command = [sys.executable, "-m", "rig.slow", str(slow_port), service_url.rpartition(":")[2]]
        proxy = stack.enter_context(_process(command, folder / "proxy.log")).pid
        database = f"http://127.0.0.1:{slow_port}"
        time.sleep(1.0)  # it says nothing when it listens
    options = ["--database", database]
    options += ["--shell"] if name == "ours_shell" else []
    options += ["--processor", "sandbox"] if name == "ours_sandbox" else []
    apps = [
        stack.enter_context(
            _process([sys.executable, "-m", "rig.ours", *options], folder / f"app{number}.log")
        )
        for number in range(workers)
    ]
    ports = [_listening_port(app, folder) for app in apps]
    merchants = onboard(_poster(ports[0]), f"{name}-{secrets.token_hex(3)}")
    if name == "ours_shell":
        for port in ports:
            _send(f"http://127.0.0.1:{port}/bench/cut-off", b"{}", {})
    layers = {"app": [app.pid for app in apps], "service": [service]}
    if engine == "postgresql":
        layers["engine"] = [asyncio.run(_postmaster(postgresql))]
    return Running(
        name=name,
        ports=ports,
        tokens=[one.token for one in merchants],
        layers=layers,
        service=service if engine == "sqlite" else 0,
        service_url=service_url,
        proxy=proxy,
        books=lambda: _books_of_ours(service_url, shell=name == "ours_shell"),
    )


def _peer(name: str, stack: ExitStack, folder: Path, postgresql: str, *, workers: int) -> Running:
    module, scheme = PEERS[name]
    layers: dict[str, list[int]] = {}
    if scheme.startswith("sqlite"):
        file = folder / "peer.db"
        url, books = f"{scheme}:///{file}", lambda: _books_of_sqlite(file)
    else:
        plain = create_database(postgresql)
        url, books = plain.replace("postgresql", scheme, 1), lambda: _books_of_postgresql(plain)
        layers["engine"] = [asyncio.run(_postmaster(postgresql))]
    ports = [free_port() for _ in range(workers)]
    apps: list[subprocess.Popen[str]] = []
    for port in ports:
        command = [sys.executable, "-m", "uvicorn", f"peers.{module}:app", "--port", str(port)]
        command += ["--no-access-log", "--loop", "uvloop", "--http", "httptools"]
        log = folder / f"peer{port}.log"
        apps.append(stack.enter_context(_process(command, log, PEER_DATABASE=url)))
        _wait_for(port, apps[-1], log)
    merchants = [f"mer_peer{number:02}" for number in range(16)]
    made = [Merchant(one, token_of("operator", "merchant_operator", one)) for one in merchants]
    return Running(
        name=name,
        ports=ports,
        tokens=[one.token for one in made],
        layers={"app": [app.pid for app in apps], **layers},
        books=books,
    )


def _database_service(
    engine: str, stack: ExitStack, folder: Path, postgresql: str
) -> tuple[str, int]:
    if engine == "elixir":
        if shutil.which("mix") is None:
            raise NotHere("Elixir is not on this machine")
        command = [str(ELIXIR), "serve", "--url", f"sqlite:///{folder / 'ours.db'}", "--port", "0"]
        process = stack.enter_context(_process(command, folder / "database.log"))
        return f"http://127.0.0.1:{_listening_port(process, folder)}", process.pid
    url = (
        create_database(postgresql) if engine == "postgresql" else f"sqlite:///{folder / 'ours.db'}"
    )
    service = RunningService(url, None, ())
    stack.callback(service.stop)
    return service.base_url, service.process.pid


@contextmanager
def _process(
    command: Sequence[str], log: Path, **environment: str
) -> Generator["subprocess.Popen[str]"]:
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            cwd=BENCHMARKS,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(LINGER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _listening_port(process: "subprocess.Popen[str]", folder: Path) -> int:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line.startswith("listening on "):
        logs = "\n".join(log.read_text()[-2_000:] for log in folder.glob("*.log"))
        raise RuntimeError(f"a server did not start: {line}\n{logs}")
    return int(line.strip().rpartition(":")[2])


def _wait_for(port: int, process: "subprocess.Popen[str]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"a peer did not start: {log.read_text()[-2_000:]}")


def _send(url: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def _poster(port: int) -> Callable[[str, dict[str, Any], str, str], dict[str, Any]]:
    def post(path: str, body: dict[str, Any], token: str, key: str) -> dict[str, Any]:
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "idempotency-key": key,
        }
        try:
            answer = _send(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read().decode()}") from error
        found: dict[str, Any] = json.loads(answer)
        return found

    return post


def _requests_of(port: int) -> float:
    text = _send(f"http://127.0.0.1:{port}/metrics", None, {}).decode()
    lines = (line for line in text.splitlines() if line.startswith("fintech_database_calls_total"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _postmaster(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        folder = await connection.fetchval("SHOW data_directory")
    finally:
        await connection.close()
    return int((Path(folder) / "postmaster.pid").read_text().split()[0])


# ---- what is in the books


def _books_of_ours(service: str, *, shell: bool) -> Books:
    """Count through the service itself; a merchant's own operations are no payments."""
    if shell:
        return Books(0, {})
    wanted = {
        "operations that succeeded": "SELECT COUNT(*) AS n FROM operations"
        " WHERE kind = 'payments.create' AND state = 'succeeded'",
        "captures in the journal": "SELECT COUNT(*) AS n FROM journal"
        " WHERE type = 'payment.captured'",
        "sales in the ledger": "SELECT COUNT(*) AS n FROM ledger_transfers WHERE kind = 'Settled'",
        "fees in the ledger": "SELECT COUNT(*) AS n FROM ledger_transfers WHERE kind = 'Fee'",
        "references": "SELECT COUNT(*) AS n FROM payments_references",
        "payments": "SELECT COUNT(*) AS n FROM payments_payments WHERE status = 'captured'",
    }
    found = {name: count(service, sql) for name, sql in wanted.items()}
    return Books(found.pop("payments"), found)


def count(service: str, sql: str) -> int:
    """Return the one number that a statement reads."""
    body = json.dumps({"sql": sql}).encode()
    answer = json.loads(_send(f"{service}/execute", body, {"content-type": "application/json"}))
    return int(answer["data"][0]["n"])


_PEER_BOOKS = (
    "SELECT COUNT(*) FROM payments",
    "SELECT COUNT(*) FROM idempotency_keys",
    "SELECT COUNT(*) / 2 FROM ledger_entries",
    "SELECT COUNT(*) FROM ledger_entries WHERE account = 'processor'",
)


def _peer_books(found: Sequence[int]) -> Books:
    payments, keys, pairs, debits = found
    return Books(payments, {"keys": keys, "pairs of entries": pairs, "debits": debits})


def _books_of_sqlite(file: Path) -> Books:
    with sqlite3.connect(file) as connection:
        found = [connection.execute(sql).fetchone()[0] for sql in _PEER_BOOKS]
    connection.close()
    return _peer_books(found)


def _books_of_postgresql(url: str) -> Books:
    async def read() -> list[int]:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetchval(sql) for sql in _PEER_BOOKS]
        finally:
            await connection.close()

    return _peer_books(asyncio.run(read()))
