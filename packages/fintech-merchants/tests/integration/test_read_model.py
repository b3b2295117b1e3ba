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
from fintech_merchants.infrastructure.queries import MerchantFilter, MerchantRow
from fintech_merchants.infrastructure.tables import MIGRATIONS

pytestmark = pytest.mark.anyio

ROW = MerchantRow(
    merchant_id="mer_1",
    status="pending",
    verification="unverified",
    name="Duka",
    currencies="KES",
    metadata_version=1,
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
    asked = {"merchant_id": None, "before": None, "limit": 10}
    asked |= {name: where.pop(name) for name in tuple(where) if name in asked}
    result = await database.execute(queries.merchants_page(**asked, where=MerchantFilter(**where)))
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


async def test_verification_and_time_narrow_the_list(database):
    for number, verification in enumerate(("unverified", "verified", "verified")):
        row = replace(
            ROW, merchant_id=f"mer_c{number}", verification=verification, created_at=100 + number
        )
        await database.execute(queries.upsert_merchant(row))

    found = await _statuses(
        database, verification="verified", created_from=101, created_until=102, before="mer_c9"
    )
    assert found == [("mer_c1", "pending")]


async def test_a_currency_narrows_the_list(database):
    for merchant_id, currencies in (("mer_d1", ("KES", "UGX")), ("mer_d2", ("KES",))):
        await database.execute(queries.upsert_merchant(replace(ROW, merchant_id=merchant_id)))
        for _ in range(2):
            await database.execute(queries.upsert_currencies(merchant_id, currencies))

    assert await _statuses(database, currency="UGX") == [("mer_d1", "pending")]
    assert len(await _statuses(database, currency="KES", merchant_id="mer_d2")) == 1
    assert await _statuses(database, currency="UGX", merchant_id="mer_d2") == []


async def test_a_pair_counts_at_the_merchants_version_of_its_metadata(database):
    pairs = {"crm": "A-1", "till": "4"}
    await database.execute(queries.upsert_merchant(replace(ROW, merchant_id="mer_e1")))
    await database.execute(queries.upsert_metadata("mer_e1", pairs, version=1))
    assert len(await _statuses(database, metadata=("till", "4"))) == 1

    await database.execute(
        queries.upsert_merchant(replace(ROW, merchant_id="mer_e1", metadata_version=2, seq=2))
    )
    await database.execute(queries.upsert_metadata("mer_e1", {"crm": "A-2"}, version=2))
    await database.execute(queries.upsert_metadata("mer_e1", pairs, version=1))

    assert await _statuses(database, metadata=("till", "4")) == []
    assert await _statuses(database, metadata=("crm", "A-1")) == []
    assert len(await _statuses(database, metadata=("crm", "A-2"))) == 1


async def test_what_narrows_together_is_still_newest_first(database):
    for number in range(4):
        merchant_id = f"mer_f{number}"
        await database.execute(queries.upsert_merchant(replace(ROW, merchant_id=merchant_id)))
        await database.execute(queries.upsert_currencies(merchant_id, ["KES", "TZS"][number % 2 :]))
        await database.execute(queries.upsert_metadata(merchant_id, {"group": "f"}, version=1))

    pair = ("group", "f")
    both = await _statuses(database, metadata=pair, currency="TZS", limit=3)
    rest = await _statuses(database, metadata=pair, currency="TZS", before=str(both[-1][0]))
    kenyan = await _statuses(database, metadata=pair, currency="KES", status="pending")
    assert [one[0] for one in both + rest] == ["mer_f3", "mer_f2", "mer_f1", "mer_f0"]
    assert [one[0] for one in kenyan] == ["mer_f2", "mer_f0"]
