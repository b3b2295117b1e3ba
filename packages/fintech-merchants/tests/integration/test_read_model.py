"""The read model on every engine: later positions win, pages follow one another."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)
from fintech_dbclient import Database, HttpDatabase, migrate
from fintech_kernel.testing.database import database_service
from fintech_merchants.infrastructure import queries
from fintech_merchants.infrastructure.queries import MerchantRow
from fintech_merchants.infrastructure.tables import MIGRATIONS

pytestmark = pytest.mark.anyio

ROW = MerchantRow(
    merchant_id="mer_1",
    status="pending",
    name="Duka",
    currencies="KES",
    created_at=1,
    seq=1,
    data="{}",
)


@pytest.fixture(scope="module")
def sqlite_service(tmp_path_factory) -> Iterator[str]:
    with database_service(f"sqlite:///{tmp_path_factory.mktemp('merchants')}/test.db") as url:
        asyncio.run(_migrate(url))
        yield url


@pytest.fixture(scope="module")
def postgresql_service() -> Iterator[str]:
    try:
        with start_postgresql() as server, start_service(create_database(server)) as url:
            asyncio.run(_migrate(url))
            yield url
    except PostgresqlMissing as error:
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def service(request) -> str:
    return request.getfixturevalue(f"{request.param}_service")


@pytest.fixture
async def database(anyio_backend, service: str) -> AsyncIterator[Database]:
    async with HttpDatabase(service) as opened:
        yield opened


async def _migrate(url: str) -> None:
    async with HttpDatabase(url) as opened:
        await migrate(opened, "fintech-merchants", MIGRATIONS)


async def _statuses(database: Database, **where) -> list[tuple[object, object]]:
    asked = {"merchant_id": None, "status": None, "before": None, "limit": 10, **where}
    result = await database.execute(queries.merchants_page(**asked))
    return [(row["merchant_id"], row["status"]) for row in result.rows]


async def test_a_later_position_wins_whichever_comes_first(database):
    for status, seq in (("pending", 1), ("suspended", 3), ("active", 2), ("pending", 1)):
        row = replace(ROW, merchant_id="mer_a", status=status, seq=seq)
        await database.execute(queries.upsert_merchant(row))

    assert await _statuses(database, merchant_id="mer_a") == [("mer_a", "suspended")]


async def test_pages_and_conditions_narrow_the_list(database):
    for number, status in enumerate(("pending", "active", "pending")):
        row = replace(ROW, merchant_id=f"mer_b{number}", status=status)
        await database.execute(queries.upsert_merchant(row))

    assert await _statuses(database, before="mer_b2", limit=1) == [("mer_b1", "active")]
    assert await _statuses(database, merchant_id="mer_b1", status="pending") == []
    assert await _statuses(database, status="active", before="mer_b3", limit=1) == [
        ("mer_b1", "active")
    ]
