"""Durable inserts per second of the database service, beside the bare SQLite driver's.

Run it as ``python benchmarks/database_service.py`` (``--engine postgresql`` for the service on a
private PostgreSQL that syncs its commits; the driver's lines stay SQLite's). It starts
``fintech-database serve`` on a database of its own and measures, alternating, for a few rounds:

- ``apsw, one commit each``: the driver in a loop, one durable transaction per insert;
- ``apsw, 64 a commit``: the driver in a loop, 64 inserts per durable transaction;
- ``service, singles``: ``POST /execute`` from 64 keep-alive connections, one insert each;
- ``service, batches``: ``POST /batch`` of 64 inserts from 2 keep-alive connections.

Every insert is acknowledged after its commit is synced (WAL, ``synchronous=FULL``), and the rows are
counted at the end. The client is a lean one (asyncio streams over sockets, replies counted and not
parsed beyond their head) because it shares the machine's cores with the service; its CPU time is
printed beside the service's. Rates move with the machine; ratios of one run are what to compare.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import apsw
import uvloop
from fintech_database.testing import create_database, start_postgresql

TABLE = (
    "CREATE TABLE IF NOT EXISTS rows (row_id TEXT NOT NULL PRIMARY KEY, stream TEXT NOT NULL,"
    " amount BIGINT NOT NULL CHECK (amount > 0), data TEXT NOT NULL)"
)
INSERT = "INSERT INTO rows (row_id, stream, amount, data) VALUES (?, ?, ?, ?)"
DATA = json.dumps({"kind": "payment", "note": "x" * 120})
CONNECTIONS = 64
BATCH = 64


def row(prefix: str, number: int) -> list[str | int]:
    """One row's values; keys are scattered like real identifiers are."""
    return [f"{prefix}{number * 2654435761 % 2**32:08x}{number}", "merchant/object", 1200, DATA]


class Connection(asyncio.Protocol):
    """A keep-alive connection that sends its next request when a reply is complete."""

    def __init__(self, requests: Callable[[], bytes | None], done: asyncio.Future[None]) -> None:
        self.requests = requests
        self.done = done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Send the next request, or end."""
        request = self.requests()
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
        else:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Wait for a whole reply that reports success."""
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if b" 200 " not in head[:20] or b'"success":false' in body:
            self.done.set_exception(RuntimeError(self.buffer.decode()))
            return
        self.buffer = b""
        self.send()


def request(path: str, document: object) -> bytes:
    """An HTTP request as bytes."""
    body = json.dumps(document, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def load(port: int, requests: list[bytes], connections: int) -> float:
    """Seconds for all requests over so many connections."""

    async def main() -> float:
        waiting = iter(requests)
        loop = asyncio.get_running_loop()
        done = [loop.create_future() for _ in range(connections)]
        begun = time.perf_counter()
        for future in done:
            await loop.create_connection(
                lambda future=future: Connection(lambda: next(waiting, None), future),
                "127.0.0.1",
                port,
            )
        await asyncio.gather(*done)
        return time.perf_counter() - begun

    return uvloop.run(main())


def driver(path: Path, inserts: int, group: int) -> float:
    """Seconds for inserts by the bare driver, so many in one durable commit."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "FULL")
    db.execute(TABLE)
    rows = [row(f"{time.time_ns():x}", number) for number in range(inserts)]
    begun = time.perf_counter()
    for start in range(0, inserts, group):
        db.execute("BEGIN IMMEDIATE")
        for values in rows[start : start + group]:
            db.execute(INSERT, values)
        db.execute("COMMIT")
    taken = time.perf_counter() - begun
    db.close()
    return taken


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far (Linux; 0 elsewhere)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inserts", type=int, default=20_000, help="inserts of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    inserts = options.inserts // BATCH * BATCH
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if options.engine == "sqlite":
            url = f"sqlite:///{folder}/service.db"
        else:
            url = create_database(stack.enter_context(start_postgresql(durable=True)))
        service = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "fintech_database", "serve", "--url", url, "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        greeting = service.stdout.readline() if service.stdout else ""
        port = int(greeting.rpartition(":")[2])
        load(port, [request("/execute", {"sql": TABLE})], 1)
        for turn in range(options.rounds):
            single = [
                request("/execute", {"sql": INSERT, "params": row(f"s{turn}", number)})
                for number in range(inserts)
            ]
            batches = [
                request(
                    "/batch",
                    {
                        "sequences": [
                            [{"sql": INSERT, "params": row(f"b{turn}", number)}]
                            for number in range(start, start + BATCH)
                        ]
                    },
                )
                for start in range(0, inserts, BATCH)
            ]
            few = max(BATCH, inserts // 10)
            measured = {
                "apsw, one commit each": few / driver(Path(folder, "driver.db"), few, 1),
                "apsw, 64 a commit": inserts / driver(Path(folder, "driver.db"), inserts, 64),
            }
            for name, requests, connections in (
                ("service, singles", single, CONNECTIONS),
                ("service, batches", batches, 2),
            ):
                client, served = time.process_time(), cpu_seconds(service.pid)
                measured[name] = inserts / load(port, requests, connections)
                used = [
                    f"{(end - begin) / inserts * 1e6:.0f}"
                    for begin, end in (
                        (client, time.process_time()),
                        (served, cpu_seconds(service.pid)),
                    )
                ]
                print(f"  {name}: CPU per insert, client {used[0]} us, service {used[1]} us")
            for name, rate in measured.items():
                rates.setdefault(name, []).append(rate)
                print(f"round {turn + 1}: {name}: {rate:,.0f}/s")
        query = json.dumps({"sql": "SELECT COUNT(*) AS n FROM rows"}).encode()
        ask = urllib.request.Request(
            f"http://127.0.0.1:{port}/execute", query, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(ask) as reply:  # noqa: S310 - as above
            count = json.loads(reply.read())["data"][0]["n"]
        service.terminate()
        service.wait(timeout=30)
    if count != 2 * inserts * options.rounds:
        sys.exit(f"{count} rows are there, {2 * inserts * options.rounds} were acknowledged")
    print(f"\nmedians of {options.rounds} rounds of {inserts} inserts, all rows found again")
    for name, values in rates.items():
        print(f"{name:24} {statistics.median(values):>10,.0f}/s")
    print(f"peak memory of the service: {_children_kib() // 1024} MiB")


def _children_kib() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


if __name__ == "__main__":
    main()
