"""PostgreSQL through asyncpg: a pool, and every statement a transaction of its own.

``?`` becomes ``$n`` with the type of the value that is bound (``$1::text``, ``$2::bigint``), so that
a placeholder means the same wherever it stands; NULL is written into the text, where PostgreSQL
gives it the type of its surroundings. Deadlocks and serialization failures were rolled back by
PostgreSQL and are run again here. TEXT compares by bytes because the database is required to
(``_check_database``).

What does not live here: which SQL is let through (``forms``).
"""

import asyncio
import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Final, cast

from fintech_database.engines import EngineUnavailable
from fintech_database.engines.postgresql_driver import (
    POSTGRESQL_LOST,
    PostgresqlConnection,
    PostgresqlError,
    PostgresqlPool,
    Record,
    error_field,
    pool_postgresql,
)
from fintech_database.engines.postgresql_groups import (
    FIRST_ROWS,
    Groups,
    NotTogether,
    is_write,
    may_join,
    placed,
    run_sequences,
)
from fintech_database.forms import Form, Kind
from fintech_database.limits import Limits
from fintech_database.logs import LOGGER
from fintech_database.statements import (
    NOT_EXECUTED,
    Code,
    Failure,
    Outcome,
    Row,
    Statement,
    Steps,
    Value,
    failed,
)

POOL_CONNECTIONS_MAX: Final = 16
"""Connections to PostgreSQL: more than the disks and cores of one machine keep busy."""

RETRIES_MAX: Final = 10
"""How often a statement that lost a deadlock is run again."""

_SCHEMA_LOCK: Final = 0x66696E74656368
"""Advisory lock of schema changes: concurrent CREATE .. IF NOT EXISTS trip over each other."""

_PROBE_SECONDS: Final = 5.0
"""After a statement succeeded, ``probe`` believes that for so long."""


class PostgresqlEngine:
    """One PostgreSQL database."""

    def __init__(self, pool: PostgresqlPool, limits: Limits, version: str) -> None:
        self._pool = pool
        self._limits = limits
        self._version = version
        self._succeeded_at = time.monotonic()
        self._groups = Groups(
            pool,
            run_alone=self._run_steps,
            checked=self._checked,
            seconds=limits.statement_seconds,
        )

    @classmethod
    async def open(cls, url: str, limits: Limits) -> "PostgresqlEngine":
        """Connect, and make sure that the database keeps the contract's promises.

        Raises:
            EngineUnavailable: it cannot be reached, or does not keep them.
        """
        milliseconds = str(max(1, round(limits.statement_seconds * 1000)))
        settings = {
            "application_name": "fintech-database",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "default_transaction_isolation": "read committed",
            # Planning a read anew costs more than it ever gained (decision 0039).
            "plan_cache_mode": "force_generic_plan",
            "jit": "off",
            "default_transaction_read_only": "off",
            "standard_conforming_strings": "on",
            "synchronous_commit": "on",
            "client_encoding": "UTF8",
        }
        pool: PostgresqlPool | None = None
        try:
            pool = await pool_postgresql(
                url,
                size_max=POOL_CONNECTIONS_MAX,
                statement_seconds=limits.statement_seconds,
                settings=settings,
            )
            connection = await pool.acquire()
            version = await _check_database(connection)
            await pool.release(connection)
        except EngineUnavailable:
            if pool is not None:
                pool.terminate()
            raise
        except (*POSTGRESQL_LOST, PostgresqlError, ValueError) as error:
            if pool is not None:
                pool.terminate()
            raise EngineUnavailable(
                f"PostgreSQL cannot be used: {str(error) or type(error).__name__}"
                " (check host, port, user, password and database of the URL)"
            ) from error
        return cls(pool, limits, version)

    @property
    def name(self) -> str:
        """Engine and version."""
        return f"postgresql {self._version}"

    async def run(self, batch: Sequence[Steps]) -> list[list[Outcome]]:
        """Run every sequence; see ``Engine.run``."""
        joining = [steps for steps in batch if may_join(steps)]
        writing = [steps for steps in joining if any(map(is_write, steps))]
        if len(writing) == len(batch):
            return await self._groups.submit(writing)
        reading = [steps for steps in joining if not any(map(is_write, steps))]
        written, read, alone = await asyncio.gather(
            self._groups.submit(writing) if writing else _nothing(),
            self._read(reading) if reading else _nothing(),
            asyncio.gather(*[self._run_steps(steps) for steps in batch if not may_join(steps)]),
        )
        of_writes, of_reads, of_others = iter(written), iter(read), iter(alone)
        return [
            next(of_others)
            if not may_join(steps)
            else next(of_writes if any(map(is_write, steps)) else of_reads)
            for steps in batch
        ]

    async def probe(self) -> None:
        """Ask the server for a sign of life, unless it has just given one.

        Raises:
            EngineUnavailable: it gives none.
        """
        if time.monotonic() - self._succeeded_at < _PROBE_SECONDS:
            return
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                connection = await self._pool.acquire(timeout=_PROBE_SECONDS)
                try:
                    await connection.fetchval("SELECT 1")
                finally:
                    await self._pool.release(connection)
        except (*POSTGRESQL_LOST, PostgresqlError) as error:
            raise EngineUnavailable("PostgreSQL does not answer") from error
        self._succeeded_at = time.monotonic()

    async def close(self) -> None:
        """Let statements under way finish, then disconnect."""
        try:
            await asyncio.wait_for(self._groups.drain(), self._limits.drain_seconds)
            await asyncio.wait_for(self._pool.close(), self._limits.drain_seconds)
        except TimeoutError:
            self._pool.terminate()

    # ------------------------------------------------------------------ statements

    async def _read(self, sequences: Sequence[Steps]) -> list[list[Outcome]]:
        """Run sequences that only read: statements of one text together, or each sequence alone."""
        try:
            connection = await self._pool.acquire(timeout=self._limits.statement_seconds)
            try:
                answers = await run_sequences(connection, sequences, self._checked)
            finally:
                await self._pool.release(connection)
        except (*POSTGRESQL_LOST, PostgresqlError, NotTogether):
            return await asyncio.gather(*map(self._run_steps, sequences))
        self._succeeded_at = time.monotonic()
        return answers

    def _checked(self, rows: Sequence[Mapping[str, object]]) -> Outcome:
        return _Rows(self._limits).add_rows(rows)

    async def _run_steps(self, steps: Steps) -> list[Outcome]:
        if not steps:
            return []
        try:
            connection = await self._pool.acquire(timeout=self._limits.statement_seconds)
        except (*POSTGRESQL_LOST, PostgresqlError) as error:
            LOGGER.warning("no connection to PostgreSQL", extra={"error": type(error).__name__})
            nothing = failed("overloaded", "no connection to PostgreSQL was to be had")
            return [nothing] + [NOT_EXECUTED] * (len(steps) - 1)
        outcomes: list[Outcome] = []
        is_stopped = False
        try:
            for statement in steps:
                outcome = NOT_EXECUTED if is_stopped else await self._run_one(connection, statement)
                is_stopped = outcome.error is not None
                outcomes.append(outcome)
        finally:
            await self._pool.release(connection)
        return outcomes

    async def _run_one(self, connection: PostgresqlConnection, statement: Statement) -> Outcome:
        form = statement.form
        if isinstance(form, Failure):
            return Outcome(error=form)
        for attempt in range(RETRIES_MAX):
            try:
                outcome = await self._run_form(connection, form, statement.params)
            except PostgresqlError as error:
                if error_field(error, "sqlstate") not in _REPEATABLE:
                    return _explain(error)
                # Full jitter (Brooker, "Exponential Backoff And Jitter", 2015).
                await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311 - no secret
            except TimeoutError:
                return failed("timeout", "PostgreSQL did not answer in time")
            except POSTGRESQL_LOST as error:
                LOGGER.error("PostgreSQL was lost", extra={"error": type(error).__name__})
                return failed("internal", "the connection to PostgreSQL was lost")
            else:
                self._succeeded_at = time.monotonic()
                return outcome
        return failed(
            "overloaded", f"rolled back {RETRIES_MAX} times in favour of others; not applied"
        )

    async def _run_form(
        self, connection: PostgresqlConnection, form: Form, params: tuple[Value, ...]
    ) -> Outcome:
        sql, _ = placed(form, tuple(map(type, params)))
        values: list[Value] = [value for value in params if value is not None]
        if form.kind is Kind.READ:
            return await self._fetch(connection, sql, values)
        if form.kind is Kind.SCHEMA:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                await connection.execute(sql, *values)
            return Outcome([], 0)
        status = await connection.execute(sql, *values)
        return Outcome([], int(status.rpartition(" ")[2]))

    async def _fetch(
        self, connection: PostgresqlConnection, sql: str, values: list[Value]
    ) -> Outcome:
        bounded = f"SELECT * FROM ({sql}\n) AS bounded LIMIT {FIRST_ROWS + 1}"  # noqa: S608 - whole
        records = await connection.fetch(bounded, *values)
        if len(records) <= FIRST_ROWS:
            return _Rows(self._limits).add(records)
        rows = _Rows(self._limits)
        outcome = Outcome()
        async with connection.transaction(readonly=True):
            cursor = await connection.cursor(sql, *values)
            while records := await cursor.fetch(FIRST_ROWS):
                outcome = rows.add(records)
                if outcome.error is not None:
                    break
        return outcome


async def _nothing() -> list[list[Outcome]]:
    return []


class _Rows:
    """Rows of one result, checked as they come."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows: list[Row] = []
        self._size = 0

    def add(self, records: Sequence[Record]) -> Outcome:
        """Add rows; the outcome so far."""
        rows: list[dict[str, object]] = []
        for record in records:
            row = dict(record.items())
            if len(row) < len(record):
                return failed("unsupported", "two columns of the result have one name")
            rows.append(row)
        return self.add_rows(rows)

    def add_rows(self, rows: Sequence[Mapping[str, object]]) -> Outcome:
        """Add rows whose columns have names of their own; the outcome so far."""
        for row in rows:
            for value in row.values():
                kind = type(value)
                if kind is str:
                    self._size += len(cast("str", value))
                elif kind is not int and value is not None:
                    return failed("unsupported", f"a value of type {kind.__name__} in the result")
            self._rows.append(cast("Row", row))
        if (
            len(self._rows) > self._limits.result_rows_max
            or self._size > self._limits.result_bytes_max
        ):
            return failed("too_large", "the result is too large: ask for fewer rows")
        return Outcome(self._rows, len(self._rows))


# ---------------------------------------------------------------------------- the database's promises

_SORTED_BY_BYTES: Final = sorted(
    [
        "a",
        "B",
        "b",
        "A",
        "aa",
        "a b",
        "a-b",
        "a_b",
        "ab",
        "é",
        "z",
        "Z",
        "1",
        "10",
        "2",
        "-",
        "ß",
        "ﬀ",
    ],
    key=str.encode,
)
"""Texts that every language's order sorts otherwise than their bytes."""


async def _check_database(connection: PostgresqlConnection) -> str:
    """Make sure of UTF-8, of order by bytes, and that it takes writes; the server's version.

    Raises:
        EngineUnavailable: with the command that makes a database that will do.
    """
    encoding = await connection.fetchval("SHOW server_encoding")
    rows = await connection.fetch(
        "SELECT v FROM unnest($1::text[]) AS t(v) ORDER BY v", list(reversed(_SORTED_BY_BYTES))
    )
    if encoding != "UTF8" or [dict(row.items())["v"] for row in rows] != _SORTED_BY_BYTES:
        raise EngineUnavailable(
            "this PostgreSQL database does not compare text by bytes in UTF-8; create one that does:"
            " CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise EngineUnavailable("this PostgreSQL server is a standby: use the URL of the primary")
    for setting in ("fsync", "full_page_writes"):
        if await connection.fetchval(f"SHOW {setting}") != "on":
            LOGGER.warning("a power cut can lose acknowledged rows", extra={setting: "off"})
    return str(await connection.fetchval("SHOW server_version")).split()[0]


# ---------------------------------------------------------------------------- errors

_REPEATABLE: Final = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: rolled back, and worth another try."""

_STATES: Final[dict[str, Code]] = {
    "23505": "unique_violation",
    "23502": "not_null_violation",
    "23": "check_violation",
    "42P01": "unknown_table",
    "42804": "unsupported",
    "42846": "unsupported",
    "42883": "unsupported",
    "42501": "unsupported",
    "42": "syntax_error",
    "0A": "unsupported",
    "22003": "too_large",
    "22": "unsupported",
    "54": "too_large",
    "57014": "timeout",
    "55P03": "timeout",
}
"""SQLSTATE or its class (https://www.postgresql.org/docs/current/errcodes-appendix.html) to the
contract's word; the longer match counts, everything else is ``internal``."""


def _explain(error: PostgresqlError) -> Outcome:
    """The contract's word for an error of PostgreSQL. Its detail quotes values and stays out."""
    state = error_field(error, "sqlstate") or ""
    code: Code = _STATES.get(state) or _STATES.get(state[:2]) or "internal"
    if code == "internal":
        LOGGER.error("PostgreSQL failed", extra={"sqlstate": state, "error": type(error).__name__})
    message = error_field(error, "message") or str(error)
    return failed(code, message, _constraint(error))


def _constraint(error: PostgresqlError) -> str | None:
    """Name what was violated: by columns where PostgreSQL tells them, as SQLite does."""
    table = error_field(error, "table_name")
    column = error_field(error, "column_name")
    if table and column:
        return f"{table}.{column}"
    columns = re.match(r"Key \(([^)]*)\)=", error_field(error, "detail") or "")
    if table and columns:
        return ", ".join(f"{table}.{name}" for name in columns[1].split(", "))
    return error_field(error, "constraint_name")
