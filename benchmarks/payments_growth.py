"""What reading payments, and taking one more, costs as their number grows: 10^3 to 10^6 payments.

Run it as ``python benchmarks/payments_growth.py`` (``--largest 6`` for a million, ``--engine postgresql``
for a private PostgreSQL; default: both engines as far as they are installed, up to 10^5). For each size
it fills operations, references, journal, read model and metadata of a database of its own through the
database service, many rows an insert. Then it asks the shipped application (routes, authentication,
domain) over ASGI, which asks its database over HTTP:

- ``create``: one more payment, captured at once by an instant processor;
- ``GET by id`` of payments all over the table, and a ``timeline``;
- ``list``: a merchant's newest fifty, a page in the middle, and everybody's newest fifty;
- ``list by ...``: status (a rare one), currency, reference, a pair of metadata (common, rare), open
  outcomes.

Each merchant has a tenth of all payments. Medians of ``ROUNDS``, sizes and reads in turn, so that what
else the machine does strikes all alike; what counts is the ratio to 10^3 of the same run. Filled rows
hash-chain by name alone: reads check links, not contents.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
    tidy,
)
from fintech_dbclient import Database, HttpDatabase, Statement, Value
from fintech_dbclient.statements import repeated
from fintech_kernel.canonical import canonical_json, sha256_hex
from fintech_kernel.domain.journal import GENESIS_HASH
from fintech_kernel.infrastructure.queries import append_entries
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_payments import plugin
from loguru import logger
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rig import instant

MERCHANTS = 10
"""Few, so that a merchant's page is full at the smallest size, too."""

PAYMENTS_OF_INSERT = 150
ROUNDS = 41
PAGE = 50
RARE = 500
"""One in so many payments is of the rare kinds."""

MERCHANT = "mer_0000"
START = 1_760_000_000_000
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, as ids are written."""

ACTOR = canonical_json({"subject": "bench", "roles": ["merchant_admin"], "merchant_id": MERCHANT})

Read = Callable[[], Awaitable[object]]
Row = tuple[Value, ...]


def payment_id_of(number: int) -> str:
    """Ids in the order of time, as the application makes them."""
    text = ""
    for _ in range(20):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return f"pay_01k9qq{text}"


def merchant_of(number: int) -> str:
    """The payments of all merchants in turn."""
    return f"mer_{number % MERCHANTS:04}"


def entries_of(number: int) -> list[Row]:
    """A sale: three entries of the payment's stream."""
    merchant_id, payment_id = merchant_of(number), payment_id_of(number)
    stream = f"{merchant_id}/{payment_id}"
    operation = f"op_{number * 2654435761 % 2**32:08x}{number:08}"
    money = {"amount": 10_000, "currency": "KES"}
    created = {
        "payment_id": payment_id,
        "merchant_id": merchant_id,
        "amount": money,
        "capture": "automatic",
        "method": "card",
        "token": "sandbox_approve",
        "processor": "sandbox",
        "reference": f"order-{number}",
        "metadata": {"shop": f"{number % 7}"},
        "pricing": None,
        "settlement_delay_days": 1,
        "requested_at": START + number,
        "expires_at": START + number + 604_800_000,
    }
    captured = {
        "amount": money,
        "fee": {"amount": 0, "currency": "KES"},
        "rule_id": "",
        "available_on": START + number,
    }
    told = (
        ("payment.created", created),
        ("payment.authorized", {"amount": money, "processor_reference": f"ref_{number}"}),
        ("payment.captured", captured),
    )
    rows: list[Row] = []
    previous = GENESIS_HASH
    for position, (event, data) in enumerate(told, start=1):
        step = f"{operation}:authorize" + (f":{position - 1}" if position > 1 else "")
        entry_id = f"{stream}:{position}"
        text = json.dumps(data, separators=(",", ":"), sort_keys=True)
        now = sha256_hex(entry_id)
        rows.append(
            (
                entry_id,
                step,
                stream,
                position,
                event,
                text,
                ACTOR,
                "req",
                START + number,
                previous,
                now,
            )
        )
        previous = now
    return rows


def listed_of(number: int) -> Row:
    """The payment in the read model. One in ``RARE`` is of a rare status and open."""
    is_rare = number % RARE == 0
    payment_id, merchant_id = payment_id_of(number), merchant_of(number)
    status = "failed" if is_rare else "captured"
    shown = {
        "payment_id": payment_id,
        "merchant_id": merchant_id,
        "status": status,
        "amount": 10_000,
        "currency": "KES",
        "reference": f"order-{number}",
        "padding": "x" * 500,
    }
    return (
        payment_id,
        merchant_id,
        status,
        "KES",
        f"order-{number}",
        1 if is_rare else 0,
        START + number,
        3,
        json.dumps(shown),
    )


def insert_operations(numbers: range) -> Statement:
    """Write finished operations, whose results retention has blanked."""
    rows = [
        (f"op_{n * 2654435761 % 2**32:08x}{n:08}", merchant_of(n), f"done:op_{n:08}", START + n)
        for n in numbers
    ]
    return Statement(
        name="bench.operations",
        sql="INSERT INTO operations (operation_id, kind, version, merchant_id, fingerprint, request,"  # noqa: S608 - literals only
        " state, nonce, lease_until, attempts, next_run_at, created_at) VALUES "
        + repeated("(?, 'payments.create', 1, ?, '', '', 'succeeded', ?, 0, 1, 0, ?)", len(rows)),
        params=tuple(value for row in rows for value in row),
    )


def insert_references(numbers: range) -> Statement:
    """Write whose references are."""
    rows = [
        (f"{merchant_of(n)}/order-{n}", f"op_{n:08}", payment_id_of(n), 10_000, "KES")
        for n in numbers
    ]
    return Statement(
        name="bench.references",
        sql="INSERT INTO payments_references (reference_key, operation_id, payment_id, amount, currency)"  # noqa: S608 - literals only
        " VALUES " + repeated("(?, ?, ?, ?, ?)", len(rows)),
        params=tuple(value for row in rows for value in row),
    )


def insert_listed(rows: list[Row]) -> Statement:
    """Write rows of the read model."""
    return Statement(
        name="bench.payments",
        sql="INSERT INTO payments_payments (payment_id, merchant_id, status, currency, reference,"  # noqa: S608 - literals only
        " outcomes_open, created_at, seq, data) VALUES "
        + repeated("(?, ?, ?, ?, ?, ?, ?, ?, ?)", len(rows)),
        params=tuple(value for row in rows for value in row),
    )


def insert_pairs(numbers: range) -> Statement:
    """Write pairs of metadata: a common one, and one in ``RARE`` a rare one."""
    rows: list[Row] = []
    for number in numbers:
        shop = "rare" if number % RARE == 0 else f"{number % 7}"
        payment_id = payment_id_of(number)
        rows.append((f"{payment_id}:shop", merchant_of(number), payment_id, "shop", shop))
    return Statement(
        name="bench.metadata",
        sql="INSERT INTO payments_metadata (pair_key, merchant_id, payment_id, name, value) VALUES "  # noqa: S608 - literals only
        + repeated("(?, ?, ?, ?, ?)", len(rows)),
        params=tuple(value for row in rows for value in row),
    )


async def fill(database: Database, size: int, progress: Progress) -> float:
    """Write payments; return the seconds that it took."""
    begun = time.perf_counter()
    bar = progress.add_task(f"{size:,} payments", total=size)
    for start in range(0, size, PAYMENTS_OF_INSERT):
        numbers = range(start, min(size, start + PAYMENTS_OF_INSERT))
        for result in await database.run(
            [
                append_entries([row for number in numbers for row in entries_of(number)]),
                insert_listed([listed_of(number) for number in numbers]),
                insert_pairs(numbers),
                insert_operations(numbers),
                insert_references(numbers),
            ]
        ):
            result.unwrap()
        progress.advance(bar, len(numbers))
    progress.remove_task(bar)
    return time.perf_counter() - begun


def reads_of(app: RunningApp, size: int) -> dict[str, Read]:
    """What is measured, by name."""
    mine, staff = app.headers(merchant_id=MERCHANT), app.headers()
    some = [payment_id_of(size * part // 97 // MERCHANTS * MERCHANTS) for part in range(97)]
    turn = iter(range(sys.maxsize))

    def get(path: Callable[[], str], headers: dict[str, str]) -> Read:
        async def read() -> None:
            answer = await app.client.get(f"/v1/payments{path()}", headers=headers)
            answer.raise_for_status()

        return read

    def listed(query: str, headers: dict[str, str]) -> Read:
        return get(lambda: f"?limit={PAGE}{query}", headers)

    def one() -> str:
        return some[next(turn) % len(some)]

    async def create() -> None:
        name = "".join(secrets.choice(ALPHABET[10:]) for _ in range(16))  # no card number
        body = {
            "amount": 10_000,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
            "reference": f"new-{name}",
            "metadata": {"shop": "new"},
        }
        answer = await app.post("/v1/payments", body, key=f"key-{name}", headers=mine)
        answer.raise_for_status()

    reference = f"order-{size // 2 // MERCHANTS * MERCHANTS}"
    return {
        "create": create,
        "GET by id": get(lambda: f"/{one()}", mine),
        "GET by id, as staff": get(lambda: f"/{one()}", staff),
        "timeline": get(lambda: f"/{one()}/timeline", mine),
        "list": listed("", mine),
        "list of everybody": listed("", staff),
        "list by a common status": listed("&status=captured", mine),
        "list by a rare status": get(lambda: "?limit=2&status=failed", mine),
        "list by currency": listed("&currency=KES", mine),
        "list by reference": listed(f"&reference={reference}", mine),
        "list by common metadata": get(lambda: "?limit=10&metadata=shop:1", mine),
        "list by rare metadata": get(lambda: "?limit=2&metadata=shop:rare", mine),
        "list of open outcomes": get(lambda: "?limit=2&processor_outcome=open", mine),
    }


async def medians_of(reads: dict[int, dict[str, Read]]) -> dict[int, dict[str, float]]:
    """Median milliseconds of each read at each size, in turn; the first round warms up."""
    took: dict[int, dict[str, list[float]]] = {
        size: {name: [] for name in named} for size, named in reads.items()
    }
    for _ in range(ROUNDS):
        for size, named in reads.items():
            for name, read in named.items():
                begun = time.perf_counter()
                await read()
                took[size][name].append((time.perf_counter() - begun) * 1_000)
    return {
        size: {name: statistics.median(times[1:]) for name, times in named.items()}
        for size, named in took.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A database and the service in front of it."""

    url: str
    database: str


async def measure(served: dict[int, Served], console: Console) -> dict[int, dict[str, float]]:
    """Fill a database to each size, then read from all of them in turn."""
    settings = {"payments_without_merchants": True, "payments_processor": instant.NAME}
    reads: dict[int, dict[str, Read]] = {}
    async with AsyncExitStack() as stack:
        for size, one in served.items():
            app = await stack.enter_async_context(
                running_app(
                    database_url=one.url, plugins=[plugin, test_ledger, instant], settings=settings
                )
            )
            async with HttpDatabase(one.url, timeout_seconds=60.0) as database:
                with Progress(console=console, transient=True) as progress:
                    seconds = await fill(database, size, progress)
            tidy(one.database)
            console.print(
                f"{size:>9,} payments: filled in {seconds:.1f} s ({size / seconds:,.0f} a second)"
            )
            reads[size] = reads_of(app, size)
        return await medians_of(reads)


def show(engine: str, found: dict[int, dict[str, float]], console: Console) -> None:
    """Print medians in milliseconds, and each as a ratio to the smallest size."""
    sizes = sorted(found)
    table = Table(
        title=f"{engine}: median ms (ratio to {sizes[0]:,} payments)", title_justify="left"
    )
    table.add_column("read")
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    for name, base in found[sizes[0]].items():
        cells = [f"{found[size][name]:.2f} ({found[size][name] / base:.2f})" for size in sizes]
        table.add_row(name, *cells)
    console.print(table)


@contextmanager
def services_of(engine: str, sizes: list[int]) -> Generator[dict[int, Served]]:
    """A service on a new database of an engine, for each size."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = "" if engine == "sqlite" else stack.enter_context(start_postgresql(durable=True))
        served: dict[int, Served] = {}
        for size in sizes:
            database = create_database(server) if server else f"sqlite:///{folder / f'{size}.db'}"
            url = stack.enter_context(start_service(database))
            served[size] = Served(url=url, database=database)
        yield served


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
    logger.remove()  # lines of the application are no part of what is measured
    console = Console(width=140)
    sizes = [10**power for power in range(3, asked.largest + 1)]
    for engine in ["sqlite", "postgresql"] if asked.engine == "both" else [asked.engine]:
        try:
            with services_of(engine, sizes) as served:
                measured[engine] = asyncio.run(measure(served, console))
                show(engine, measured[engine], console)
        except PostgresqlMissing as missing:
            console.print(f"postgresql: not measured: {missing}")
            if asked.engine == "postgresql":
                sys.exit(1)
    if asked.json:
        asked.json.write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
