"""What is used of asyncpg, with its types: it ships no stubs.

The Protocols state the few calls that are made. What comes back from a database is checked value by
value by the engine.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it ships none, hence this module

from fintech_database.statements import Value


class Record(Protocol):
    """A row: a sequence of values that also knows their names."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int) -> object: ...
    def items(self) -> Iterator[tuple[str, object]]:
        """Names and values in the order of the columns."""
        ...


class PostgresqlCursor(Protocol):
    """A result that is fetched in pieces."""

    async def fetch(self, n: int) -> list[Record]:
        """The next rows."""
        ...


class PostgresqlConnection(Protocol):
    """A connection of asyncpg."""

    async def execute(self, query: str, *args: Value) -> str:
        """Run a statement; its command tag, such as ``INSERT 0 1``."""
        ...

    async def executemany(self, command: str, args: Sequence[Sequence[Value]]) -> None:
        """Run a statement with each of many values, all or none."""
        ...

    async def fetch(self, query: str, *args: Value | list[str]) -> list[Record]:
        """Run a statement; all its rows."""
        ...

    async def fetchmany(self, query: str, args: Sequence[Sequence[Value]]) -> list[Record]:
        """Run a statement with each of many values in one trip; all rows, in that order."""
        ...

    async def fetchval(self, query: str, *args: Value) -> object:
        """Run a statement; the first value of its first row."""
        ...

    async def cursor(self, query: str, *args: Value) -> PostgresqlCursor:
        """Begin to fetch in pieces, inside a transaction."""
        ...

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[None]:
        """Several statements, all or none."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    def terminate(self) -> None:
        """Disconnect at once; the server rolls back."""
        ...


class PostgresqlPool(Protocol):
    """Connections of asyncpg that are shared."""

    async def acquire(self, *, timeout: float | None = None) -> PostgresqlConnection:  # noqa: ASYNC109
        """Take a connection."""
        ...

    async def release(self, connection: PostgresqlConnection) -> None:
        """Give it back."""
        ...

    async def close(self) -> None:
        """Wait for all connections, then disconnect."""
        ...

    def terminate(self) -> None:
        """Disconnect at once."""
        ...


async def _leave_as_it_is(_: object) -> None:
    """Do nothing to a session that goes back to the pool: statements leave nothing behind."""


class _Asyncpg(Protocol):
    async def connect(self, dsn: str, *, timeout: float) -> PostgresqlConnection: ...  # noqa: ASYNC109 - asyncpg's signature
    async def create_pool(self, dsn: str, **options: object) -> PostgresqlPool: ...


_asyncpg: Final = cast("_Asyncpg", asyncpg)

PostgresqlError: TypeAlias = asyncpg.PostgresError
POSTGRESQL_LOST: Final = (OSError, TimeoutError, asyncpg.InterfaceError)
"""What is raised when a connection breaks, hangs or cannot be made."""


async def connect_postgresql(url: str) -> PostgresqlConnection:
    """One connection.

    Raises:
        PostgresqlError, OSError, TimeoutError, ValueError, asyncpg.InterfaceError: there is none.
    """
    return await _asyncpg.connect(url, timeout=10)


async def pool_postgresql(
    url: str, *, size_max: int, statement_seconds: float, settings: dict[str, str]
) -> PostgresqlPool:
    """A pool of connections, one of them open.

    Raises:
        PostgresqlError, OSError, TimeoutError, ValueError, asyncpg.InterfaceError: as above.
    """
    return await _asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        timeout=10,
        # The server stops a late statement; this is for a server that does not answer.
        command_timeout=statement_seconds + 5,
        statement_cache_size=512,
        max_cached_statement_lifetime=3600,
        server_settings=settings,
        # The default is one more trip for every statement.
        reset=_leave_as_it_is,
    )


def error_field(error: PostgresqlError, name: str) -> str | None:
    """A field of the server's error message (``sqlstate``, ``table_name``, ...), if it is there."""
    value: object = getattr(error, name, None)
    return value if isinstance(value, str) else None
