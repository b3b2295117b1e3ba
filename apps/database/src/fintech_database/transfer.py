"""Moving a whole database between engines: export, import, verify.

An export is a file of JSON lines: a head; then for every table a line that names it and its columns,
its rows as lists in the order of its key, and a line with their count and SHA-256. The same rows
give the same lines on every engine, because TEXT and BIGINT come back byte for byte and keys sort by
bytes. An export is one state of the database; an import is one transaction.

What does not live here: backups of one engine for itself (``care`` for SQLite; PostgreSQL has its
own tools).
"""

import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TextIO, cast

import apsw
import orjson

from fintech_database.care import CareFailed
from fintech_database.engines import EngineUnavailable, sqlite_path
from fintech_database.engines.postgresql_driver import (
    POSTGRESQL_LOST,
    PostgresqlConnection,
    PostgresqlError,
    connect_postgresql,
)
from fintech_database.engines.sqlite_driver import SqliteConnection, connect_sqlite
from fintech_database.forms import FormRefused, Kind, read_form
from fintech_database.statements import Value

FORMAT: Final = "fintech-database export"
VERSION: Final = 1
ROWS_AT_ONCE: Final = 500
"""Rows per statement round: enough to be quick, little to hold."""


class TransferFailed(CareFailed):
    """Nothing was changed, and the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as both engines describe it.

    ``definitions`` are its CREATE statements where the engine keeps them (SQLite does).
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    definitions: tuple[str, ...] = ()

    def select(self) -> str:
        """Read all rows in an order that is the same everywhere."""
        # Without a key every column decides, and NULL sorts differently: it is told apart first.
        order = [quoted(column) for column in self.key] or [
            part
            for column in self.columns
            for part in (f"{quoted(column)} IS NULL", quoted(column))
        ]
        columns = ", ".join(map(quoted, self.columns))
        return f"SELECT {columns} FROM {quoted(self.name)} ORDER BY {', '.join(order)}"  # noqa: S608

    def insert(self, placeholders: Iterable[str]) -> str:
        """Insert one row."""
        columns = ", ".join(map(quoted, self.columns))
        values = ", ".join(placeholders)
        return f"INSERT INTO {quoted(self.name)} ({columns}) VALUES ({values})"  # noqa: S608


def quoted(name: str) -> str:
    """A name as SQL writes it; it comes from a catalog or from a file that says it is an export."""
    return '"' + name.replace('"', '""') + '"'


class Hash(Protocol):
    """What is used of ``hashlib``."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """The hash so far."""
        ...


@dataclass(slots=True, kw_only=True)
class Digest:
    """Count and SHA-256 of rows as they pass by."""

    table: Table
    rows: int = 0
    _hash: "Hash" = field(default_factory=hashlib.sha256)

    def line(self, row: Sequence[object]) -> bytes:
        """Count a row; its line.

        Raises:
            TransferFailed: a value is neither TEXT nor BIGINT nor NULL.
        """
        for column, value in zip(self.table.columns, row, strict=True):
            if value is not None and type(value) not in {str, int}:
                raise TransferFailed(
                    f"row {self.rows + 1} of {self.table.name} has a {type(value).__name__} in"
                    f" {column}: only TEXT and BIGINT can be moved"
                )
        line = orjson.dumps(list(row))
        self.rows += 1
        self._hash.update(line + b"\n")
        return line

    def summary(self) -> dict[str, object]:
        """The line at the end of a table."""
        return {"end": self.table.name, "rows": self.rows, "sha256": self._hash.hexdigest()}


class Source(Protocol):
    """One state of a database, and for imports one transaction on it."""

    async def tables(self) -> list[Table]:
        """All tables, by name."""
        ...

    def rows(self, table: Table) -> AsyncGenerator[Sequence[object]]:
        """A table's rows in the order of ``Table.select``."""
        ...

    async def insert(self, table: Table, rows: Sequence[Sequence[Value]]) -> None:
        """Insert rows."""
        ...

    async def define(self, statement: str) -> None:
        """Run a CREATE statement of an export."""
        ...


# ---------------------------------------------------------------------------- commands


async def export_to(url: str, path: str) -> str:
    """Write everything to a new file.

    Raises:
        TransferFailed: the file exists, or a value cannot be moved.
        EngineUnavailable: the database cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise TransferFailed(f"{path} cannot be created: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            summaries: list[str] = []
            async with open_source(url, writes=False) as source:
                file.write(orjson.dumps({"format": FORMAT, "version": VERSION}) + b"\n")
                for table in await source.tables():
                    head = {
                        "table": table.name,
                        "columns": table.columns,
                        "key": table.key,
                        "definitions": table.definitions,
                    }
                    file.write(orjson.dumps(head) + b"\n")
                    digest = Digest(table=table)
                    async with aclosing(source.rows(table)) as rows:
                        async for row in rows:
                            file.write(digest.line(row) + b"\n")
                    file.write(orjson.dumps(digest.summary()) + b"\n")
                    summaries.append(_told(digest.summary()))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        _discard(path)
        raise
    return "\n".join(summaries)


async def import_from(url: str, path: str) -> str:
    """Read a file into a database, creating tables that are missing, all or nothing.

    A table that exists must have the columns of the export, and either no rows or the very rows of
    the export.

    Raises:
        TransferFailed: the file is damaged, or the database holds other rows.
        EngineUnavailable: the database cannot be used.
    """
    summaries: list[str] = []
    with _open(path) as file:
        async with open_source(url, writes=True) as target:
            present = {table.name: table for table in await target.tables()}
            for table, rows in _read(file):
                existing = present.get(table.name)
                if existing is None:
                    await _define(target, table)
                elif set(existing.columns) != set(table.columns):
                    raise TransferFailed(
                        f"table {table.name} has other columns here than in {path}: migrate both"
                        " sides to the same version first"
                    )
                elif await _is_filled(target, table):
                    # Its rows are compared below by ``verify``, as everything is.
                    for _ in rows:
                        pass
                    continue
                pending: list[list[Value]] = []
                for row in rows:
                    pending.append(row)
                    if len(pending) == ROWS_AT_ONCE:
                        await target.insert(table, pending)
                        pending = []
                if pending:
                    await target.insert(table, pending)
            file.seek(0)
            summaries = await _compare(target, file)
    return "\n".join(summaries)


async def verify(url: str, path: str) -> str:
    """Compare every table of a file with a database, by count and SHA-256.

    Raises:
        TransferFailed: they differ; the message names the tables.
        EngineUnavailable: the database cannot be read.
    """
    with _open(path) as file:
        async with open_source(url, writes=False) as source:
            return "\n".join(await _compare(source, file))


async def _compare(source: Source, file: TextIO) -> list[str]:
    present = {table.name for table in await source.tables()}
    summaries: list[str] = []
    differences: list[str] = []
    for table, rows in _read(file):
        expected = Digest(table=table)
        for row in rows:
            expected.line(row)
        actual = Digest(table=table)
        if table.name in present:
            async with aclosing(source.rows(table)) as found:
                async for row in found:
                    actual.line(row)
        if actual.summary() == expected.summary():
            summaries.append(_told(actual.summary()))
        else:
            differences.append(
                f"{table.name}: {expected.rows} rows in the file, {actual.rows} here"
            )
    if differences:
        raise TransferFailed("the database differs from the file: " + "; ".join(differences))
    return summaries


async def _define(target: Source, table: Table) -> None:
    if not table.definitions:
        raise TransferFailed(
            f"table {table.name} does not exist here and the export has no definition of it"
            " (PostgreSQL keeps none): run the application's migrations on this database first"
        )
    for definition in table.definitions:
        try:
            kind = read_form(definition).kind
        except FormRefused as refusal:
            raise TransferFailed(f"table {table.name} cannot be created here: {refusal}") from None
        if kind is not Kind.SCHEMA:
            raise TransferFailed(
                f"the definition of table {table.name} is none: the file is damaged"
            )
        await target.define(definition)


async def _is_filled(source: Source, table: Table) -> bool:
    async with aclosing(source.rows(table)) as rows:
        async for _ in rows:
            return True
    return False


def _discard(path: str) -> None:
    Path(path).unlink()


def _told(summary: dict[str, object]) -> str:
    return f"{summary['end']}: {summary['rows']} rows, sha256 {summary['sha256']}"


# ---------------------------------------------------------------------------- the file


def _open(path: str) -> TextIO:
    try:
        return Path(path).open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise TransferFailed(f"{path} cannot be read: {error.strerror}") from error


def _read(file: TextIO) -> Iterator[tuple[Table, Iterator[list[Value]]]]:
    """Tables of an export with their rows, checked against their counts and hashes.

    Raises:
        TransferFailed: the file is damaged or no export.
    """
    lines = iter(file)
    if _object(next(lines, "")) != {"format": FORMAT, "version": VERSION}:
        raise TransferFailed(f"{file.name} is not an export of version {VERSION}")
    for line in lines:
        head = _object(line)
        table = Table(
            name=str(head.get("table")),
            columns=tuple(cast("list[str]", head.get("columns") or [])),
            key=tuple(cast("list[str]", head.get("key") or [])),
            definitions=tuple(cast("list[str]", head.get("definitions") or [])),
        )
        yield table, _rows(lines, table)


def _rows(lines: Iterator[str], table: Table) -> Iterator[list[Value]]:
    digest = Digest(table=table)
    for line in lines:
        if line.startswith("["):
            row = cast("list[Value]", _json(line))
            digest.line(row)
            yield row
        elif _object(line) == digest.summary():
            return
        else:
            break
    raise TransferFailed(f"the rows of {table.name} are damaged or cut off: export again")


def _json(line: str) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise TransferFailed("the file is damaged or cut off: export again") from error


def _object(line: str) -> dict[str, object]:
    document = _json(line)
    if not isinstance(document, dict):
        raise TransferFailed("the file is damaged or no export")
    return cast("dict[str, object]", document)


# ---------------------------------------------------------------------------- engines


@asynccontextmanager
async def open_source(url: str, *, writes: bool) -> AsyncGenerator[Source]:
    """One state of a database; with ``writes`` a transaction that commits at the end.

    Raises:
        EngineUnavailable: it cannot be opened, or fails.
    """
    if url.startswith("sqlite://"):
        path = sqlite_path(url.removeprefix("sqlite://"))
        try:
            flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writes else 0)
            db = connect_sqlite(path, flags=flags)
            try:
                db.set_busy_timeout(10_000)
                db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                yield _SqliteSource(db)
                db.execute("COMMIT")
            finally:
                # Closing takes back what was not committed.
                db.close()
        except apsw.Error as error:
            raise EngineUnavailable(f"{path}: nothing was changed: {error}") from error
        return
    if not url.startswith(("postgresql://", "postgres://")):
        raise EngineUnavailable("the URL is sqlite:///path or postgresql://user@host/database")
    try:
        connection = await connect_postgresql(url)
        try:
            isolation = "serializable" if writes else "repeatable_read"
            async with connection.transaction(isolation=isolation, readonly=not writes):
                yield _PostgresqlSource(connection)
        finally:
            await connection.close()
    except (*POSTGRESQL_LOST, PostgresqlError, ValueError) as error:
        raise EngineUnavailable(f"PostgreSQL failed, nothing was changed: {error}") from error


class _SqliteSource:
    def __init__(self, db: SqliteConnection) -> None:
        self._db = db

    async def tables(self) -> list[Table]:
        names = self._db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
            " ESCAPE '\\' ORDER BY name"
        )
        return [self._table(str(name)) for (name,) in list(names)]

    def _table(self, name: str) -> Table:
        columns = list(self._db.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)))
        key = sorted((cast("int", pk), str(column)) for column, pk in columns if pk)
        definitions = self._db.execute(
            "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL"
            " AND type IN ('table', 'index') ORDER BY type DESC, name",
            (name,),
        )
        return Table(
            name=name,
            columns=tuple(str(column) for column, _ in columns),
            key=tuple(column for _, column in key),
            definitions=tuple(str(sql) for (sql,) in definitions),
        )

    async def rows(self, table: Table) -> AsyncGenerator[Sequence[object]]:
        for row in self._db.execute(table.select()):
            yield row

    async def insert(self, table: Table, rows: Sequence[Sequence[Value]]) -> None:
        statement = table.insert("?" for _ in table.columns)
        for row in rows:
            self._db.execute(statement, row)

    async def define(self, statement: str) -> None:
        self._db.execute(statement)


class _PostgresqlSource:
    def __init__(self, connection: PostgresqlConnection) -> None:
        self._connection = connection

    async def tables(self) -> list[Table]:
        names = await self._connection.fetch(
            "SELECT table_name::text AS name FROM information_schema.tables"
            " WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1"
        )
        return [await self._table(str(dict(row.items())["name"])) for row in names]

    async def _table(self, name: str) -> Table:
        columns = await self._connection.fetch(
            "SELECT column_name::text AS name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
            name,
        )
        key = await self._connection.fetch(
            "SELECT k.column_name::text AS name FROM information_schema.table_constraints AS t"
            " JOIN information_schema.key_column_usage AS k"
            " ON k.constraint_name = t.constraint_name AND k.table_name = t.table_name"
            " AND k.table_schema = t.table_schema"
            " WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = current_schema()"
            " AND t.table_name = $1 ORDER BY k.ordinal_position",
            name,
        )
        return Table(
            name=name,
            columns=tuple(str(dict(row.items())["name"]) for row in columns),
            key=tuple(str(dict(row.items())["name"]) for row in key),
        )

    async def rows(self, table: Table) -> AsyncGenerator[Sequence[object]]:
        cursor = await self._connection.cursor(table.select())
        while records := await cursor.fetch(ROWS_AT_ONCE):
            for record in records:
                yield [value for _, value in record.items()]

    async def insert(self, table: Table, rows: Sequence[Sequence[Value]]) -> None:
        statement = table.insert(f"${number}" for number in range(1, len(table.columns) + 1))
        await self._connection.executemany(statement, rows)

    async def define(self, statement: str) -> None:
        await self._connection.execute(statement)
