"""What reading the books costs as history grows: 10^3 to 10^6 transfers, folded as a server folds them.

Run it as ``python benchmarks/ledger_growth.py`` (``--largest 6`` for a million, ``--engine postgresql``
for a private PostgreSQL; default: both engines as far as they are installed, up to 10^5). For each size
it fills a database of its own through the database service (plain inserts of many rows, as postings are,
but more at once), closes a period, and leaves ``OPEN`` transfers open as they are between two runs of the
job. Then it measures, in all of them:

- ``balance of a merchant``, ``balance of the processor``: ``GET /v1/ledger/accounts/{account}``'s read;
- ``a page of accounts``: fifty, from the start;
- ``a page of transfers``: fifty of everybody's, newest first, and fifty of one merchant's;
- ``trial balance``;
- ``due lines of a merchant``: what a settlement looks at, where all but the open was claimed before;
- ``balance at a close``.

Reads go through the shipped code (``Books``, ``DoubleEntryLedger``) over HTTP to the service. Medians of
``ROUNDS``, sizes and reads in turn, so that whatever else the machine does meets all of them; what counts
is the ratio to 10^3 of the same run.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from pathlib import Path

from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
    tidy,
)
from fintech_dbclient import Database, HttpDatabase, UniqueViolation, migrate
from fintech_kernel.clock import SystemClock
from fintech_kernel.contracts.accounts import fees_account, merchant_account, processor_account
from fintech_ledger.domain.books import Books, TransferFilter
from fintech_ledger.domain.folding import Folding
from fintech_ledger.domain.folds import Want, period_end, period_ending
from fintech_ledger.domain.service import DoubleEntryLedger
from fintech_ledger.infrastructure import queries
from fintech_ledger.infrastructure.tables import MIGRATIONS
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

MERCHANTS = 10
"""Few, so that a merchant's page is full at the smallest size, too."""

OPEN = 200
"""Transfers that wait for the next fold while reads are measured."""

ROWS_OF_INSERT = 2_000
FOLD_SIZE = 1_000
ROUNDS = 201
PAGE = 50
CURRENCY = "KES"
START = period_end("2026-01-01")
END = period_end("2026-01-02")

MERCHANT = "mer_0000"
ACCOUNT = merchant_account(MERCHANT, CURRENCY)
PROCESSOR = processor_account("sandbox", CURRENCY)
FEES = fees_account(CURRENCY)

Read = Callable[[], Awaitable[object]]


def rows_from(first: int, count: int, *, at: int, unclaimed: int) -> list[tuple[str | int, ...]]:
    """Sales of all merchants in turn: a capture and its fee are two transfers."""
    rows: list[tuple[str | int, ...]] = []
    for number in range(first, first + count):
        sale, is_fee = divmod(number, 2)
        merchant_id = f"mer_{sale % MERCHANTS:04}"
        account = merchant_account(merchant_id, CURRENCY)
        operation = f"op_{sale * 2654435761 % 2**32:08x}{sale:08}"
        sides = (account, FEES) if is_fee else (PROCESSOR, account)
        leg, kind, amount = ("fee", "Fee", 35) if is_fee else ("capture", "Settled", 1_000)
        names = (f"{operation}:{leg}", operation, merchant_id, *sides)
        rest = (at, f"pay_{sale}", f"order-{sale}", at, unclaimed)
        rows.append((*names, amount, CURRENCY, kind, *rest))
    return rows


class Filling:
    """A ledger that is filled."""

    def __init__(self, database: Database, progress: Progress) -> None:
        self.database = database
        self.progress = progress
        self.folding = Folding(database=database, clock=SystemClock(), size=FOLD_SIZE)
        self.transfers = 0

    async def fill(self, transfers: int) -> tuple[float, float]:
        """Fill up to so many transfers, closed and folded but for the last; return seconds of both."""
        begun = time.perf_counter()
        await self._insert(transfers - OPEN, at=START, unclaimed=0)
        filled = time.perf_counter()
        await self._fold(Want(cutoff=END, period=period_ending(END)))
        folded = time.perf_counter()
        await self._insert(OPEN, at=END + 1, unclaimed=1)
        return filled - begun, folded - filled

    async def _insert(self, count: int, *, at: int, unclaimed: int) -> None:
        bar = self.progress.add_task("transfers", total=count)
        for begin in range(0, count, ROWS_OF_INSERT):
            size = min(ROWS_OF_INSERT, count - begin)
            rows = rows_from(self.transfers, size, at=at, unclaimed=unclaimed)
            with suppress(UniqueViolation):  # a slow reply: the client sent it again
                await self.database.execute(queries.insert_transfers(rows))
            self.transfers += size
            self.progress.advance(bar, size)
        self.progress.remove_task(bar)

    async def _fold(self, want: Want) -> None:
        bar = self.progress.add_task("folds", total=None)
        while await self.folding.fold(want, folds_max=20) is None:
            self.progress.advance(bar, 20)
        self.progress.remove_task(bar)


def reads_of(database: Database) -> dict[str, Read]:
    """What is measured, by name."""
    books = Books(database=database, clock=SystemClock())
    ledger = DoubleEntryLedger(database=database)
    everything = TransferFilter()
    closed = period_ending(END)
    return {
        "balance of a merchant": lambda: books.account(ACCOUNT, merchant_id=MERCHANT),
        "balance of the processor": lambda: books.account(PROCESSOR, merchant_id=None),
        "a page of accounts": lambda: books.accounts(merchant_id=None, after="", limit=PAGE),
        "a page of transfers": lambda: books.transfers(
            merchant_id=None, wanted=everything, before=None, limit=PAGE
        ),
        "a page of a merchant's transfers": lambda: books.transfers(
            merchant_id=MERCHANT, wanted=everything, before=None, limit=PAGE
        ),
        "trial balance": books.trial_balance,
        "due lines of a merchant": lambda: ledger.due_lines(
            merchant_id=MERCHANT, account=ACCOUNT, cutoff=2**53, limit=1_000
        ),
        "balance at a close": lambda: books.account_at(
            ACCOUNT, period=closed, merchant_id=MERCHANT
        ),
    }


async def medians_of(reads: dict[int, dict[str, Read]]) -> dict[int, dict[str, float]]:
    """Median milliseconds of each read at each size, measured in turn."""
    took = {size: {name: list[float]() for name in of_size} for size, of_size in reads.items()}
    for _ in track(range(ROUNDS), "reads", transient=True):
        for name in next(iter(reads.values())):
            for size, of_size in reads.items():
                begun = time.perf_counter()
                await of_size[name]()
                took[size][name].append((time.perf_counter() - begun) * 1_000)
    return {
        size: {name: statistics.median(times[1:]) for name, times in of_size.items()}
        for size, of_size in took.items()
    }


async def measure(
    services: dict[int, str], tidied: Callable[[], None], console: Console
) -> dict[int, dict[str, float]]:
    """Fill each size's database, and measure once all are ``tidied``."""
    async with AsyncExitStack() as stack:
        databases: dict[int, Database] = {}
        for size, url in services.items():
            client = HttpDatabase(url, timeout_seconds=60.0)
            databases[size] = database = await stack.enter_async_context(client)
            await migrate(database, "fintech-ledger", MIGRATIONS)
            with Progress(console=console, transient=True) as progress:
                filled, folded = await Filling(database, progress).fill(size)
            console.print(
                f"{size:>9,} transfers: filled in {filled:.1f} s, folded in {folded:.1f} s"
                f" ({(size - OPEN) / folded:,.0f} transfers/s)"
            )
        tidied()
        return await medians_of({size: reads_of(one) for size, one in databases.items()})


def show(engine: str, found: dict[int, dict[str, float]], console: Console) -> None:
    """Print medians in milliseconds, and each as a ratio to the smallest size."""
    sizes = sorted(found)
    table = Table(
        title=f"{engine}: median ms (ratio to {sizes[0]:,} transfers)", title_justify="left"
    )
    table.add_column("read")
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    for name, base in found[sizes[0]].items():
        cells = [f"{found[size][name]:.2f} ({found[size][name] / base:.2f})" for size in sizes]
        table.add_row(name, *cells)
    console.print(table)


@contextmanager
def services_of(
    engine: str, sizes: list[int]
) -> Generator[tuple[dict[int, str], Callable[[], None]]]:
    """A service on a new database of an engine for each size, and what tidies all of them up."""
    with ExitStack() as stack:
        if engine == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            databases = [f"sqlite:///{folder / f'{size}.db'}" for size in sizes]
        else:
            server = stack.enter_context(start_postgresql(durable=True))
            databases = [create_database(server) for _ in sizes]
        urls = [stack.enter_context(start_service(database)) for database in databases]

        def tidied() -> None:
            for database in databases if engine == "postgresql" else ():
                tidy(database)

        yield dict(zip(sizes, urls, strict=True)), tidied


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument(
        "--largest", type=int, choices=[3, 4, 5, 6], default=5, help="10 to this power"
    )
    parser.add_argument("--json", type=Path, help="write the medians there, too")
    asked = parser.parse_args()
    measured: dict[str, dict[int, dict[str, float]]] = {}
    console = Console(width=140)
    sizes = [10**power for power in range(3, asked.largest + 1)]
    for engine in ["sqlite", "postgresql"] if asked.engine == "both" else [asked.engine]:
        try:
            with services_of(engine, sizes) as (services, tidied):
                measured[engine] = asyncio.run(measure(services, tidied, console))
                show(engine, measured[engine], console)
        except PostgresqlMissing as missing:
            console.print(f"postgresql: not measured: {missing}")
            if asked.engine == "postgresql":
                sys.exit(1)
    if asked.json:
        asked.json.write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
