"""The world of these tests: a real database service, the real kernel, and truthful doubles of the rest.

``BooksPlugin`` stands in for the ledger and the merchant directory. It keeps the contract's word on the
same real database: write-once lines, chunks of one insert each, transfers that cannot be unbalanced.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)
from fintech_dbclient import (
    HttpDatabase,
    Migration,
    OutcomeUnknown,
    Statement,
    UniqueViolation,
)
from fintech_dbclient.statements import repeated
from fintech_kernel.contracts.accounts import merchant_account, processor_account
from fintech_kernel.contracts.ledger import ClaimedLines, Ledger, Line, Posting
from fintech_kernel.contracts.merchants import (
    MerchantDirectory,
    MerchantProfile,
    MerchantStatus,
    OpenedAccount,
    PayoutAccounts,
)
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.contracts.writes import Write
from fintech_kernel.hooks import (
    MigrationSet,
    PayoutRailSpec,
    PluginManifest,
    ServiceProvider,
    hookimpl,
)
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_settlements import plugin as settlements_plugin
from fintech_settlements.domain import workflows

CURRENCY = "KES"
COLUMNS = (
    "transfer_id, operation_id, merchant_id, debit_account, credit_account, amount, kind,"
    " available_on, subject_id, reference, recorded_at"
)
TABLES = Migration(
    number=1,
    name="books",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS books_transfers (
            transfer_id TEXT NOT NULL PRIMARY KEY, operation_id TEXT NOT NULL,
            merchant_id TEXT NOT NULL, debit_account TEXT NOT NULL, credit_account TEXT NOT NULL,
            amount BIGINT NOT NULL CHECK (amount > 0), kind TEXT NOT NULL,
            available_on BIGINT NOT NULL, subject_id TEXT NOT NULL, reference TEXT NOT NULL,
            recorded_at BIGINT NOT NULL)
        """,
        """
        CREATE TABLE IF NOT EXISTS books_lines (
            line_key TEXT NOT NULL PRIMARY KEY, settlement_id TEXT NOT NULL,
            chunk BIGINT NOT NULL, marker BIGINT NOT NULL, amount BIGINT NOT NULL)
        """,
    ),
)
RAIL_CAPABILITIES = RailCapabilities(key_retention_seconds=600, in_flight_limit_seconds=60)
DUE = (
    "SELECT t.transfer_id AS line_key, t.kind AS kind, t.subject_id AS subject_id,"
    " t.reference AS reference, t.recorded_at AS recorded_at,"
    " CASE WHEN t.credit_account = ? THEN t.amount ELSE -t.amount END AS amount"
    " FROM books_transfers t WHERE (t.debit_account = ? OR t.credit_account = ?)"
    " AND t.available_on <= ? AND NOT EXISTS"
    " (SELECT 1 FROM books_lines l WHERE l.line_key = t.transfer_id)"
    " ORDER BY t.transfer_id LIMIT ?"
)


class Books:
    """Implements ``contracts.ledger.Ledger``."""

    def __init__(self, database) -> None:
        self.database = database

    async def rows(self, sql, *params) -> list[dict[str, Any]]:
        result = await self.database.execute(Statement(name="books.read", sql=sql, params=params))
        return [dict(row) for row in result.rows]

    def postings(self, *, operation_id, merchant_id, recorded_at, legs) -> tuple[Write, ...]:
        expected = [
            {
                "transfer_id": f"{operation_id}:{leg.leg}",
                "operation_id": operation_id,
                "merchant_id": merchant_id,
                "debit_account": leg.debit_account,
                "credit_account": leg.credit_account,
                "amount": leg.amount.amount,
                "kind": leg.kind,
                "available_on": leg.available_on,
                "subject_id": leg.subject_id,
                "reference": leg.reference,
                "recorded_at": recorded_at,
            }
            for leg in legs
            if leg.amount.amount
        ]
        if not expected:
            return ()
        values = repeated("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", len(expected))
        insert = Statement(
            name="books.post",
            sql="INSERT INTO books_transfers (" + COLUMNS + ") VALUES " + values,  # noqa: S608 - literals
            params=tuple(value for row in expected for value in row.values()),
        )
        confirm = Statement(
            name="books.by_operation",
            sql="SELECT " + COLUMNS + " FROM books_transfers WHERE operation_id = ?",  # noqa: S608 - literals
            params=(operation_id,),
        )
        return (Write(statement=insert, confirm=confirm, expected=expected),)

    async def claim(
        self, *, settlement_id, own_transfer_id, merchant_id, account, cutoff, chunk_size
    ) -> ClaimedLines:
        assert account.startswith(f"liabilities:merchant:{merchant_id}:")
        for chunk in itertools.count():
            marker = own_transfer_id if chunk == 0 else f"{settlement_id}#{chunk}"
            while not (standing := await self._chunk(settlement_id, chunk)):
                insert = Statement(
                    name="books.claim",
                    sql="INSERT INTO books_lines (line_key, settlement_id, chunk, marker, amount)"  # noqa: S608 - literals
                    " SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT),"
                    " CAST(1 AS BIGINT), CAST(0 AS BIGINT)"
                    " UNION ALL SELECT due.line_key, CAST(? AS TEXT), CAST(? AS BIGINT),"
                    " CAST(0 AS BIGINT), due.amount FROM (" + DUE + ") due",
                    params=(
                        *(marker, settlement_id, chunk, settlement_id, chunk),
                        *(account, account, account, cutoff, chunk_size),
                    ),
                )
                try:
                    await self.database.execute(insert)
                except UniqueViolation:
                    await asyncio.sleep(0)
            if standing < chunk_size + 1:
                break
        found = await self.rows(
            "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total"
            " FROM books_lines WHERE settlement_id = ? AND marker = 0",
            settlement_id,
        )
        return ClaimedLines(count=found[0]["n"], total=found[0]["total"])

    async def _chunk(self, settlement_id, chunk) -> int:
        found = await self.rows(
            "SELECT COUNT(*) AS n FROM books_lines WHERE settlement_id = ? AND chunk = ?",
            settlement_id,
            chunk,
        )
        return found[0]["n"]

    async def lines(self, *, settlement_id, merchant_id, after, limit) -> tuple[Line, ...]:
        found = await self.rows(
            "SELECT l.line_key AS transfer_id, t.kind AS kind, t.subject_id AS subject_id,"
            " t.reference AS reference, l.amount AS amount, t.recorded_at AS recorded_at,"
            " l.chunk AS chunk FROM books_lines l JOIN books_transfers t"
            " ON t.transfer_id = l.line_key WHERE l.settlement_id = ? AND t.merchant_id = ?"
            " AND l.marker = 0 AND l.line_key > ? ORDER BY l.line_key LIMIT ?",
            settlement_id,
            merchant_id,
            after,
            limit,
        )
        return tuple(Line(**row) for row in found)

    async def due_lines(self, *, merchant_id, account, cutoff, limit) -> tuple[Line, ...]:
        assert account.startswith(f"liabilities:merchant:{merchant_id}:")
        found = await self.rows(DUE, account, account, account, cutoff, limit)
        return tuple(Line(transfer_id=row.pop("line_key"), chunk=-1, **row) for row in found)

    async def due_total(self, *, merchant_id, account, cutoff) -> ClaimedLines:
        found = await self.due_lines(
            merchant_id=merchant_id, account=account, cutoff=cutoff, limit=100_000
        )
        return ClaimedLines(count=len(found), total=sum(line.amount for line in found))

    async def due_accounts(self, *, cutoff, limit, after=("", "")) -> tuple[tuple[str, str], ...]:
        found = await self.rows(
            "SELECT DISTINCT t.merchant_id AS merchant_id FROM books_transfers t"
            " WHERE t.available_on <= ? AND t.kind <> 'Carryover' AND t.merchant_id > ?"
            " AND (t.debit_account LIKE 'liabilities:merchant:%'"
            " OR t.credit_account LIKE 'liabilities:merchant:%') AND NOT EXISTS"
            " (SELECT 1 FROM books_lines l WHERE l.line_key = t.transfer_id)"
            " ORDER BY t.merchant_id LIMIT ?",
            cutoff,
            after[0],
            limit,
        )
        return tuple((row["merchant_id"], CURRENCY) for row in found)

    async def balance(self, account: str) -> int:
        """Credits less debits."""
        found = await self.rows(
            "SELECT CAST(COALESCE(SUM(CASE WHEN credit_account = ? THEN amount ELSE -amount END), 0)"
            " AS BIGINT) AS balance FROM books_transfers WHERE debit_account = ? OR credit_account = ?",
            account,
            account,
            account,
        )
        return found[0]["balance"]


@dataclass
class Directory:
    """Implements ``contracts.merchants.MerchantDirectory``."""

    profiles: dict[str, MerchantProfile] = field(default_factory=dict)

    async def profile(self, merchant_id: str) -> MerchantProfile | None:
        return self.profiles.get(merchant_id)


@dataclass
class Accounts:
    """Implements ``contracts.merchants.PayoutAccounts``."""

    opened: dict[tuple[str, str], OpenedAccount] = field(default_factory=dict)

    async def open(self, *, merchant_id: str, account_id: str) -> OpenedAccount | None:
        return self.opened.get((merchant_id, account_id))


@dataclass
class ScriptedRail:
    """A rail with books of its own that may answer late: ``moods`` say how its next calls end.

    ``lost``: it pays, and the answer does not arrive. ``slow``: it says that it is still at it, and so
    say its books until it decides (``decide``). ``never``: nothing arrives.
    """

    name: str = "scripted"
    capabilities: RailCapabilities = RAIL_CAPABILITIES
    moods: list[str] = field(default_factory=list)
    books: dict[str, PayoutAnswer] = field(default_factory=dict)
    paid: list[tuple[str, Money, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)

    async def pay(self, *, key, merchant_id, amount, batch_number, bank_account_id) -> PayoutAnswer:
        self.accounts.append(bank_account_id)
        self.calls.append(key)
        mood = self.moods.pop(0) if self.moods else "prompt"
        if mood == "never":
            return PayoutAnswer(outcome=Outcome.UNKNOWN)
        if mood == "slow":
            self.books[key] = PayoutAnswer(outcome=Outcome.PENDING)
            return self.books[key]
        if key not in self.books:
            self.books[key] = PayoutAnswer(outcome=Outcome.APPROVED, rail_reference=f"ref:{key}")
            self.paid.append((merchant_id, amount, batch_number))
        return PayoutAnswer(outcome=Outcome.UNKNOWN) if mood == "lost" else self.books[key]

    async def query(self, *, key) -> PayoutAnswer | None:
        self.queries.append(key)
        return self.books.get(key)

    def decide(self, key, outcome, *, failure_code="") -> None:
        """Let the books say what became of a key."""
        self.books[key] = PayoutAnswer(
            outcome=outcome, failure_code=failure_code, rail_reference=f"ref:{key}"
        )


class BooksPlugin:
    """Ledger, merchants and a scripted rail, as a plugin."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.accounts = Accounts()
        self.rail = ScriptedRail()

    @hookimpl
    def fintech_plugins(self) -> Sequence[PluginManifest]:
        return [
            PluginManifest(
                name="books", summary="Doubles.", table_prefix="books_", route_prefix="/v1/books"
            )
        ]

    @hookimpl
    def fintech_migrations(self) -> Sequence[MigrationSet]:
        return [MigrationSet(name="books", migrations=(TABLES,))]

    @hookimpl
    def fintech_payout_rails(self) -> Sequence[PayoutRailSpec]:
        return [PayoutRailSpec(name=self.rail.name, rail=self.rail)]

    @hookimpl
    def fintech_services(self) -> Sequence[ServiceProvider]:
        return [
            ServiceProvider(
                name="ledger",
                provides=Ledger,
                requires=(),
                build=lambda context: Books(context.database),
            ),
            ServiceProvider(
                name="merchants",
                provides=MerchantDirectory,
                requires=(),
                build=lambda _context: self.directory,
            ),
            ServiceProvider(
                name="accounts",
                provides=PayoutAccounts,
                requires=(),
                build=lambda _context: self.accounts,
            ),
        ]


_numbers = itertools.count(1)
_operations = itertools.count(1)


class World:
    """One running app and one merchant of its own, with what tests do to them."""

    def __init__(self, app: RunningApp, doubles: BooksPlugin, clock: FrozenClock) -> None:
        self.app = app
        self.clock = clock
        self.rail = doubles.rail
        self.directory = doubles.directory
        self.accounts = doubles.accounts
        self.books = Books(app.context.database)
        self.merchant_id = self.new_merchant()
        self.keys = itertools.count(1)

    @property
    def account(self) -> str:
        return merchant_account(self.merchant_id, CURRENCY)

    def new_merchant(self) -> str:
        merchant_id = f"mer_{next(_numbers):04}"
        self.directory.profiles[merchant_id] = MerchantProfile(
            merchant_id=merchant_id,
            status=MerchantStatus.ACTIVE,
            currencies=(CURRENCY,),
            pricing_version=1,
            pricing=(),
            settlement_delay_days=0,
            settlement_minimum=0,
        )
        return merchant_id

    def change_merchant(self, **values: Any) -> None:
        profile = self.directory.profiles[self.merchant_id]
        self.directory.profiles[self.merchant_id] = replace(profile, **values)

    async def owe(self, *amounts: int, kind: str = "Settled", merchant_id: str = "") -> None:
        """Post what payments would: positive in favour of the merchant."""
        owner = merchant_id or self.merchant_id
        account, processor = merchant_account(owner, CURRENCY), processor_account("p", CURRENCY)
        for amount in amounts:
            number = next(_operations)
            posting = Posting(
                leg="capture",
                debit_account=processor if amount > 0 else account,
                credit_account=account if amount > 0 else processor,
                amount=Money(amount=abs(amount), currency=CURRENCY),
                kind=kind,
                available_on=self.clock.now_milliseconds(),
                subject_id=f"pay_{number:05}",
                reference=f"order-{number}",
            )
            (write,) = self.books.postings(
                operation_id=f"op_{number:05}",
                merchant_id=owner,
                recorded_at=self.clock.now_milliseconds(),
                legs=[posting],
            )
            await self.books.database.execute(write.statement)

    def staff(self, subject: str = "ann") -> dict[str, str]:
        return self.app.headers("platform_finance", subject=subject)

    async def post(self, path: str, body: Mapping[str, Any], *, by: str = "ann", key: str = ""):
        return await self.app.post(
            f"/v1/settlements{path}",
            body,
            key=key or f"key-{self.merchant_id}-{next(self.keys)}",
            headers=self.staff(by),
        )

    async def create(self, *, key: str = "", by: str = "ann", **body: Any):
        return await self.post(
            "",
            {"merchant_id": self.merchant_id, "currency": CURRENCY, **body},
            key=key,
            by=by,
        )

    async def opened(self, *amounts: int) -> dict[str, Any]:
        """Return a settlement over lines of these amounts."""
        await self.owe(*amounts)
        answer = await self.create()
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def approved(self, *amounts: int, by: str = "ann") -> dict[str, Any]:
        settlement = await self.opened(*amounts)
        answer = await self.post(f"/{settlement['settlement_id']}/approve", {}, by=by)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str, **headers: str):
        return await self.app.client.get(
            f"/v1/settlements{path}", headers={**self.staff(), **headers}
        )

    async def run_job(self, name: str) -> None:
        """Run one of the plugin's jobs once."""
        (job,) = (
            job
            for job in settlements_plugin.fintech_jobs(self.app.context)
            if job.name == f"settlements.{name}"
        )
        await job.run()

    async def recover(self) -> None:
        """Let recovery run what is unfinished: an hour later every lease and backoff is over."""
        self.clock.advance(seconds=3_600)
        await self.app.context.operations.recover()


@pytest.fixture(scope="session")
def sqlite_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("settlements") / "test.db"
    with start_service(f"sqlite:///{path}") as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_service() -> Iterator[str]:
    try:
        with start_postgresql() as server, start_service(create_database(server)) as url:
            yield url
    except PostgresqlMissing as error:
        pytest.skip(str(error))


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], scope="session"
)
def service(request: pytest.FixtureRequest) -> str:
    """The base URL of a database service on either engine."""
    return request.getfixturevalue(f"{request.param}_service")


@pytest.fixture
def doubles() -> BooksPlugin:
    return BooksPlugin()


@pytest.fixture
def run_app(doubles: BooksPlugin, frozen_clock: FrozenClock):
    """Run an app of settlements and the doubles."""

    def run(url: str, *, database=None, **settings) -> AbstractAsyncContextManager[RunningApp]:
        return running_app(
            database_url=url,
            plugins=[settlements_plugin, doubles],
            settings=settings,
            overrides=Overrides(clock=frozen_clock, database=database),
        )

    return run


@pytest.fixture
def run_world(run_app, doubles, frozen_clock):
    """Run an app as ``run_app``, with a merchant in it."""

    @asynccontextmanager
    async def run(url: str, **settings) -> AsyncIterator[World]:
        async with run_app(url, **settings) as app:
            yield World(app, doubles, frozen_clock)

    return run


@pytest.fixture
async def world(anyio_backend, service, run_app, doubles, frozen_clock) -> AsyncIterator[World]:
    async with run_app(service, settlements_chunk_size=3) as app:
        yield World(app, doubles, frozen_clock)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payouts are repeated without pauses while their rail does not answer."""
    monkeypatch.setattr(workflows, "RESEND_SECONDS", (0, 0, 0))


@pytest.fixture
async def alone(anyio_backend, tmp_path, run_app, doubles, frozen_clock) -> AsyncIterator[World]:
    """A world whose database nobody else writes to."""
    with start_service(f"sqlite:///{tmp_path}/alone.db") as url:
        async with run_app(url) as app:
            yield World(app, doubles, frozen_clock)


@pytest.fixture
async def scripted(anyio_backend, service, run_app, doubles, frozen_clock) -> AsyncIterator[World]:
    """A world whose payouts go through the scripted rail."""
    async with run_app(service, settlements_rail="scripted") as app:
        yield World(app, doubles, frozen_clock)


@pytest.fixture
async def strict(anyio_backend, service, run_app, doubles, frozen_clock) -> AsyncIterator[World]:
    """A world where more than 10.00 takes two people."""
    async with run_app(service, settlements_two_people_above=1_000) as app:
        yield World(app, doubles, frozen_clock)


class DyingDatabase:
    """A real client that fails its call number ``dies_at``, before or after the service did it."""

    def __init__(self, url: str) -> None:
        self.real = HttpDatabase(url)
        self.dies_at: int | None = None
        self.after = False
        self.count = 0
        self.has_died = False

    async def execute(self, statement):
        return await self._call(lambda: self.real.execute(statement))

    async def run(self, sequence):
        return await self._call(lambda: self.real.run(sequence))

    async def health(self):
        return await self.real.health()

    async def close(self):
        await self.real.close()

    async def _call(self, call):
        self.count += 1
        dies = self.dies_at is not None and self.count == self.dies_at
        if dies:
            self.has_died = True
            if self.after:
                await call()
            raise OutcomeUnknown("the connection was reset")
        return await call()


@pytest.fixture
async def dying(anyio_backend, sqlite_service, run_app, doubles, frozen_clock):
    """A world whose database connection can be told to fail at any call."""
    database = DyingDatabase(sqlite_service)
    async with run_app(sqlite_service, database=database, settlements_chunk_size=2) as app:
        yield World(app, doubles, frozen_clock), database
