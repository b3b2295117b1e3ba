"""Sequences of many callers in one transaction of PostgreSQL: one commit, a few trips, all or none.

A transaction for each statement costs PostgreSQL a commit to disk and us a trip. Most sequences that wait
at one moment succeed, so they are tried together: their first parts, then their second ones, and so on;
what has one text travels as one pipeline of executions. A part is one statement, or plain writes of one
sequence that follow one another and touch different tables: those PostgreSQL runs as one statement, a
``WITH`` of each. A group that comes to one text is a transaction by itself. Nobody has been told anything
until it committed. If any statement fails, all of it is rolled back and the sequences are tried in two
halves, down to single ones, which run as they would have alone: each statement its own transaction,
stopped by its first failure. So a caller's duplicate costs its neighbours time and nothing else.

One group is under way at a time: two of them that hold rows for one another would be a deadlock.

What does not live here: connections, and how one statement runs (``postgresql``).
"""

import asyncio
import re
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
from fintech_database.statements import NOT_EXECUTED, Failure, Outcome, Statement, Steps, failed

GROUP_STATEMENTS_MAX: Final = 1024
"""Statements of one transaction: it bounds how long the first of them waits."""

FIRST_ROWS: Final = 1_000
"""A result up to this is fetched in one trip."""

PART_VALUES_MAX: Final = 4_096
"""Values of statements that become one: PostgreSQL takes 65,535, which a single one may use."""

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
        columns = _columns(sequences)
        try:
            connection = await self._pool.acquire(timeout=self._seconds)
        except (*POSTGRESQL_LOST, PostgresqlError):
            return None  # alone, each is told so
        try:
            if len(columns) == 1 and len(columns[0]) == 1:
                return await _run_once(connection, columns[0], sequences, self._checked)
            try:
                await connection.execute("BEGIN")
                answers = await _run_columns(connection, columns, sequences, self._checked)
            except (*POSTGRESQL_LOST, PostgresqlError, NotTogether):
                await _roll_back(connection)  # COMMIT was never sent: nothing of it stands
                return None
            except BaseException:
                connection.terminate()
                raise
            return await _commit(connection, answers)
        finally:
            await self._pool.release(connection)


async def _run_once(
    connection: PostgresqlConnection,
    column: "_Column",
    sequences: Sequence[Steps],
    checked: Checked,
) -> Answers | None:
    """Run a group of one text: PostgreSQL applies all of it or nothing; None where it was nothing."""
    answers: Answers = [[] for _ in sequences]
    try:
        await _run_column(connection, column, answers, checked)
    except (PostgresqlError, NotTogether):
        return None
    except POSTGRESQL_LOST as error:
        return _unknown(connection, [[NOT_EXECUTED] * len(steps) for steps in sequences], error)
    return answers


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
        return _unknown(connection, answers, error)
    return answers


def _unknown(connection: PostgresqlConnection, answers: Answers, error: Exception) -> Answers:
    LOGGER.error("a commit was not answered", extra={"error": type(error).__name__})
    connection.terminate()
    unknown = failed("internal", "the commit was not answered")
    return [[unknown] * len(outcomes) for outcomes in answers]


class NotTogether(Exception):
    """A statement's result needs more care than there is in a group."""


async def run_sequences(
    connection: PostgresqlConnection, sequences: Sequence[Steps], checked: Checked
) -> Answers:
    """Run sequences of which none fails: all first parts, all second ones, and so on.

    Raises:
        PostgresqlError: a statement failed; which, nobody knows.
        NotTogether: a result is too long, or is refused.
    """
    return await _run_columns(connection, _columns(sequences), sequences, checked)


# ---- parts and columns


_Part: TypeAlias = tuple[Statement, ...]
"""Statements that run as one: a read, or plain writes of different tables."""

_Column: TypeAlias = dict[str, list[tuple[int, _Part]]]
"""What runs at one moment: of each text, which parts of which sequences it stands for."""


def _columns(sequences: Sequence[Steps]) -> list[_Column]:
    """Return all first parts, all second ones, and so on, by their texts."""
    columns: list[_Column] = []
    for parts in zip_longest(*map(_parts, sequences)):
        column: _Column = {}
        for call, part in enumerate(parts):
            if part is not None:
                column.setdefault(_text(part), []).append((call, part))
        columns.append(column)
    return columns


def _parts(steps: Steps) -> list[_Part]:
    """Cut a sequence where a read stands, and where a table is written again."""
    parts: list[_Part] = []
    tables: set[str] = set()
    values = 0
    for statement in steps:
        table = _written(statement.form) if isinstance(statement.form, Form) else None
        values += len(statement.params)
        if table is None or not tables or table in tables or values > PART_VALUES_MAX:
            parts.append((statement,))
            tables.clear()
            values = len(statement.params)
        else:
            parts[-1] += (statement,)
        if table is not None:
            tables.add(table)
    return parts


_WRITE: Final = re.compile(
    r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+([a-z_][a-z0-9_]*)\s", re.IGNORECASE
)


@lru_cache(maxsize=1024)
def _written(form: Form) -> str | None:
    """Return the table that a plain write names; None where its text does not simply say so."""
    found = _WRITE.match(form.pieces[0]) if form.is_plain_write else None
    return found[1].lower() if found else None


async def _run_columns(
    connection: PostgresqlConnection,
    columns: Sequence[_Column],
    sequences: Sequence[Steps],
    checked: Checked,
) -> Answers:
    answers: Answers = [[] for _ in sequences]
    for column in columns:
        await _run_column(connection, column, answers, checked)
    return answers


async def _run_column(
    connection: PostgresqlConnection, column: _Column, answers: Answers, checked: Checked
) -> None:
    """Run parts of different sequences, those of one text as one pipeline; add their outcomes."""
    for text, calls in column.items():
        values = [
            [*(value for one in part for value in one.params if value is not None), call]
            for call, part in calls
        ]
        records = await connection.fetchmany(text, values)
        found: dict[int, list[Record]] = {call: [] for call, _ in calls}
        for record in records:
            found[cast("int", record[0])].append(record)
        for call, part in calls:
            answers[call] += _outcomes(part, found[call], checked)


def _outcomes(part: _Part, records: Sequence[Record], checked: Checked) -> list[Outcome]:
    if not is_write(part[0]):
        return [_read(records, checked)]
    if len(part) == 1:
        return [Outcome([], len(records))]
    return [Outcome([], cast("int", records[0][place])) for place in range(1, len(part) + 1)]


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


def _text(part: _Part) -> str:
    forms = tuple(cast("Form", statement.form) for statement in part)
    return _numbered(forms, tuple(type(value) for one in part for value in one.params))


@lru_cache(maxsize=1024)
def _numbered(forms: tuple[Form, ...], kinds: tuple[type, ...]) -> str:
    """Return the text of a part with ``$n`` for every value and one more for its number in the pipeline.

    The number comes back with every row that a statement read or wrote, or with the counts of several:
    that is how they are told apart.
    """
    texts: list[str] = []
    count = taken = 0
    for form in forms:
        text, count = placed(form, kinds[taken : taken + form.placeholders], count)
        taken += form.placeholders
        texts.append(text)
    number = f'${count + 1}::bigint AS "{CALL}"'
    if forms[0].kind is Kind.READ:
        return (
            f"SELECT {number}, bounded.* FROM ({texts[0]}\n) AS bounded"  # noqa: S608 - whole
            f" LIMIT {FIRST_ROWS + 1}"
        )
    if len(texts) == 1:
        return f"{texts[0]}\nRETURNING {number}"
    named = ", ".join(f"w{place} AS ({one}\nRETURNING 1)" for place, one in enumerate(texts))
    counts = ", ".join(f"(SELECT count(*) FROM w{place})" for place in range(len(texts)))  # noqa: S608 - names of ours
    return f"WITH {named} SELECT {number}, {counts}"


@lru_cache(maxsize=1024)
def placed(form: Form, kinds: tuple[type, ...], before: int = 0) -> tuple[str, int]:
    """Return a text with typed ``$n`` for every value and NULL where there is none, and the last ``n``.

    ``before`` is the last one of the texts that stand before it.
    """
    parts = [form.pieces[0]]
    count = before
    for kind, piece in zip(kinds, form.pieces[1:], strict=True):
        if kind is type(None):
            parts.append("NULL")
        else:
            count += 1
            parts.append(f"${count}::{'text' if kind is str else 'bigint'}")
        parts.append(piece)
    return "".join(parts), count
