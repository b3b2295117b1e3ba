"""Looking after a database file: check it, back it up while it is in use, put a backup in place.

For PostgreSQL its own tools do this better, and the commands name them.

What does not live here: moving between engines (``transfer``).
"""

import os
from pathlib import Path

import apsw

from fintech_database.engines import EngineUnavailable, open_engine, sqlite_path
from fintech_database.engines.sqlite_driver import connect_sqlite
from fintech_database.limits import Limits


class CareFailed(Exception):
    """The check found damage, or the copy could not be made; the message says what to do."""


def sqlite_file(url: str, *, otherwise: str) -> str:
    """The file of a SQLite URL.

    Args:
        url: of the database.
        otherwise: the tool to name when the URL is PostgreSQL's.

    Raises:
        CareFailed: the URL names no SQLite file.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        try:
            return sqlite_path(rest)
        except EngineUnavailable as error:
            raise CareFailed(str(error)) from error
    if scheme in {"postgresql", "postgres"}:
        raise CareFailed(f"PostgreSQL has its own tool for this: {otherwise}")
    raise CareFailed("the URL is sqlite:///path or postgresql://user@host/database")


async def check(url: str) -> str:
    """Find out whether the database is sound (SQLite) or can be used (PostgreSQL).

    Raises:
        CareFailed: it is not; the message has the first findings.
        EngineUnavailable: it cannot be opened.
    """
    if url.startswith("sqlite:"):
        path = sqlite_file(url, otherwise="")
        return check_file(path)
    engine = await open_engine(url, Limits())
    try:
        await engine.probe()
    finally:
        await engine.close()
    return f"{engine.name}: reachable, UTF-8, text compares by bytes"


def check_file(path: str) -> str:
    """Read every page and every index of a SQLite file.

    Raises:
        CareFailed: it is damaged or no database.
    """
    try:
        db = connect_sqlite(path, flags=apsw.SQLITE_OPEN_READWRITE)
        findings = [str(row[0]) for row in db.execute("PRAGMA integrity_check(10)")]
        tables = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").get
        db.close()
    except apsw.Error as error:
        raise CareFailed(f"{path} cannot be read as a SQLite database: {error}") from error
    if findings != ["ok"]:
        raise CareFailed(f"{path} is damaged, restore a backup: " + "; ".join(findings))
    return f"{path}: sound, {tables} tables"


def backup(source: str, target: str) -> str:
    """Copy a SQLite database that may be in use; the copy is one consistent state, synced.

    Raises:
        CareFailed: the target exists, or the copy could not be made.
    """
    if not Path(source).exists():
        raise CareFailed(f"{source} does not exist")
    return _copy(source, target)


def restore(source: str, target: str) -> str:
    """Put a backup in place of a database that does not exist (any more).

    Raises:
        CareFailed: the backup is damaged, or the target exists.
    """
    if not Path(source).exists():
        raise CareFailed(f"{source} does not exist")
    check_file(source)
    return _copy(source, target)


def _copy(source: str, target: str) -> str:
    """Copy under another name, sync, check, and only then give the copy its name."""
    for suffix in ("", "-wal", "-journal"):
        if Path(target + suffix).exists():
            raise CareFailed(
                f"{target}{suffix} exists: nothing is overwritten, move it away or choose another name"
            )
    partial = f"{target}.partial"
    try:
        Path(partial).unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        origin = apsw.Connection(source, flags=apsw.SQLITE_OPEN_READWRITE)
        copy = apsw.Connection(partial)
        with copy.backup("main", origin, "main") as progress:
            # One step: the copy is one snapshot and the writer is not made to start it again.
            progress.step(-1)
        origin.close()
        copy.close()
        settled = connect_sqlite(partial)
        settled.pragma("journal_mode", "delete")
        settled.close()
        check_file(partial)
        _sync(partial)
        Path(partial).rename(target)
        _sync(str(Path(target).resolve().parent))
    except (OSError, apsw.Error) as error:
        Path(partial).unlink(missing_ok=True)
        raise CareFailed(f"{target} could not be written: {error}") from error
    return f"{target}: {Path(target).stat().st_size} bytes"


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
