"""The worlds of these tests: a real database service, on SQLite and on PostgreSQL."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)
from fintech_dbclient import Database, HttpDatabase, NotExecuted, Result, Statement, migrate
from fintech_kernel.contracts.accounts import merchant_account, processor_account
from fintech_kernel.contracts.ledger import Posting
from fintech_kernel.money import Money
from fintech_kernel.simulation.infrastructure.model_database import ModelDatabase
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.database import database_service
from fintech_ledger.domain.books import Books
from fintech_ledger.domain.folding import Folding
from fintech_ledger.domain.folds import Fold, Want
from fintech_ledger.domain.service import DoubleEntryLedger
from fintech_ledger.infrastructure.tables import MIGRATIONS

NOW = 1_000_000

FOLDS_MAX = 1_000


@pytest.fixture(scope="session")
def sqlite_service(tmp_path_factory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("ledger") / "test.db"
    with database_service(f"sqlite:///{path}") as url:
        asyncio.run(_migrate(url))
        yield url


@pytest.fixture(scope="session")
def postgresql_service() -> Iterator[str]:
    try:
        with start_postgresql() as server, start_service(create_database(server)) as url:
            asyncio.run(_migrate(url))
            yield url
    except PostgresqlMissing as error:
        pytest.skip(str(error))


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], scope="session"
)
def service(request) -> str:
    return request.getfixturevalue(f"{request.param}_service")


@pytest.fixture
async def database(anyio_backend, service: str) -> AsyncIterator[Database]:
    async with HttpDatabase(service) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    try:
        with start_postgresql() as server:
            yield server
    except PostgresqlMissing as error:
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_service(request, tmp_path) -> Iterator[str]:
    """A database of one test's own: folds are one chain for all merchants."""
    if request.param == "sqlite":
        engine = f"sqlite:///{tmp_path}/test.db"
    else:
        engine = create_database(request.getfixturevalue("postgresql_server"))
    with start_service(engine) as url:
        asyncio.run(_migrate(url))
        yield url


@pytest.fixture
async def empty_database(anyio_backend, empty_service: str) -> AsyncIterator[Database]:
    async with HttpDatabase(empty_service) as opened:
        yield opened


@pytest.fixture
def real_book(empty_database: Database) -> "World":
    """A merchant's corner of empty books, on each engine."""
    return World(empty_database, DoubleEntryLedger(database=empty_database))


@pytest.fixture(scope="session")
def migrated() -> bytes:
    """An empty SQLite database with our tables."""
    model = ModelDatabase()
    for migration in MIGRATIONS:
        for sql in migration.statements:
            model.execute(Statement(name="migrate", sql=sql))
    return model.state()


@pytest.fixture
def book(migrated: bytes) -> "World":
    """A merchant's corner of empty books, in memory: the same statements without a service to start."""
    database = MemoryDatabase(migrated)
    return World(database, DoubleEntryLedger(database=database))


class MemoryDatabase:
    """SQLite in memory behind the client's port; others come in between any two statements."""

    def __init__(self, state: bytes) -> None:
        self._model = ModelDatabase()
        self._model.restore(state)

    async def execute(self, statement: Statement) -> Result:
        return (await self.run([statement]))[0].unwrap()

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        results: list[Result] = []
        for statement in sequence:
            await asyncio.sleep(0)
            failed = bool(results) and results[-1].error is not None
            results.append(
                Result(error=NotExecuted(statement.name))
                if failed
                else self._model.execute(statement)
            )
        return results


@pytest.fixture
def ledger(database: Database) -> DoubleEntryLedger:
    return DoubleEntryLedger(database=database)


_numbers = itertools.count(1)


class World:
    """One merchant's corner of the books: every test has a merchant of its own."""

    def __init__(self, database: Database, ledger: DoubleEntryLedger) -> None:
        self.database = database
        self.ledger = ledger
        self.number = next(_numbers)
        self.merchant_id = f"mer_{self.number:06}"
        self.settlement_id = f"set_{self.number:06}"
        self.account = merchant_account(self.merchant_id, "KES")
        self.processor = processor_account("sandbox", "KES")
        self.operations = itertools.count(1)
        self.clock = FrozenClock(NOW)

    def folding(self, *, size: int = 3, database: Database | None = None) -> Folding:
        return Folding(database=database or self.database, clock=self.clock, size=size)

    async def fold(self, cutoff: int, *, period: str = "", size: int = 3) -> Fold:
        done = await self.folding(size=size).fold(
            Want(cutoff=cutoff, period=period), folds_max=FOLDS_MAX
        )
        assert done is not None
        return done

    async def balance(self, name: str | None = None) -> int:
        found = await self.books.account(name or self.account, merchant_id=None)
        return found.balance

    @property
    def books(self) -> Books:
        return Books(database=self.database, clock=self.clock)

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        result = await self.database.execute(Statement(name="test.rows", sql=sql))
        return [dict(row) for row in result.rows]

    async def write(self, sql: str, *params: str | int) -> None:
        """Change rows as nobody may: what the books must notice."""
        await self.database.execute(Statement(name="test.write", sql=sql, params=params))

    def operation(self) -> str:
        return f"op_{self.number:06}_{next(self.operations):04}"

    def credit(self, amount: int, **options) -> Posting:
        return self.leg(self.processor, self.account, amount, **options)

    def debit(self, amount: int, **options) -> Posting:
        return self.leg(self.account, self.processor, amount, **options)

    def leg(
        self,
        debit: str,
        credit: str,
        amount: int,
        *,
        leg: str = "capture",
        kind: str = "Settled",
        available_on: int = NOW,
        currency: str = "KES",
    ) -> Posting:
        return Posting(
            leg=leg,
            debit_account=debit,
            credit_account=credit,
            amount=Money(amount=amount, currency=currency),
            kind=kind,
            available_on=available_on,
            subject_id=f"pay_{self.number:06}",
            reference="order-1",
        )

    async def post(self, *legs: Posting, operation: str | None = None, at: int = NOW) -> str:
        operation_id = operation or self.operation()
        for write in self.ledger.postings(
            operation_id=operation_id, merchant_id=self.merchant_id, recorded_at=at, legs=legs
        ):
            await self.database.execute(write.statement)
        return operation_id

    async def claim(self, settlement_id: str | None = None, *, size: int = 3, cutoff: int = NOW):
        settlement = settlement_id or self.settlement_id
        return await self.ledger.claim(
            settlement_id=settlement,
            own_transfer_id=f"op_{settlement}:settle",
            merchant_id=self.merchant_id,
            account=self.account,
            cutoff=cutoff,
            chunk_size=size,
        )

    async def lines(self, settlement_id: str | None = None):
        return await self.ledger.lines(
            settlement_id=settlement_id or self.settlement_id,
            merchant_id=self.merchant_id,
            after="",
            limit=1000,
        )


@pytest.fixture
def world(database: Database, ledger: DoubleEntryLedger) -> World:
    return World(database, ledger)


async def _migrate(url: str) -> None:
    async with HttpDatabase(url) as opened:
        await migrate(opened, "fintech-ledger", MIGRATIONS)
