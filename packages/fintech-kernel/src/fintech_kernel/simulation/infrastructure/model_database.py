"""The model database: SQLite in memory behind the statements that are shipped.

One statement is atomic and nothing else is. An ``INSERT .. SELECT`` can be split, as READ COMMITTED
splits it on other engines: its SELECT reads one state, its rows meet the keys of a later one.
"""

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from fintech_dbclient import (
    CheckViolation,
    NotNullViolation,
    Result,
    Statement,
    StatementFailed,
    UniqueViolation,
)

_INSERT_SELECT: Final = re.compile(
    r"\s*(INSERT\s+INTO\s+\w+\s*\(([^)]*)\))\s+(SELECT\b.*)", re.DOTALL | re.IGNORECASE
)
_ERRORS: Final[dict[str, type[StatementFailed]]] = {
    "SQLITE_CONSTRAINT_PRIMARYKEY": UniqueViolation,
    "SQLITE_CONSTRAINT_UNIQUE": UniqueViolation,
    "SQLITE_CONSTRAINT_NOTNULL": NotNullViolation,
    "SQLITE_CONSTRAINT_CHECK": CheckViolation,
}


class ModelDatabase:
    """A database of one schedule. A state can be kept, and be gone back to.

    Everything between two states is one transaction that is never committed: going back undoes what
    was done, and statements stay prepared.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=512
        )
        self._connection.execute("PRAGMA page_size = 1024")
        self._state = b""
        self._texts: dict[str, str] = {}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._read: dict[tuple[str, tuple[object, ...]], list[dict[str, Any]]] = {}
        self._counted: dict[tuple[str, tuple[object, ...]], int] = {}
        self._changes = 0

    def state(self) -> bytes:
        """Return everything that stands, and let it stand."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._state = b""
        return self._connection.serialize()

    def restore(self, state: bytes) -> None:
        """Let ``state`` stand and nothing else."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if state is not self._state:
            self._connection.deserialize(state)
            self._state = state
        self._connection.execute("BEGIN")
        self._forget()

    def execute(self, statement: Statement) -> Result:
        """Run one statement; the engine's refusal is in the result.

        Raises:
            sqlite3.Error: the statement itself is wrong.
        """
        return self._run(statement.name, statement.sql, statement.params)

    @staticmethod
    def is_select(sql: str) -> bool:
        """Whether a statement reads and changes nothing."""
        return sql.lstrip().upper().startswith("SELECT")

    @staticmethod
    def is_insert_select(sql: str) -> bool:
        """Whether a statement's SELECT can read another state than its INSERT meets."""
        return _insert_select(sql) is not None

    def select_part(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Run the SELECT of an ``INSERT .. SELECT`` and keep its rows."""
        match = _insert_select(statement.sql)
        if match is None:
            return []
        return self._connection.execute(match[3], statement.params).fetchall()

    def insert_part(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> Result:
        """Insert the rows that an earlier ``select_part`` read: all or none."""
        match = _insert_select(statement.sql)
        if match is None or not rows:
            return Result()
        marks = ", ".join("?" for _ in rows[0])
        values = ", ".join(f"({marks})" for _ in rows)
        return self._run(
            statement.name, f"{match[1]} VALUES {values}", [value for row in rows for value in row]
        )

    def rows(self, table: str, where: str = "", *params: object) -> list[dict[str, Any]]:
        """Read a whole table, or some of it: for verdicts, which read as no client does.

        The rows are shared until something is written: nobody changes them.
        """
        text = f"SELECT * FROM {table} {where}"  # noqa: S608 - names are the simulator's own
        self._forget_if_changed()
        found = self._read.get((text, params))
        if found is None:
            found = self._read[text, params] = self._dicts(
                text, self._connection.execute(text, params)
            )
        return found

    def count(self, table: str, where: str, *params: object) -> int:
        """Count rows."""
        text = f"SELECT COUNT(*) FROM {table} {where}"  # noqa: S608 - see rows
        self._forget_if_changed()
        found = self._counted.get((text, params))
        if found is None:
            found = self._counted[text, params] = int(
                self._connection.execute(text, params).fetchone()[0]
            )
        return found

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        tables = self.rows("sqlite_master", "WHERE type = 'table'")
        return {str(row["name"]): self.count(str(row["name"]), "") for row in tables}

    def text(self, table: str) -> str:
        """Return everything that stands in a table as one text: for who looks for a word in it."""
        sql = self._texts.get(table)
        if sql is None:
            cursor = self._connection.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 - see rows
            row = " || ' ' || ".join(f"coalesce({column[0]}, '')" for column in cursor.description)
            sql = self._texts[table] = f"SELECT group_concat({row}, ' ') FROM {table}"  # noqa: S608 - see rows
        return str(self._connection.execute(sql).fetchone()[0])

    def has_table(self, table: str) -> bool:
        """Whether there is such a table."""
        return bool(self.count("sqlite_master", "WHERE name = ?", table))

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()

    def _run(self, name: str, sql: str, params: Sequence[object]) -> Result:
        try:
            cursor = self._connection.execute(sql, params)
        except sqlite3.IntegrityError as error:
            kind = _ERRORS.get(error.sqlite_errorname)
            if kind is None:
                raise
            return Result(error=kind(name))
        if cursor.description is None:
            return Result(rows_affected=cursor.rowcount)
        rows = self._dicts(sql, cursor)
        return Result(rows=tuple(rows), rows_affected=len(rows))

    def _dicts(self, sql: str, cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
        names = self._columns.get(sql)
        if names is None:
            names = self._columns[sql] = tuple(column[0] for column in cursor.description)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _forget_if_changed(self) -> None:
        if self._connection.total_changes != self._changes:
            self._forget()

    def _forget(self) -> None:
        self._read.clear()
        self._counted.clear()
        self._changes = self._connection.total_changes


@cache
def _insert_select(sql: str) -> re.Match[str] | None:
    return _INSERT_SELECT.match(sql)
