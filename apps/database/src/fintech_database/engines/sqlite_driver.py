"""What is used of apsw, with its types: its stubs name a type that Python 3.11 lacks.

The Protocols state the few calls that are made. What comes back from a database is checked value by
value by the engine.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, cast

import apsw

from fintech_database.statements import Value


class SqliteCursor(Protocol):
    """A running statement."""

    @property
    def get(self) -> object:
        """The only value of the only row."""
        ...

    def get_description(self) -> Sequence[Sequence[str]]:
        """Columns of the result, while there are rows: name first."""
        ...

    def close(self, force: bool = False) -> None:
        """Let go of the statement."""
        ...

    def __iter__(self) -> Iterator[tuple[object, ...]]: ...


class SqliteConnection(Protocol):
    """A connection of apsw."""

    authorizer: Callable[[int, str | None, str | None, str | None, str | None], int] | None

    def execute(
        self, statements: str, bindings: Sequence[Value] = (), *, explain: int = -1
    ) -> SqliteCursor:
        """Run a statement up to its first row."""
        ...

    def pragma(self, name: str, value: Value = None) -> object:
        """Set or read a pragma."""
        ...

    def config(self, option: int, value: int) -> int:
        """Switch a feature."""
        ...

    def limit(self, which: int, value: int) -> int:
        """Set a limit."""
        ...

    def set_busy_timeout(self, milliseconds: int) -> None:
        """How long to wait for a lock."""
        ...

    def set_progress_handler(self, handler: Callable[[], bool], nsteps: int) -> None:
        """Ask the handler now and then whether to stop."""
        ...

    def get_autocommit(self) -> bool:
        """Whether no transaction is open."""
        ...

    def changes(self) -> int:
        """Rows changed by the last statement that changes rows."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def connect_sqlite(
    path: str, *, flags: int | None = None, vfs: str | None = None, cached: int = 100
) -> SqliteConnection:
    """Open a SQLite file.

    Raises:
        apsw.Error: it cannot be opened.
    """
    if flags is None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    return cast(
        "SqliteConnection", apsw.Connection(path, flags=flags, vfs=vfs, statementcachesize=cached)
    )


def sqlite_result(error: apsw.Error) -> int:
    """The extended result code; its low byte is the primary one. 0 for errors of apsw itself."""
    code: int = getattr(error, "extendedresult", 0)
    return code
