"""What reading the books costs as history grows: 10^3 to 10^6 transfers, folded as a server folds them.

Run it as ``python benchmarks/ledger_growth.py`` (``--largest 6`` for a million, ``--engine postgresql``
for a private PostgreSQL; default: both engines as far as they are installed, up to 10^5). For each size
it fills the tables through the database service (plain inserts of many rows, as postings are, but more
at once), closes a period, folds the rest, leaves ``OPEN`` transfers open as they are between two runs of
the job, and measures:

- ``balance of a merchant``, ``balance of the processor``: ``GET /v1/ledger/accounts/{account}``'s read;
- ``a page of accounts``: fifty, from the start;
- ``a page of transfers``: fifty of everybody's, newest first, and fifty of one merchant's;
- ``trial balance``;
- ``due lines of a merchant``: what a settlement looks at, where all but the open was claimed before;
- ``balance at a close``.

Reads go through the shipped code (``Books``, ``DoubleEntryLedger``) over HTTP to the service. Medians of
``ROUNDS``, in turn; what counts is the ratio to 10^3 of the same run.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
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
from rich.progress import Progress
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
DAY = 86_400_000
START = period_end("2026-01-01")

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
    """A ledger that grows."""

    def __init__(self, database: Database, progress: Progress) -> None:
        self.database = database
        self.progress = progress
        self.folding = Folding(database=database, clock=SystemClock(), size=FOLD_SIZE)
        self.transfers = 0
        self.days = 0

    async def grow(self, transfers: int) -> tuple[float, float]:
        """Fill up to so many transfers, closed and folded but for the last; return seconds of both."""
        begun = time.perf_counter()
        await self._insert(transfers - OPEN - self.transfers, unclaimed=0)
        filled = time.perf_counter()
        self.days += 1
        end = START + self.days * DAY
        await self._fold(Want(cutoff=end, period=period_ending(end)))
        folded = time.perf_counter()
        await self._insert(OPEN, unclaimed=1, folded=True)
        return filled - begun, folded - filled

    async def _insert(self, count: int, *, unclaimed: int, folded: bool = False) -> None:
        bar = self.progress.add_task("transfers", total=count)
        at = START + self.days * DAY + (1 if folded else 0)
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


def reads_of(filling: Filling) -> dict[str, Read]:
    """What is measured, by name."""
    books = Books(database=filling.database, clock=SystemClock())
    ledger = DoubleEntryLedger(database=filling.database)
    everything = TransferFilter()
    closed = period_ending(START + filling.days * DAY)
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


async def medians_of(reads: dict[str, Read]) -> dict[str, float]:
    """Median milliseconds of each read, measured in turn."""
    took: dict[str, list[float]] = {name: [] for name in reads}
    for _ in range(ROUNDS):
        for name, read in reads.items():
            begun = time.perf_counter()
            await read()
            took[name].append((time.perf_counter() - begun) * 1_000)
    return {name: statistics.median(times[1:]) for name, times in took.items()}


async def measure(
    url: str, tidied: Callable[[], None], sizes: list[int], console: Console
) -> dict[int, dict[str, float]]:
    """Fill to each size and measure there, once the database is ``tidied``."""
    found: dict[int, dict[str, float]] = {}
    async with HttpDatabase(url, timeout_seconds=60.0) as database:
        await migrate(database, "fintech-ledger", MIGRATIONS)
        with Progress(console=console, transient=True) as progress:
            filling = Filling(database, progress)
            for size in sizes:
                before = filling.transfers
                filled, folded = await filling.grow(size)
                tidied()
                found[size] = await medians_of(reads_of(filling))
                console.print(
                    f"{size:>9,} transfers: filled in {filled:.1f} s, folded in {folded:.1f} s"
                    f" ({(filling.transfers - before - OPEN) / folded:,.0f} transfers/s)"
                )
    return found


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
def service_of(engine: str) -> Generator[tuple[str, Callable[[], None]]]:
    """The service on a new database of an engine, and what tidies that up."""
    with tempfile.TemporaryDirectory() as folder:
        if engine == "sqlite":
            with start_service(f"sqlite:///{Path(folder) / 'growth.db'}") as url:
                yield url, lambda: None
        else:
            with start_postgresql(durable=True) as server:
                database = create_database(server)
                with start_service(database) as url:
                    yield url, lambda: tidy(database)


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
            with service_of(engine) as (url, tidied):
                measured[engine] = asyncio.run(measure(url, tidied, sizes, console))
                show(engine, measured[engine], console)
        except PostgresqlMissing as missing:
            console.print(f"postgresql: not measured: {missing}")
            if asked.engine == "postgresql":
                sys.exit(1)
    if asked.json:
        asked.json.write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
