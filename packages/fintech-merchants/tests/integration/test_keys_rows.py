"""The rows of API keys on every engine: later positions win, and each statement finds what it is for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)
from fintech_dbclient import Database, HttpDatabase, Statement, UniqueViolation, migrate
from fintech_kernel.testing.database import database_service
from fintech_merchants.infrastructure import key_queries
from fintech_merchants.infrastructure.key_queries import KeyFilter, KeyRow
from fintech_merchants.infrastructure.tables import MIGRATIONS

pytestmark = pytest.mark.anyio

ROW = KeyRow(
    key_id="key_1",
    merchant_id="mer_1",
    name="shop",
    digest="k1:00",
    last_four="abcd",
    scopes="payments:read",
    status="active",
    revoked_because="",
    rotated_from="",
    rotated_to="",
    expires_at=None,
    created_at=1,
    updated_at=1,
    seq=1,
)


@pytest.fixture(scope="module")
def sqlite_service(tmp_path_factory) -> Iterator[str]:
    with database_service(f"sqlite:///{tmp_path_factory.mktemp('keys')}/test.db") as url:
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


async def write(database: Database, **changes: Any) -> KeyRow:
    row = replace(ROW, **changes)
    await database.execute(key_queries.upsert_key(row))
    return row


async def read(database: Database, row: KeyRow) -> KeyRow:
    result = await database.execute(key_queries.key_by_id(row.merchant_id, row.key_id))
    return KeyRow.from_row(result.rows[0])


async def found(database: Database, statement: Statement) -> list[str]:
    return [str(row["key_id"]) for row in (await database.execute(statement)).rows]


async def test_a_later_position_wins_whichever_comes_first_and_however_often(database):
    key = {"key_id": "key_a", "digest": "k1:aa"}
    for status, seq in (("active", 1), ("revoked", 3), ("expiring", 2), ("active", 1)):
        for _ in range(2):
            await write(database, **key, status=status, seq=seq)

    standing = await read(database, replace(ROW, key_id="key_a"))
    assert (standing.status, standing.seq) == ("revoked", 3)


async def test_two_keys_cannot_have_one_hmac(database):
    await write(database, key_id="key_b", digest="k1:bb")

    with pytest.raises(UniqueViolation):
        await write(database, key_id="key_b2", digest="k1:bb")


async def test_a_key_is_found_by_its_hmac_and_by_its_merchants_id_with_the_merchants_status(
    database,
):
    await write(database, key_id="key_c", merchant_id="mer_c", digest="k0:cc", expires_at=9)
    by_digest = key_queries.credential_by_digest(["k1:cd", "k0:cc"])
    by_id = key_queries.credential_by_id("mer_c", "key_c")
    without_merchant = await found(database, by_digest)
    await database.execute(
        Statement(
            name="test.merchant",
            sql="INSERT INTO merchants_merchants"
            " (merchant_id, status, name, currencies, created_at, seq, data)"
            " VALUES ('mer_c', 'suspended', 'Duka', 'KES', 1, 1, '{}')",
        )
    )

    rows = [(await database.execute(one)).rows for one in (by_digest, by_id)]

    assert without_merchant == []
    assert [[dict(row) for row in each] for each in rows] == [
        [
            {
                "key_id": "key_c",
                "merchant_id": "mer_c",
                "digest": "k0:cc",
                "scopes": "payments:read",
                "status": "active",
                "expires_at": 9,
                "merchant_status": "suspended",
            }
        ]
    ] * 2
    assert await found(database, key_queries.credential_by_id("mer_d", "key_c")) == []


async def test_pages_and_counts_are_narrowed_by_status_and_end(database):
    for number, (status, expires_at) in enumerate(
        (("active", None), ("active", 10), ("expiring", 10), ("revoked", None), ("active", 5))
    ):
        await write(
            database,
            key_id=f"key_e{number}",
            merchant_id="mer_e",
            digest=f"k1:e{number}",
            status=status,
            expires_at=expires_at,
        )

    async def page(narrowed: KeyFilter | None, before: str | None = None) -> list[str]:
        statement = key_queries.keys_page("mer_e", narrowed=narrowed, before=before, limit=3)
        return await found(database, statement)

    living = KeyFilter(statuses=("active",), expires_after=5)
    over = KeyFilter(statuses=("active", "expiring"), expires_until=10)
    assert await page(None) == ["key_e4", "key_e3", "key_e2"]
    assert await page(None, before="key_e2") == ["key_e1", "key_e0"]
    assert await page(living) == ["key_e1", "key_e0"]
    assert await page(over) == ["key_e4", "key_e2", "key_e1"]
    counted = await database.execute(key_queries.keys_counted("mer_e", living))
    assert counted.rows[0]["counted"] == 2


async def test_the_last_use_only_moves_forward_and_leaves_the_rest(database):
    row = await write(database, key_id="key_f", digest="k1:ff")
    for used_at in (7, 5):
        await database.execute(key_queries.note_use("mer_1", "key_f", used_at))
    await database.execute(key_queries.note_use("mer_2", "key_f", 9))
    await write(database, key_id="key_f", digest="k1:ff", status="revoked", seq=2)

    result = await database.execute(key_queries.key_by_id("mer_1", "key_f"))
    assert result.rows[0]["last_used_at"] == 7
    assert KeyRow.from_row(result.rows[0]) == replace(row, status="revoked", seq=2)
