"""Sequences of many callers in one transaction of PostgreSQL: one commit, a few trips, all or none.

A transaction for each statement costs PostgreSQL a commit to disk and us a trip. Most sequences that wait
at one moment succeed, so they are tried together: their first statements, then their second ones, and so
on; what has one text travels as one pipeline of executions. Nobody has been told anything until it
committed. If any statement fails, all of it is rolled back and the sequences are tried in two halves, down
to single ones, which run as they would have alone: each statement its own transaction, stopped by its
first failure. So a caller's duplicate costs its neighbours time and nothing else.

One group is under way at a time: two of them that hold rows for one another would be a deadlock.

What does not live here: connections, and how one statement runs (``postgresql``).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Final, TypeAlias, cast

from fintech_database.engines.postgresql_driver import (
    POSTGRESQL_LOST,
    PostgresqlConnection,
    PostgresqlError,
    PostgresqlPool,
    Record,
)
from fintech_database.forms import Form, Kind
from fintech_database.logs import LOGGER
from fintech_database.statements import Failure, Outcome, Statement, Steps, Value, failed

GROUP_STATEMENTS_MAX: Final = 1024
"""Statements of one transaction: it bounds how long the first of them waits."""

FIRST_ROWS: Final = 1_000
"""A result up to this is fetched in one trip."""

CALL: Final = "#call"
"""The column by which rows of one pipeline are told apart: no column of the contract has such a name."""

Answers: TypeAlias = list[list[Outcome]]
RunAlone: TypeAlias = Callable[[Steps], Awaitable[list[Outcome]]]
Checked: TypeAlias = Callable[[Sequence[Mapping[str, object]]], Outcome]


def may_join(steps: Steps) -> bool:
    """Whether a sequence may share a transaction: it is quick, and PostgreSQL is to see all of it.

    What selects while it writes (claims of settlements, folds) may take long and runs alone.
    """
    return all(
        not isinstance(statement.form, Failure)
        and (statement.form.kind is Kind.READ or statement.form.is_plain_write)
        for statement in steps
    )


def is_write(statement: Statement) -> bool:
    """Whether a statement changes something."""
    return not isinstance(statement.form, Failure) and statement.form.kind is not Kind.READ


class Groups:
    """What may share a transaction waits here while another group is under way.

    Args:
        pool: of connections.
        run_alone: runs one sequence as if there were no other.
        checked: checks a result as if it had been asked for alone.
        seconds: how long a connection is waited for.
    """

    def __init__(
        self, pool: PostgresqlPool, *, run_alone: RunAlone, checked: Checked, seconds: float
    ) -> None:
        self._pool = pool
        self._run_alone = run_alone
        self._checked = checked
        self._seconds = seconds
        self._waiting: deque[tuple[Steps, asyncio.Future[list[Outcome]]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, sequences: Sequence[Steps]) -> Answers:
        """Run sequences with whatever else waits; answer when all of it is durable."""
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[list[Outcome]]] = []
        for steps in sequences:
            answer: asyncio.Future[list[Outcome]] = loop.create_future()
            self._waiting.append((steps, answer))
            answers.append(answer)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return list(await asyncio.gather(*answers))

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while self._waiting:
            group = self._gather()
            try:
                answers = await self._together([steps for steps, _ in group])
            except Exception:  # noqa: BLE001 - the queue must outlive whatever one group did
                LOGGER.exception("a group of statements broke")
                broken = failed("internal", "the service failed; see its log")
                answers = [[broken] * len(steps) for steps, _ in group]
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _gather(self) -> list[tuple[Steps, asyncio.Future[list[Outcome]]]]:
        group: list[tuple[Steps, asyncio.Future[list[Outcome]]]] = []
        size = 0
        while self._waiting and size < GROUP_STATEMENTS_MAX:
            steps, answer = self._waiting.popleft()
            group.append((steps, answer))
            size += len(steps)
        return group

    async def _together(self, sequences: Sequence[Steps]) -> Answers:
        """Try sequences in one transaction, and in halves where one of them fails."""
        if len(sequences) > 1 or len(sequences[0]) > 1:
            answers = await self._attempt(sequences)
            if answers is not None:
                return answers
        if len(sequences) == 1:
            return [await self._run_alone(sequences[0])]
        middle = len(sequences) // 2
        left = await self._together(sequences[:middle])
        return left + await self._together(sequences[middle:])

    async def _attempt(self, sequences: Sequence[Steps]) -> Answers | None:
        """Run sequences in one transaction; None where it was rolled back."""
        try:
            connection = await self._pool.acquire(timeout=self._seconds)
        except (*POSTGRESQL_LOST, PostgresqlError):
            return None  # alone, each is told so
        try:
            try:
                await connection.execute("BEGIN")
                answers = await run_sequences(connection, sequences, self._checked)
            except (*POSTGRESQL_LOST, PostgresqlError, NotTogether):
                await _roll_back(connection)  # COMMIT was never sent: nothing of it stands
                return None
            except BaseException:
                connection.terminate()
                raise
            return await _commit(connection, answers)
        finally:
            await self._pool.release(connection)


async def _roll_back(connection: PostgresqlConnection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except (*POSTGRESQL_LOST, PostgresqlError):
        connection.terminate()  # the server ends its transaction with it


async def _commit(connection: PostgresqlConnection, answers: Answers) -> Answers:
    """Commit; if the answer to that is lost, nobody knows whether it did."""
    try:
        await connection.execute("COMMIT")
    except (*POSTGRESQL_LOST, PostgresqlError) as error:
        LOGGER.error("a commit was not answered", extra={"error": type(error).__name__})
        connection.terminate()
        unknown = failed("internal", "the commit was not answered")
        return [[unknown] * len(outcomes) for outcomes in answers]
    return answers


class NotTogether(Exception):
    """A statement's result needs more care than there is in a group."""


async def run_sequences(
    connection: PostgresqlConnection, sequences: Sequence[Steps], checked: Checked
) -> Answers:
    """Run sequences of which none fails: all first statements, all second ones, and so on.

    Raises:
        PostgresqlError: a statement failed; which, nobody knows.
        NotTogether: a result is too long, or is refused.
    """
    answers: Answers = [[] for _ in sequences]
    for column in zip_longest(*sequences):
        outcomes = await _run_column(connection, column, checked)
        for call, outcome in outcomes.items():
            answers[call].append(outcome)
    return answers


async def _run_column(
    connection: PostgresqlConnection, column: Sequence[Statement | None], checked: Checked
) -> dict[int, Outcome]:
    """Run statements of different sequences; those of one text as one pipeline."""
    by_text: dict[tuple[str, bool], list[tuple[int, list[Value]]]] = {}
    for call, statement in enumerate(column):
        if statement is not None and not isinstance(statement.form, Failure):
            form = statement.form
            text = _numbered(form, tuple(map(type, statement.params)))
            values: list[Value] = [value for value in statement.params if value is not None]
            by_text.setdefault((text, form.kind is Kind.READ), []).append((call, [*values, call]))
    outcomes: dict[int, Outcome] = {}
    for (text, reads), calls in by_text.items():
        records = await connection.fetchmany(text, [values for _, values in calls])
        found: dict[int, list[Record]] = {call: [] for call, _ in calls}
        for record in records:
            found[cast("int", record[0])].append(record)
        for call, rows in found.items():
            outcomes[call] = _read(rows, checked) if reads else Outcome([], len(rows))
    return outcomes


def _read(records: Sequence[Record], checked: Checked) -> Outcome:
    if len(records) > FIRST_ROWS:
        raise NotTogether
    rows: list[dict[str, object]] = []
    for record in records:
        row = dict(record.items())
        if len(row) < len(record):
            raise NotTogether  # two columns of one name: alone, it is told so
        del row[CALL]
        rows.append(row)
    outcome = checked(rows)
    if outcome.error is not None:
        raise NotTogether
    return outcome


@lru_cache(maxsize=1024)
def _numbered(form: Form, kinds: tuple[type, ...]) -> str:
    """Return a statement's text with ``$n`` for every value and one more for its number in the pipeline.

    The number comes back with every row that it read or wrote: that is how they are told apart.
    """
    text, count = placed(form, kinds)
    number = f"${count + 1}::bigint"
    if form.kind is Kind.READ:
        return (
            f'SELECT {number} AS "{CALL}", bounded.* FROM ({text}\n) AS bounded'  # noqa: S608 - whole
            f" LIMIT {FIRST_ROWS + 1}"
        )
    return f'{text}\nRETURNING {number} AS "{CALL}"'


@lru_cache(maxsize=1024)
def placed(form: Form, kinds: tuple[type, ...]) -> tuple[str, int]:
    """Return a text with typed ``$n`` for every value and NULL where there is none, and how many."""
    parts = [form.pieces[0]]
    count = 0
    for kind, piece in zip(kinds, form.pieces[1:], strict=True):
        if kind is type(None):
            parts.append("NULL")
        else:
            count += 1
            parts.append(f"${count}::{'text' if kind is str else 'bigint'}")
        parts.append(piece)
    return "".join(parts), count
