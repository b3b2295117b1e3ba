"""Steps run once in effect, whoever starts and however many at once."""

import asyncio
import uuid

import pytest
from fintech_dbclient import (
    Migration,
    MigrationRefused,
    Statement,
    UniqueViolation,
    migrate,
    pending,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def prefix() -> str:
    return f"m{uuid.uuid4().hex[:10]}"


def steps(prefix: str) -> list[Migration]:
    return [
        Migration(
            number=1,
            name="create notes",
            statements=(
                (
                    f"CREATE TABLE IF NOT EXISTS {prefix}_notes (k TEXT NOT NULL PRIMARY KEY, "
                    "n BIGINT NOT NULL CHECK (n IN (1, 2)), UNIQUE (n, k))"
                ),
                f"CREATE INDEX IF NOT EXISTS {prefix}_by_n ON {prefix}_notes (n)",
            ),
        ),
        Migration(
            number=2,
            name="notes have colours",
            statements=(f"ALTER TABLE {prefix}_notes ADD COLUMN colour TEXT",),
        ),
    ]


async def test_steps_run_in_order_and_once(database_url, connect, prefix):
    async with connect(database_url) as database:
        assert len(await pending(database, prefix, steps(prefix))) == 2
        first = await migrate(database, prefix, steps(prefix)[:1])
        second = await migrate(database, prefix, steps(prefix))
        third = await migrate(database, prefix, steps(prefix))
        assert await pending(database, prefix, steps(prefix)) == ()
        sql = f"INSERT INTO {prefix}_notes (k, n, colour) VALUES (?, ?, ?)"  # noqa: S608 - built of the test's own words
        await database.execute(Statement(name="put", sql=sql, params=("a", 1, "red")))
    assert (first.applied, first.present) == ((1,), ())
    assert (second.applied, second.present) == ((2,), (1,))
    assert (third.applied, third.present) == ((), (1, 2))


async def test_sixty_four_starters_at_once_agree(database_url, connect, prefix):
    async def start():
        async with connect(
            database_url, timeout_seconds=30, request_timeout_seconds=20, coalesce=False
        ) as database:
            return await migrate(database, prefix, steps(prefix))

    reports = await asyncio.gather(*[start() for _ in range(64)])
    for number in (1, 2):
        assert sum(number in report.applied for report in reports) <= 1
    async with connect(database_url) as database:
        assert await pending(database, prefix, steps(prefix)) == ()


async def test_an_edited_step_is_refused_and_the_error_says_what_to_do(sqlite_url, connect, prefix):
    edited = Migration(number=1, name="create notes", statements=("CREATE TABLE x (a TEXT)",))
    async with connect(sqlite_url) as database:
        await migrate(database, prefix, steps(prefix))
        with pytest.raises(MigrationRefused, match=r"migration 1 .* new migration"):
            await migrate(database, prefix, [edited])
        with pytest.raises(MigrationRefused):
            await pending(database, prefix, [edited])


async def test_white_space_is_no_edit(prefix):
    spaced = [
        Migration(
            number=each.number,
            name=each.name,
            statements=tuple(sql.replace(" ", "\n   ") for sql in each.statements),
        )
        for each in steps(prefix)
    ]
    assert [each.checksum for each in spaced] == [each.checksum for each in steps(prefix)]


async def test_numbers_without_gaps_are_required(sqlite_url, connect, prefix):
    async with connect(sqlite_url) as database:
        with pytest.raises(MigrationRefused, match="1, 2, 3"):
            await migrate(database, prefix, steps(prefix)[1:])


async def test_a_step_that_cannot_run_is_an_error_and_is_not_recorded(sqlite_url, connect, prefix):
    broken = [Migration(number=1, name="broken", statements=("CREATE TABEL x",))]
    async with connect(sqlite_url) as database:
        with pytest.raises(Exception, match="migration_1"):
            await migrate(database, prefix, broken)
        assert len(await pending(database, prefix, broken)) == 1


async def test_a_column_that_another_starter_added_is_no_error(database_url, connect, prefix):
    async with connect(database_url) as database:
        await migrate(database, prefix, steps(prefix)[:1])
        sql = f"ALTER TABLE {prefix}_notes ADD COLUMN colour TEXT"
        await database.execute(Statement(name="other starter", sql=sql))
        report = await migrate(database, prefix, steps(prefix))
    assert report.applied == (2,)


class WithoutDdl:
    """An engine that makes no tables: ``there`` says which columns it has."""

    def __init__(self, there: dict[str, set[str]]) -> None:
        self.there = there
        self.statements: list[str] = []

    async def execute(self, statement):
        from fintech_dbclient import Refused, Result, UnknownTable, Unsupported

        words = statement.sql.replace(",", "").split()
        self.statements.append(statement.sql)
        if words[0] != "SELECT":
            raise Unsupported(statement.name)
        table = words[words.index("FROM") + 1]
        if table not in self.there:
            raise UnknownTable(statement.name)
        if not set(words[1 : words.index("FROM")]) <= self.there[table]:
            raise Refused(statement.name)
        return Result()


async def test_an_engine_without_ddl_is_verified_instead():
    engine = WithoutDdl({"x_notes": {"k", "n", "colour"}})
    report = await migrate(engine, "x", steps("x"))
    assert report.verified == (1, 2)
    assert "SELECT k, n FROM x_notes WHERE k = ?" in engine.statements


@pytest.mark.parametrize("there", [{}, {"x_notes": {"k", "n"}}])
async def test_what_an_engine_without_ddl_lacks_is_named(there):
    with pytest.raises(MigrationRefused, match=r"x_notes \(.*own tools"):
        await migrate(WithoutDdl(there), "x", steps("x"))


class Racing(WithoutDdl):
    """PostgreSQL as a starter sees it that loses the race for the catalogue."""

    async def execute(self, statement):
        from fintech_dbclient import Result, UnknownTable

        self.statements.append(statement.sql)
        if statement.sql.startswith("CREATE") and self.statements.count(statement.sql) < 3:
            raise UniqueViolation(statement.name, constraint="pg_type_typname_nsp_index")
        if len(self.statements) == 1:
            raise UnknownTable(statement.name)
        return Result()


async def test_a_race_for_the_catalogue_is_run_again():
    engine = Racing({})
    report = await migrate(engine, "x", steps("x"))
    assert report.applied == (1, 2)
