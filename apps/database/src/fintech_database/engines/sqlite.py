"""SQLite through apsw: one thread that writes, a few that read.

The writer gathers every statement that waits into one transaction and one commit (group commit) and
answers only after the commit is durable (WAL, ``synchronous=FULL``). Each statement stays atomic by
itself:

- A constraint that fails undoes its own statement: that is SQLite's ABORT, done by its statement
  journal (https://www.sqlite.org/lang_conflict.html), so the common case needs no savepoint.
- SQLite promises that for constraints. Any other error while a statement runs (an overflow, a full
  disk, a timeout) may end the transaction, so nothing is taken for granted: the group is rolled
  back, of which nobody has been told anything, and run again with a savepoint around every
  statement; a statement that ends the transaction itself keeps its error and is left out. Nothing
  is answered before some round commits.

Readers have their own connections and see committed rows only. In WAL mode a commit becomes visible
after it is synced, so whatever was seen is durable.

What does not live here: which SQL is let through (``forms``). The authorizer below is the second
lock on that door.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias, cast

import apsw

from fintech_database.engines import EngineUnavailable
from fintech_database.engines.sqlite_driver import connect_sqlite, sqlite_result
from fintech_database.forms import Kind
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
    failed,
)

READERS: Final = 2
"""Reading threads: SQLite runs without the interpreter's lock, Python around it does not."""

GROUP_STATEMENTS_MAX: Final = 1024
"""Statements of one commit: it bounds how long the first of them waits."""

READ_GROUP_MAX: Final = 8
"""Reads one thread takes at once: it bounds how many wait behind a slow one."""

_BUSY_MILLISECONDS: Final = 5_000
"""How long to wait for another process that writes to the file (a restore, a shell)."""

_PROGRESS_STEPS: Final = 2_000
"""Virtual machine steps between two looks at the clock: well under a millisecond."""

Answers: TypeAlias = list[list[Outcome]]


class _Job:
    """Sequences of one request, and where their outcomes go."""

    __slots__ = ("batch", "future", "size")

    def __init__(self, batch: Sequence[Steps], future: "asyncio.Future[Answers]") -> None:
        self.batch = batch
        self.future = future
        self.size = sum(map(len, batch))


class SqliteEngine:
    """One SQLite file, in WAL mode."""

    def __init__(
        self, path: str, limits: Limits, *, vfs: str | None = None, synchronous: str
    ) -> None:
        connect = partial(_Connection, path, limits, vfs=vfs, synchronous=synchronous)
        writer = connect(writes=True)
        readers = [connect(writes=False) for _ in range(READERS)]
        self._writer_connection = writer
        self._writer = _Workers([writer], _Connection.write, statements_max=GROUP_STATEMENTS_MAX)
        self._readers = _Workers(readers, _Connection.read, statements_max=READ_GROUP_MAX)

    @classmethod
    async def open(
        cls, path: str, limits: Limits, *, vfs: str | None = None, synchronous: str = "FULL"
    ) -> "SqliteEngine":
        """Open or create the file.

        Args:
            path: the file.
            limits: of statements and results.
            vfs: a registered SQLite VFS; the tests have one that loses power.
            synchronous: anything but ``FULL`` exists for the tests that show why it is ``FULL``.

        Raises:
            EngineUnavailable: the file cannot be opened as a database.
        """
        try:
            if vfs is None:
                _create_private(path)
            return cls(path, limits, vfs=vfs, synchronous=synchronous)
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineUnavailable(
                f"{path} cannot be opened ({reason}): choose a file in a folder that exists and"
                " that this user may write to"
            ) from error
        except apsw.Error as error:
            raise EngineUnavailable(
                f"{path} cannot be opened as a SQLite database: {error}"
            ) from error

    @property
    def name(self) -> str:
        """Engine and version."""
        return "sqlite " + ".".join(apsw.sqlite_lib_version().split(".")[:2])

    async def run(self, batch: Sequence[Steps]) -> Answers:
        """Run every sequence; see ``Engine.run``."""
        reading = [steps for steps in batch if not _writes(steps)]
        if not reading:
            return await self._writer.submit(batch)
        if len(reading) == len(batch):
            return await self._readers.submit(batch)
        writing = [steps for steps in batch if _writes(steps)]
        written, read = await asyncio.gather(
            self._writer.submit(writing), self._readers.submit(reading)
        )
        of_writes, of_reads = iter(written), iter(read)
        return [next(of_writes) if _writes(steps) else next(of_reads) for steps in batch]

    async def probe(self) -> None:
        """Threads and files that were there at the start are there until the end."""

    async def close(self) -> None:
        """Finish what waits, then close."""
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._writer.close)


def _writes(steps: Steps) -> bool:
    """Whether a sequence needs the writer."""
    return any(
        not isinstance(statement.form, Failure) and statement.form.kind is not Kind.READ
        for statement in steps
    )


def _create_private(path: str) -> None:
    """Create the file for its owner alone; an existing file keeps its mode."""
    if not Path(path).exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    elif not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(13, "no permission to read and write it")


class _Workers:
    """Threads that take jobs from one queue, several at a time, each on a connection of its own."""

    def __init__(
        self, connections: Sequence["_Connection"], run: "_Run", *, statements_max: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._run = run
        self._statements_max = statements_max
        self._threads = [
            threading.Thread(target=self._work, args=(connection,), daemon=True)
            for connection in connections
        ]
        for thread in self._threads:
            thread.start()

    async def submit(self, batch: Sequence[Steps]) -> Answers:
        """Queue a job and wait for its outcomes."""
        job = _Job(batch, self._loop.create_future())
        self._queue.put(job)
        return await job.future

    def close(self) -> None:
        """Let every thread finish what is queued, then end it and close its connection."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, connection: "_Connection") -> None:
        is_open = True
        while is_open:
            group, is_open = self._gather()
            if not group:
                continue
            try:
                answers = self._run(connection, group)
            except Exception:  # noqa: BLE001 - the thread must outlive whatever one group did
                LOGGER.exception("a group of statements broke its thread")
                _reset_or_die(connection)
                broken = failed("internal", "the service failed; see its log")
                answers = [[[broken] * len(steps) for steps in job.batch] for job in group]
            self._loop.call_soon_threadsafe(_deliver, group, answers)
        connection.close()

    def _gather(self) -> tuple[list[_Job], bool]:
        """Wait for a job, add those that wait behind it; ``False`` once the queue is closed."""
        group: list[_Job] = []
        size = 0
        job = self._queue.get()
        while job is not None:
            group.append(job)
            size += job.size
            if size >= self._statements_max:
                return group, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False


def _reset_or_die(connection: "_Connection") -> None:
    """Leave no transaction open, or end the process: a restart recovers, a stuck writer does not."""
    try:
        connection.reset()
    except apsw.Error:
        LOGGER.critical("a transaction can be neither committed nor taken back; ending")
        os._exit(70)


def _deliver(group: Sequence[_Job], answers: Sequence[Answers]) -> None:
    for job, answer in zip(group, answers, strict=True):
        if not job.future.done():
            job.future.set_result(answer)


class _TransactionLost(Exception):
    """The group must run again: a statement left the transaction in doubt, or ended it.

    ``outcome`` is set where the statement itself must not run again.
    """

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__()
        self.outcome = outcome


class _Connection:
    """One connection and how statements run on it. Used by one thread at a time."""

    def __init__(
        self, path: str, limits: Limits, *, writes: bool, vfs: str | None, synchronous: str
    ) -> None:
        self._limits = limits
        self._deadline = float("inf")
        self._own = True
        self._db = db = connect_sqlite(path, vfs=vfs, cached=_CACHED_STATEMENTS)
        db.set_busy_timeout(_BUSY_MILLISECONDS)
        for option, value in _HARDENING:
            db.config(option, value)
        if db.pragma("journal_mode", "wal") != "wal":
            raise apsw.CantOpenError("its file system cannot do write-ahead logging (WAL)")
        db.pragma("synchronous", synchronous)
        db.pragma("cache_size", _CACHE_KIB if writes else _CACHE_KIB // 4)
        db.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        db.pragma("journal_size_limit", _JOURNAL_BYTES_MAX)
        db.pragma("query_only", not writes)
        db.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        db.authorizer = self._authorize
        db.set_progress_handler(self._is_late, _PROGRESS_STEPS)
        self._own = False

    def close(self) -> None:
        """Close; the last connection of a file folds the log into it."""
        self._db.close()

    def reset(self) -> None:
        """Leave no transaction open."""
        self._deadline = float("inf")
        if not self._db.get_autocommit():
            self._control("ROLLBACK")

    # ------------------------------------------------------------------ reading

    def read(self, group: Sequence[_Job]) -> list[Answers]:
        """Run jobs that only read."""
        return [[self._read_steps(steps) for steps in job.batch] for job in group]

    def _read_steps(self, steps: Steps) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for statement in steps:
            if outcomes and outcomes[-1].error is not None:
                outcomes.append(NOT_EXECUTED)
                continue
            try:
                outcomes.append(self._execute(statement))
            except apsw.Error as error:
                outcomes.append(_explain(error))
        return outcomes

    # ------------------------------------------------------------------ writing

    def write(self, group: Sequence[_Job]) -> list[Answers]:
        """Run jobs in one transaction, each statement atomic by itself, and commit."""
        flat = [steps for job in group for steps in job.batch]
        outcomes = iter(self._write_sequences(flat))
        return [[next(outcomes) for _ in job.batch] for job in group]

    def _write_sequences(self, sequences: Sequence[Steps]) -> Answers:
        settled: dict[int, Outcome] = {}
        guarded = False
        while True:
            try:
                self._control("BEGIN IMMEDIATE")
            except apsw.Error as error:
                LOGGER.warning("no transaction could be begun", extra={"error": str(error)})
                busy = failed("overloaded", "another process holds the database")
                return [
                    [busy, *[NOT_EXECUTED] * (len(steps) - 1)][: len(steps)] for steps in sequences
                ]
            attempt = _Attempt(settled, guarded=guarded)
            try:
                answers = [self._write_steps(steps, attempt) for steps in sequences]
            except _TransactionLost as lost:
                self.reset()
                # With savepoints only a statement that ends the transaction gets here, and each
                # is settled: this ends after as many rounds as there are statements, at worst.
                guarded = True
                if lost.outcome is not None:
                    settled[attempt.current] = lost.outcome
                continue
            return self._commit(answers)

    def _commit(self, answers: Answers) -> Answers:
        try:
            self._control("COMMIT")
        except apsw.Error as error:
            # The log may hold the commit and lack its sync: nobody knows what a restart finds.
            LOGGER.exception("a commit failed", extra={"statements": sum(map(len, answers))})
            self.reset()
            unknown = _explain(error)
            if unknown.error is None or unknown.error.code != "internal":
                unknown = failed("internal", f"the commit failed: {error}")
            return [[unknown] * len(outcomes) for outcomes in answers]
        return answers

    def _write_steps(self, steps: Steps, attempt: "_Attempt") -> list[Outcome]:
        outcomes: list[Outcome] = []
        is_stopped = False
        for statement in steps:
            outcome = NOT_EXECUTED if is_stopped else self._write_one(statement, attempt)
            is_stopped = outcome.error is not None
            outcomes.append(outcome)
        return outcomes

    def _write_one(self, statement: Statement, attempt: "_Attempt") -> Outcome:
        settled = attempt.next(statement)
        if settled is not None:
            return settled
        form = statement.form
        is_guarded = not isinstance(form, Failure) and (
            form.kind is Kind.SCHEMA or (attempt.guarded and form.kind is Kind.WRITE)
        )
        if is_guarded:
            self._control("SAVEPOINT one")
        try:
            outcome = self._execute(statement)
        except apsw.Error as error:
            outcome = _explain(error)
            if self._db.get_autocommit():
                raise _TransactionLost(outcome) from error
            if is_guarded:
                self._control("ROLLBACK TO one")
            elif not self._is_undone(error, statement):
                raise _TransactionLost(None) from error
        if is_guarded:
            self._control("RELEASE one")
        return outcome

    def _is_undone(self, error: apsw.Error, statement: Statement) -> bool:
        """Whether a failed statement certainly left nothing behind in the open transaction."""
        if isinstance(error, apsw.ConstraintError):
            return True
        if not isinstance(statement.form, Failure) and statement.form.kind is Kind.READ:
            return True
        try:
            self._db.execute(statement.sql, statement.params, explain=1).close()
        except apsw.Error:
            # It cannot even be prepared: it never ran.
            return True
        return False

    # ------------------------------------------------------------------ both

    def _execute(self, statement: Statement) -> Outcome:
        form = statement.form
        if isinstance(form, Failure):
            return Outcome(error=form)
        self._deadline = time.monotonic() + self._limits.statement_seconds
        try:
            if form.kind is Kind.READ:
                return self._fetch(statement)
            self._db.execute(statement.sql, statement.params)
            return _COUNTED[0] if form.kind is Kind.SCHEMA else _counted(self._db.changes())
        finally:
            self._deadline = float("inf")

    def _fetch(self, statement: Statement) -> Outcome:
        limits = self._limits
        cursor = self._db.execute(statement.sql, statement.params)
        columns: list[str] = []
        rows: list[Row] = []
        size = 0
        try:
            for values in cursor:
                if not columns:
                    columns = [name for name, *_ in cursor.get_description()]
                    if len(set(columns)) < len(columns):
                        return failed("unsupported", "two columns of the result have one name")
                for value in values:
                    kind = type(value)
                    if kind is str:
                        size += len(cast("str", value))
                    elif kind is not int and value is not None:
                        return failed(
                            "unsupported", f"a value of type {kind.__name__} in the result"
                        )
                rows.append(cast("Row", dict(zip(columns, values, strict=True))))
                if len(rows) > limits.result_rows_max or size > limits.result_bytes_max:
                    return failed("too_large", "the result is too large: ask for fewer rows")
        except UnicodeDecodeError:
            return failed("unsupported", "a text in the result is not UTF-8")
        finally:
            cursor.close(force=True)
        return Outcome(rows, len(rows))

    def _control(self, sql: str) -> None:
        """Run a statement of our own."""
        self._own = True
        try:
            self._db.execute(sql)
        finally:
            self._own = False

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _authorize(
        self, operation: int, _: str | None, second: str | None, *_others: str | None
    ) -> int:
        """Let through what the contract's profiles need (https://www.sqlite.org/c3ref/c_alter_table.html)."""
        if self._own or operation in _ALLOWED:
            return apsw.SQLITE_OK
        if operation == apsw.SQLITE_FUNCTION and second != "load_extension":
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY


_Run: TypeAlias = Callable[[_Connection, Sequence[_Job]], list[Answers]]


class _Attempt:
    """One round of a group: which statement is at hand, and which are settled from rounds before."""

    def __init__(self, settled: dict[int, Outcome], *, guarded: bool) -> None:
        self.guarded = guarded
        self.current = 0
        self._settled = settled

    def next(self, statement: Statement) -> Outcome | None:
        """Move on to a statement; its outcome if an earlier round settled it."""
        self.current = id(statement)
        return self._settled.get(self.current) if self._settled else None


_CACHED_STATEMENTS: Final = 512
"""Prepared statements a connection keeps; a modular monolith has some two hundred."""

_CACHE_KIB: Final = -64 * 1024
"""Page cache of the writer (SQLite counts KiB as negative); a reader has a quarter."""

_CHECKPOINT_PAGES: Final = 4_000
"""Pages of the log (16 MB) before a commit also folds it into the file."""

_JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
"""The log is cut to this after a checkpoint."""

_HARDENING: Final = (
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
    # "name" is a name, never a string that silently matches nothing.
    (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
    (apsw.SQLITE_DBCONFIG_DQS_DDL, 0),
)
"""Switches of https://www.sqlite.org/c3ref/c_dbconfig_defensive.html."""

_ALLOWED: Final = frozenset(
    {
        apsw.SQLITE_SELECT,
        apsw.SQLITE_READ,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_UPDATE,
        apsw.SQLITE_DELETE,
        apsw.SQLITE_CREATE_TABLE,
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_ALTER_TABLE,
        apsw.SQLITE_DROP_TABLE,
        apsw.SQLITE_DROP_INDEX,
        # CREATE INDEX fills the index with it.
        apsw.SQLITE_REINDEX,
    }
)
"""Operations of the contract. Reads and writes of SQLite's own tables come with DDL; names that
begin with ``sqlite_`` do not get past ``forms``, and DEFENSIVE guards the schema."""

_COUNTED: Final = tuple(Outcome([], count) for count in range(256))
"""Outcomes of writes, made once."""


def _counted(count: int) -> Outcome:
    return _COUNTED[count] if count < len(_COUNTED) else Outcome([], count)


_CONSTRAINTS: Final[dict[int, Code]] = {
    apsw.SQLITE_CONSTRAINT_PRIMARYKEY: "unique_violation",
    apsw.SQLITE_CONSTRAINT_UNIQUE: "unique_violation",
    apsw.SQLITE_CONSTRAINT_ROWID: "unique_violation",
    apsw.SQLITE_CONSTRAINT_NOTNULL: "not_null_violation",
}
"""Extended result codes; every other constraint is a check."""

_RESULTS: Final[dict[int, Code]] = {
    apsw.SQLITE_INTERRUPT: "timeout",
    apsw.SQLITE_TOOBIG: "too_large",
    apsw.SQLITE_AUTH: "unsupported",
    apsw.SQLITE_MISMATCH: "unsupported",
    apsw.SQLITE_RANGE: "syntax_error",
}
"""Primary result codes; SQLITE_ERROR is told apart by its text, every other one is internal."""


def _explain(error: apsw.Error) -> Outcome:
    """The contract's word for an error of SQLite."""
    message = str(error)
    if isinstance(error, apsw.ConstraintError):
        _, _, what = message.partition(" constraint failed: ")
        return failed(
            _CONSTRAINTS.get(sqlite_result(error), "check_violation"), message, what or None
        )
    if isinstance(error, apsw.SQLError):
        if message.startswith("no such table"):
            return failed("unknown_table", message)
        return failed("too_large" if message == "integer overflow" else "syntax_error", message)
    if isinstance(error, apsw.BindingsError):
        return failed("syntax_error", message)
    code = _RESULTS.get(sqlite_result(error) & 0xFF, "internal")
    if code == "internal":
        LOGGER.error("SQLite failed", extra={"error": message, "result": sqlite_result(error)})
    return failed(code, message)
