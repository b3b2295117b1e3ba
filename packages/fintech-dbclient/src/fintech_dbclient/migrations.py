"""Tables made and changed by numbered steps, each a single statement that may run again.

A package lists its ``Migration``s; ``migrate`` runs those that table ``schema_migrations`` does not
know and records each when it is done. There are no transactions and no locks: every statement is
of the ``IF NOT EXISTS`` kind, so several processes may start at once and each may run all of it.
What stands in ``schema_migrations`` is history and never changes: a step that was edited after it
was recorded is refused by its checksum.

Engines without DDL keep their tables by themselves: there each step is *verified* by reading.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString, cast

from fintech_dbclient.database import Database
from fintech_dbclient.errors import (
    DatabaseError,
    Refused,
    StatementFailed,
    SyntaxRefused,
    UniqueViolation,
    UnknownTable,
    Unsupported,
)
from fintech_dbclient.statements import Statement

STATEMENT_ATTEMPTS_MAX = 10
"""How often one step is tried when starters get in one another's way."""

_CREATE_HISTORY: LiteralString = (
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "migration_id TEXT NOT NULL PRIMARY KEY, package TEXT NOT NULL, number BIGINT NOT NULL, "
    "name TEXT NOT NULL, checksum TEXT NOT NULL)"
)
_SELECT_HISTORY: LiteralString = (
    "SELECT migration_id, checksum FROM schema_migrations WHERE package = ?"
)
_INSERT_HISTORY: LiteralString = (
    "INSERT INTO schema_migrations (migration_id, package, number, name, checksum) "
    "VALUES (?, ?, ?, ?, ?)"
)

_IDENTIFIER = r"([a-z_][a-z0-9_]{0,62})"
_CREATE_TABLE = re.compile(
    rf"\s*CREATE TABLE IF NOT EXISTS {_IDENTIFIER}\s*\((.*)\)\s*", re.IGNORECASE | re.DOTALL
)
_ADD_COLUMN = re.compile(
    rf"\s*ALTER TABLE {_IDENTIFIER}\s+ADD COLUMN\s+(.*)", re.IGNORECASE | re.DOTALL
)
_COLUMN = re.compile(rf"\s*{_IDENTIFIER}\s+(TEXT|BIGINT)\b", re.IGNORECASE)


class MigrationRefused(DatabaseError):
    """The steps do not fit one another, or not what stands in the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of a package.

    Attributes:
        number: 1, 2, 3 ... without gaps within a package.
        name: what it does, in words ("create payments").
        statements: ``CREATE TABLE IF NOT EXISTS``, ``CREATE INDEX IF NOT EXISTS`` and
            ``ALTER TABLE .. ADD COLUMN`` statements, each of which may run again.
    """

    number: int
    name: str
    statements: tuple[LiteralString, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements; white space does not count."""
        text = "\0".join(" ".join(sql.split()) for sql in self.statements)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """What ``migrate`` found and did.

    Attributes:
        package: whose migrations.
        applied: numbers of the steps that this call ran and recorded.
        present: numbers of the steps that were recorded before.
        verified: numbers of the steps that the engine cannot run and whose tables are there.
    """

    package: str
    applied: tuple[int, ...] = ()
    present: tuple[int, ...] = ()
    verified: tuple[int, ...] = ()


async def migrate(
    database: Database, package: str, migrations: Sequence[Migration]
) -> MigrationReport:
    """Run the steps that the database does not have yet; safe from many processes at once.

    Raises:
        MigrationRefused: a recorded step was edited, numbers have gaps, or a table is missing on
            an engine without DDL.
        DatabaseError: the database could not do it.
    """
    _check_numbers(package, migrations)
    try:
        open_steps = await _pending_in_history(database, package, migrations)
    except UnknownTable:
        if not await _create_history(database):
            return await _verify(database, package, migrations)
        open_steps = await _pending_in_history(database, package, migrations)
    applied: list[int] = []
    for migration in open_steps:
        for sql in migration.statements:
            await _apply(database, package, migration, sql)
        if await _record(database, package, migration):
            applied.append(migration.number)
    open_numbers = {migration.number for migration in open_steps}
    return MigrationReport(
        package=package,
        applied=tuple(applied),
        present=tuple(each.number for each in migrations if each.number not in open_numbers),
    )


async def pending(
    database: Database, package: str, migrations: Sequence[Migration]
) -> tuple[Migration, ...]:
    """Return the steps that are not recorded yet, without running anything.

    Raises:
        MigrationRefused: a recorded step was edited, or numbers have gaps.
        DatabaseError: the database could not be asked.
    """
    _check_numbers(package, migrations)
    try:
        return await _pending_in_history(database, package, migrations)
    except UnknownTable:
        return tuple(migrations)


async def _pending_in_history(
    database: Database, package: str, migrations: Sequence[Migration]
) -> tuple[Migration, ...]:
    result = await database.execute(
        Statement(name="migrations.history", sql=_SELECT_HISTORY, params=(package,))
    )
    recorded = {row["migration_id"]: row["checksum"] for row in result.rows}
    for migration in migrations:
        checksum = recorded.get(_key(package, migration))
        if checksum is not None and checksum != migration.checksum:
            raise MigrationRefused(
                f"{package}: migration {migration.number} ({migration.name}) was edited after this "
                "database ran it: restore its statements and put the change into a new migration"
            )
    return tuple(each for each in migrations if _key(package, each) not in recorded)


def _check_numbers(package: str, migrations: Sequence[Migration]) -> None:
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationRefused(
                f"{package}: migration {migration.number} ({migration.name}) stands where "
                f"{expected} is due: number them 1, 2, 3 ... in order"
            )


async def _create_history(database: Database) -> bool:
    """Make the table of history; False where the engine has no DDL."""
    statement = Statement(name="migrations.create_history", sql=_CREATE_HISTORY)
    try:
        await _execute_repeatedly(database, statement)
    except (Unsupported, SyntaxRefused, Refused):
        return False
    return True


async def _apply(
    database: Database, package: str, migration: Migration, sql: LiteralString
) -> None:
    name = f"{package}.migration_{migration.number}"
    try:
        await _execute_repeatedly(database, Statement(name=name, sql=sql))
    except StatementFailed:
        # ADD COLUMN has no IF NOT EXISTS on SQLite: another starter may have added it.
        if _ADD_COLUMN.match(sql) is None or await _missing(database, name, sql):
            raise


async def _execute_repeatedly(database: Database, statement: Statement) -> None:
    """Run a DDL statement, again if another starter runs it at the same moment.

    PostgreSQL's ``IF NOT EXISTS`` looks first and then inserts into its catalogue, so one of two
    starters may fail with a unique violation on ``pg_type`` or ``pg_class``.
    """
    for attempt in range(1, STATEMENT_ATTEMPTS_MAX + 1):
        try:
            await database.execute(statement)
        except UniqueViolation:
            if attempt == STATEMENT_ATTEMPTS_MAX:
                raise
            await asyncio.sleep(0.01 * attempt)
        else:
            return


async def _record(database: Database, package: str, migration: Migration) -> bool:
    """Write history; False where another starter wrote it first."""
    key = _key(package, migration)
    statement = Statement(
        name="migrations.record",
        sql=_INSERT_HISTORY,
        params=(key, package, migration.number, migration.name, migration.checksum),
    )
    try:
        await database.execute(statement)
    except UniqueViolation:
        # Another starter wrote it, or our own first attempt whose reply was lost: compare.
        return bool(await _pending_in_history(database, package, (migration,)))
    return True


async def _verify(
    database: Database, package: str, migrations: Sequence[Migration]
) -> MigrationReport:
    """Read every table and column that the steps would have made."""
    missing: list[str] = []
    for migration in migrations:
        for sql in migration.statements:
            missing += await _missing(database, f"{package}.verify_{migration.number}", sql)
    if missing:
        raise MigrationRefused(
            f"{package}: this engine makes no tables itself and lacks {', '.join(missing)}: "
            "create them with the engine's own tools, then start again"
        )
    return MigrationReport(
        package=package, verified=tuple(migration.number for migration in migrations)
    )


async def _missing(database: Database, name: str, sql: str) -> list[str]:
    """Read what a step made, in core statements; return the table if it cannot be read."""
    table, columns = _table_and_columns(sql)
    if not columns:  # an index: no promise of the contract rests on reading one
        return []
    first, kind = columns[0]
    listed = ", ".join(column for column, _ in columns)
    # Every part matched _IDENTIFIER and comes from a migration's own literal text.
    select = cast("LiteralString", f"SELECT {listed} FROM {table} WHERE {first} = ?")  # noqa: S608
    try:
        await database.execute(
            Statement(name=name, sql=select, params=("" if kind == "TEXT" else 0,))
        )
    except StatementFailed:
        return [f"{table} ({listed})"]
    return []


def _table_and_columns(sql: str) -> tuple[str, list[tuple[str, str]]]:
    """Name the table of a CREATE TABLE or ADD COLUMN, and its columns with their types."""
    created, added = _CREATE_TABLE.fullmatch(sql), _ADD_COLUMN.match(sql)
    if created is not None:
        table, definitions = created[1], _split_at_commas(created[2])
    elif added is not None:
        table, definitions = added[1], [added[2]]
    else:
        return "", []
    found = [_COLUMN.match(definition) for definition in definitions]
    return table, [(each[1], each[2].upper()) for each in found if each is not None]


def _split_at_commas(text: str) -> list[str]:
    """Split column definitions at commas outside of parentheses."""
    parts, depth, start = list[str](), 0, 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _key(package: str, migration: Migration) -> str:
    return f"{package}:{migration.number}"
