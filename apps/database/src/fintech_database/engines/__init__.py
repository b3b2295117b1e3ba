"""What the service asks of an engine, and how one is chosen by URL.

What does not live here: any engine. ``sqlite`` and ``postgresql`` each have a module.
"""

from collections.abc import Sequence
from typing import Protocol

from fintech_database.limits import Limits
from fintech_database.statements import Outcome, Steps


class EngineUnavailable(Exception):
    """The engine cannot be used; the message says what to do about it."""


class Engine(Protocol):
    """Runs sequences of statements, each statement atomic by itself."""

    @property
    def name(self) -> str:
        """Engine and version, such as ``sqlite 3.45``."""
        ...

    async def run(self, batch: Sequence[Steps]) -> list[list[Outcome]]:
        """Run every sequence; answer when what was applied is durable.

        Sequences are independent. Within one, statements run in order and the first failure stops
        it. Never raises for a statement's sake: every statement has its outcome.
        """
        ...

    async def probe(self) -> None:
        """Find out whether statements can be run.

        Raises:
            EngineUnavailable: they cannot.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        ...


async def open_engine(url: str, limits: Limits) -> Engine:
    """The engine that a URL names.

    Raises:
        EngineUnavailable: the URL is not understood, or what it names cannot be opened.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        from fintech_database.engines.sqlite import SqliteEngine

        return await SqliteEngine.open(sqlite_path(rest), limits)
    if separator and scheme in {"postgresql", "postgres"}:
        # A service on SQLite does not pay for loading asyncpg.
        from fintech_database.engines.postgresql import PostgresqlEngine

        return await PostgresqlEngine.open(url, limits)
    raise EngineUnavailable(
        "the URL is sqlite:///relative.db, sqlite:////absolute/path.db"
        " or postgresql://user:password@host:port/database"
    )


def sqlite_path(rest: str) -> str:
    """The file that a SQLite URL names, given what follows ``sqlite://``.

    Raises:
        EngineUnavailable: it names none.
    """
    path = rest[1:] if rest.startswith("/") else ""
    if not path or path == ":memory:" or "?" in path:
        raise EngineUnavailable(
            "a SQLite URL names a file: sqlite:///relative.db or sqlite:////absolute/path.db"
        )
    return path
