"""How long a run takes to settle one merchant with many lines, and what memory it needs.

Run it as ``python benchmarks/settlement_run.py`` (``--lines 100000``, ``--engine sqlite|postgresql``;
default: both engines as far as they are installed, 10^4 and 10^5 lines). For each size it makes a
merchant by the API, gives it that many due transfers, and measures in one process with the assembled
application:

- ``run``: ``Runs.run`` from its look at who is due to the opened settlement, however many attempts of the
  operation that takes;
- ``our CPU``: the seconds of it that this process computed; the rest is the database's, and waiting;
- ``memory``: by how much the process's peak grew.

The bar is 30 s for 10^5 lines, and memory that does not grow with them.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)
from fintech_kernel.contracts.accounts import fees_account, merchant_account, processor_account
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_ledger.infrastructure import queries
from fintech_settlements.domain.runs import Runs
from rich.console import Console
from rich.table import Table

SIZES = (10_000, 100_000)
ROWS_OF_INSERT = 2_000
CURRENCY = "KES"
BAR_SECONDS = 30

console = Console()


def rows_from(merchant_id: str, first: int, count: int, *, at: int) -> list[tuple[str | int, ...]]:
    """Captures and fees in turn."""
    account = merchant_account(merchant_id, CURRENCY)
    processor, fees = processor_account("sandbox", CURRENCY), fees_account(CURRENCY)
    rows: list[tuple[str | int, ...]] = []
    for number in range(first, first + count):
        sale, is_fee = divmod(number, 2)
        operation = f"op_{sale * 2654435761 % 2**32:08x}{merchant_id}{sale:08}"
        sides = (account, fees) if is_fee else (processor, account)
        leg, kind, amount = ("fee", "Fee", 35) if is_fee else ("capture", "Settled", 1_000)
        names = (f"{operation}:{leg}", operation, merchant_id, *sides)
        rest = (at, f"pay_{sale}", f"order-{sale}", at, 1)
        rows.append((*names, amount, CURRENCY, kind, *rest))
    return rows


async def made_merchant(app: RunningApp, name: str) -> str:
    """Make an active merchant by the API."""
    body = {
        "name": name,
        "currencies": [CURRENCY],
        "settlement": {"delay_days": 0},
        "pricing": [{"currency": CURRENCY, "basis_points": 290}],
    }
    made = await app.post(
        "/v1/merchants", body, key=f"make-{name.replace(' ', '-')}", headers=app.headers()
    )
    merchant_id = made.json()["merchant_id"]
    steps = {
        "verification": {"outcome": "verified", "reference": "kyb-1", "reason": "to be measured"},
        "activate": {"reason": "to be measured"},
    }
    for step, sent in steps.items():
        path = f"/v1/merchants/{merchant_id}/{step}"
        done = await app.post(path, sent, key=f"{step}-{merchant_id}", headers=app.headers())
        check(done.is_success, done.text)
    return str(merchant_id)


def check(holds: bool, seen: str) -> None:
    """End here where what was measured is not what was meant."""
    if not holds:
        raise SystemExit(seen)


def peak_megabytes() -> int:
    """The most memory that this process held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def measured(app: RunningApp, lines: int) -> tuple[float, float, int]:
    """Return seconds of a run, those of them on our CPU, and by how many megabytes the peak grew."""
    merchant_id = await made_merchant(app, f"Lines {lines}")
    day_ago = datetime.now(UTC) - timedelta(days=1, hours=1)
    available = int(day_ago.timestamp() * 1_000)
    for first in range(0, lines, ROWS_OF_INSERT):
        count = min(ROWS_OF_INSERT, lines - first)
        rows = rows_from(merchant_id, first, count, at=available)
        await app.context.database.execute(queries.insert_transfers(rows))
    before, begun, used = peak_megabytes(), time.perf_counter(), time.process_time()
    runs = app.context.services.get(Runs)
    report = await runs.run(at=app.context.clock.now_milliseconds(), started_by="benchmark")
    run = time.perf_counter()
    listed = await app.client.get(
        f"/v1/settlements?merchant_id={merchant_id}", headers=app.headers()
    )
    (settlement,) = listed.json()["data"]
    counted = (report.opened + report.settled_before, settlement["line_count"])
    check(counted == (1, lines), f"settlements and lines are {counted}")
    return run - begun, time.process_time() - used, peak_megabytes() - before


@contextmanager
def service_of(engine: str) -> Generator[str]:
    """Start a database service on an engine."""
    if engine == "postgresql":
        with start_postgresql() as server, start_service(create_database(server)) as url:
            yield url
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        start_service(f"sqlite:///{Path(folder) / 'lines.db'}") as url,
    ):
        yield url


async def bench(url: str, sizes: tuple[int, ...], table: Table, engine: str) -> None:
    """Measure every size, and note them."""
    async with running_app(database_url=url, plugins=None) as app:
        for lines in sizes:
            run, used, grown = await measured(app, lines)
            bar = f"{run:.1f}" if run < BAR_SECONDS else f"[red]{run:.1f}"
            table.add_row(engine, str(lines), bar, f"{used:.1f}", str(grown))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=("sqlite", "postgresql"))
    parser.add_argument("--lines", type=int)
    arguments = parser.parse_args()
    sizes = (arguments.lines,) if arguments.lines else SIZES
    engines = (arguments.engine,) if arguments.engine else ("sqlite", "postgresql")
    table = Table("engine", "lines", "run, s", "our CPU, s", "peak grew by, MB")
    for engine in engines:
        try:
            with service_of(engine) as url:
                asyncio.run(bench(url, sizes, table, engine))
        except PostgresqlMissing as missing:
            console.print(f"{engine}: {missing}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
