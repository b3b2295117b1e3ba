"""The model database: SQLite in memory behind the statements that are shipped.

One statement is atomic and nothing else is. An ``INSERT .. SELECT`` can be split, as READ COMMITTED
splits it on other engines: its SELECT reads one state, its rows meet the keys of a later one.
"""

import re
import sqlite3
from collections.abc import Sequence
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
    """A database of one schedule. ``state`` can be taken, and a new one be made from it."""

    def __init__(self, state: bytes = b"") -> None:
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=512
        )
        if state:
            self.restore(state)
        else:
            self._connection.execute("PRAGMA page_size = 1024")

    def state(self) -> bytes:
        """Return everything that stands."""
        return self._connection.serialize()

    def restore(self, state: bytes) -> None:
        """Let ``state`` stand and nothing else."""
        self._connection.deserialize(state)

    def execute(self, statement: Statement) -> Result:
        """Run one statement; the engine's refusal is in the result.

        Raises:
            sqlite3.Error: the statement itself is wrong.
        """
        return self._run(statement.name, statement.sql, statement.params)

    def is_insert_select(self, statement: Statement) -> bool:
        """Whether its SELECT can read another state than its INSERT meets."""
        return _INSERT_SELECT.match(statement.sql) is not None

    def select_part(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Run the SELECT of an ``INSERT .. SELECT`` and keep its rows."""
        match = _INSERT_SELECT.match(statement.sql)
        if match is None:
            return []
        return self._connection.execute(match[3], statement.params).fetchall()

    def insert_part(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> Result:
        """Insert the rows that an earlier ``select_part`` read: all or none."""
        match = _INSERT_SELECT.match(statement.sql)
        if match is None or not rows:
            return Result()
        marks = ", ".join("?" for _ in rows[0])
        values = ", ".join(f"({marks})" for _ in rows)
        return self._run(
            statement.name, f"{match[1]} VALUES {values}", [value for row in rows for value in row]
        )

    def rows(self, table: str, where: str = "", *params: object) -> list[dict[str, Any]]:
        """Read a whole table, or some of it: for verdicts, which read as no client does."""
        text = f"SELECT * FROM {table} {where}"  # noqa: S608 - names are the simulator's own
        cursor = self._connection.execute(text, params)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def count(self, table: str, where: str, *params: object) -> int:
        """Count rows."""
        text = f"SELECT COUNT(*) FROM {table} {where}"  # noqa: S608 - see rows
        return int(self._connection.execute(text, params).fetchone()[0])

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
        names = [column[0] for column in cursor.description]
        rows = tuple([dict(zip(names, row, strict=True)) for row in cursor])
        return Result(rows=rows, rows_affected=len(rows))
