"""What sharing requests costs and brings: the client's coalescing against arrays made by hand.

    python benchmarks/coalescing.py [--rounds 5] [--seconds 2] [--url sqlite:///...]

One run, alternating rounds, medians, on a real service over loopback:

- ``arrays``: the service's rate with ready-made ``/batch`` bodies of 64 single-row inserts, sent
  back to back by a bare client (the better of one and two connections);
- ``tasks``: 64 concurrent tasks, each awaiting one single-row insert after another through
  ``HttpDatabase``; ``share`` is their rate over that of the arrays (bar: 0.60);
- ``p50``: one task with coalescing over one without (bar: 1.10).

Two connections with arrays of 64 keep 128 inserts under way; 64 tasks, each awaiting its own, keep
64 at most. The second array is run and synced while the client is busy with the first, which no
client of 64 tasks can have. So ``share`` has a denominator that grows with the price of a sync;
``share_of_as_many`` has one with 64 under way: one connection with arrays of 64 or two with 32.
The bar is on ``share``.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvloop
from fintech_dbclient import CallRecord, HttpDatabase, KeepAliveTransport, Statement

ARRAY = 64
JSON = {"Content-Type": "application/json"}
SHARE_MIN = 0.60
P50_RATIO_MAX = 1.10
INSERT = "INSERT INTO coalescing (k, v) VALUES (?, ?)"
CREATE = Statement(
    name="create",
    sql="CREATE TABLE IF NOT EXISTS coalescing (k TEXT NOT NULL PRIMARY KEY, v BIGINT NOT NULL)",
)


def new_key() -> str:
    """Return 128 random bits as hex: at less cost than a UUID's, which is not what is measured."""
    return f"{random.getrandbits(128):032x}"


@contextmanager
def service(url: str) -> Generator[str]:
    """The reference service as a process; its base URL."""
    command = [str(Path(sys.executable).with_name("fintech-database")), "serve"]
    process = subprocess.Popen([*command, "--url", url, "--port", "0"], stdout=subprocess.PIPE)  # noqa: S603 - our own command
    try:
        if process.stdout is None:
            raise RuntimeError("no output to read the address from")
        yield process.stdout.readline().decode().removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.wait(timeout=15)


async def arrays(url: str, seconds: float, connections: int, size: int = ARRAY) -> float:
    """Inserts a second with arrays made by hand."""
    done = 0

    async def send(client: httpx.AsyncClient) -> None:
        nonlocal done
        while time.perf_counter() < end:
            # Random keys as the tasks use: keys that lie together would be cheaper for the engine.
            sequences = [[{"sql": INSERT, "params": [new_key(), number]}] for number in range(size)]
            # As the client writes it; the service reads other spacing more slowly.
            body = json.dumps({"sequences": sequences}, separators=(",", ":")).encode()
            reply = await client.post("/batch", content=body)
            if reply.content.count(b'"success":true') != size:
                raise RuntimeError(f"the service refused rows: {reply.text[:200]}")
            done += size

    async with httpx.AsyncClient(
        base_url=url, transport=KeepAliveTransport(), headers=JSON
    ) as client:
        started = time.perf_counter()
        end = started + seconds
        await asyncio.gather(*[send(client) for _ in range(connections)])
        return done / (time.perf_counter() - started)


async def tasks(url: str, seconds: float, count: int) -> tuple[float, float]:
    """Inserts a second by tasks that share a client, and statements per HTTP request."""
    done = 0
    requests = 0

    def on_call(record: CallRecord) -> None:
        nonlocal requests
        requests += record.endpoint != "health"

    async def task() -> None:
        nonlocal done
        while time.perf_counter() < end:
            key = new_key()
            await database.execute(Statement(name="insert", sql=INSERT, params=(key, 1)))
            done += 1

    async with HttpDatabase(url, on_call=on_call) as database:
        await database.execute(CREATE)
        started = time.perf_counter()
        end = started + seconds
        await asyncio.gather(*[task() for _ in range(count)])
        return done / (time.perf_counter() - started), done / requests


async def p50(url: str, seconds: float) -> tuple[float, float]:
    """Median seconds of one task's insert, without coalescing and with it, taken in turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    async with HttpDatabase(url, coalesce=False) as alone, HttpDatabase(url) as shared:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for database, times in zip((alone, shared), taken, strict=True):
                statement = Statement(name="insert", sql=INSERT, params=(new_key(), 1))
                started = time.perf_counter()
                await database.execute(statement)
                times.append(time.perf_counter() - started)
    return statistics.median(taken[0]), statistics.median(taken[1])


async def measure(url: str, rounds: int, seconds: float) -> dict[str, float]:
    """All figures, alternating."""
    figures: dict[str, list[float]] = {}
    await tasks(url, 0.3, 4)
    for _ in range(rounds):
        one, two = await arrays(url, seconds, 1), await arrays(url, seconds, 2)
        halves = await arrays(url, seconds, 2, ARRAY // 2)
        rate, size = await tasks(url, seconds, ARRAY)
        alone, shared = await p50(url, seconds)
        for name, figure in {
            "arrays_per_second_one_connection": one,
            "arrays_per_second_two_connections": two,
            "arrays_per_second_two_halves": halves,
            "tasks_per_second": rate,
            "statements_per_request": size,
            "share": rate / max(one, two),
            "share_of_as_many": rate / max(one, halves),
            "p50_microseconds_without": alone * 1e6,
            "p50_microseconds_with": shared * 1e6,
            "p50_ratio": shared / alone,
        }.items():
            figures.setdefault(name, []).append(figure)
    return {name: round(statistics.median(each), 3) for name, each in figures.items()}


def main() -> int:
    """Measure, print, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--url", help="engine of the service (default: SQLite in a new folder)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        service(options.url or f"sqlite:///{folder}/coalescing.db") as url,
    ):
        figures = uvloop.run(measure(url, options.rounds, options.seconds))
    met = figures["share"] >= SHARE_MIN and figures["p50_ratio"] <= P50_RATIO_MAX
    print(json.dumps(figures, indent=2))
    print(
        f"bars (share >= {SHARE_MIN}, p50_ratio <= {P50_RATIO_MAX}): {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
