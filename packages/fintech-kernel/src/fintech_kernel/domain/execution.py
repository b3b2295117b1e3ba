"""One executor running one operation: decide, append, roll forward, finish.

Several executors may run one operation (the first request, a repeat, a zombie, recovery). Each tries
the same inserts and then uses only the rows that stand there; so it does not matter who wins.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import orjson
from fintech_dbclient import Database, Result, Row, Statement, UniqueViolation
from loguru import logger

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.journal import (
    Draft,
    Entry,
    Stream,
    stream_id_of,
    stream_statement,
)
from fintech_kernel.errors import FintechError, InvariantBroken, Refusal, TryAgainLater
from fintech_kernel.infrastructure import queries

RACES_MAX: Final = 30
"""How often a decision is taken again after losing a race for a position, before the answer is 503."""

RACE_PAUSE_SECONDS_MAX: Final = 0.05
"""Longest pause (full jitter) before deciding again."""


BLANKED_REQUEST: Final = (
    '{"command": {}, "actor": {"subject": "", "roles": [], "merchant_id": ""}, "request_id": ""}'
)
"""What an operation's request reads as after retention blanked it."""

REFUSED: Final = "operation.refused"
"""The type of the entry that records a refusal."""


class OperationState(StrEnum):
    """The states of an operation. The last two are final."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"


class Superseded(FintechError):
    """Another executor took the operation over; its answer is the answer."""


class RaceLost(TryAgainLater):
    """Too many others write to the same object; the operation will be finished later."""

    code = "contention"
    title = "Too many requests work on this object. The operation will still be finished."


class TooManyChanges(Refusal):
    """The object's stream is full: no new operation begins on it."""

    code = "too_many_changes"
    title = "Too many operations were made on this object."


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """An operation's row."""

    operation_id: str
    kind: str
    version: int
    merchant_id: str
    fingerprint: str
    command: Mapping[str, Any]
    actor: Actor
    request_id: str
    state: OperationState
    nonce: str
    lease_until: int
    attempts: int
    next_run_at: int
    result: Mapping[str, Any] | None
    created_at: int
    finished_at: int | None

    @classmethod
    def from_row(cls, row: Row) -> "OperationRecord":
        """Decode a row."""
        columns: dict[str, Any] = dict(row)
        request: dict[str, Any] = orjson.loads(columns["request"] or BLANKED_REQUEST)
        actor: dict[str, Any] = request["actor"]
        return cls(
            operation_id=columns["operation_id"],
            kind=columns["kind"],
            version=columns["version"],
            merchant_id=columns["merchant_id"],
            fingerprint=columns["fingerprint"],
            command=request["command"],
            actor=Actor(
                subject=actor["subject"],
                roles=tuple(actor["roles"]),
                merchant_id=actor["merchant_id"],
            ),
            request_id=request["request_id"],
            state=OperationState(columns["state"]),
            nonce=columns["nonce"],
            lease_until=columns["lease_until"],
            attempts=columns["attempts"],
            next_run_at=columns["next_run_at"],
            result=orjson.loads(columns["result"]) if columns["result"] else None,
            created_at=columns["created_at"],
            finished_at=columns["finished_at"],
        )

    @property
    def is_finished(self) -> bool:
        """Whether the outcome stands."""
        return self.nonce == queries.done_nonce(self.operation_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How an operation ends: a function of its request and its own rows, so every executor agrees.

    ``writes`` roll the decision forward; ``read_models`` follow the finish and are never fatal.
    """

    result: Mapping[str, Json]
    state: OperationState = OperationState.SUCCEEDED
    writes: Sequence[Write] = ()
    read_models: Sequence[Statement] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The stored outcome, read back from the operation's row.

    ``entries`` stand for its last step, whoever wrote them; none where it did not end with an append.
    """

    state: OperationState
    result: Mapping[str, Any]
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The rows that stand for a step, whoever wrote them, and their stream as far as it was read."""

    entries: tuple[Entry, ...]
    stream: Stream

    @property
    def as_written(self) -> Stream:
        """The stream up to these rows: the same for every executor, at any time."""
        return self.stream.until(self.entries[-1])

    @property
    def is_refused(self) -> bool:
        """Whether the step was decided as a refusal."""
        return self.entries[0].type == REFUSED


def refused(entry: Entry) -> Completion:
    """Return the completion of an operation whose refusal stands in the journal."""
    return Completion(
        state=OperationState.REFUSED,
        result={"code": entry.data["code"], "facts": entry.data["facts"]},
    )


def refusal_draft(kind: str, refusal: Refusal) -> Draft:
    """Return the journal entry of a refusal: as durable as an acceptance."""
    return Draft(
        type=REFUSED,
        data={"kind": kind, "code": refusal.code, "facts": dict(refusal.facts)},
    )


@dataclass(slots=True, kw_only=True)
class Execution:
    """What a handler's ``run`` is given: the stored request, and the verbs that make it durable.

    Attributes:
        record: the operation as claimed; everybody runs its stored command with its stored actor.
        opened: results of the handler's ``opening`` statements, in their order.
        resumed: whether an earlier attempt may have written something.
        jitter: where pauses after lost races come from.
    """

    record: OperationRecord
    opened: Sequence[Result]
    resumed: bool
    database: Database
    clock: Clock
    jitter: random.Random = field(default_factory=random.Random)

    @property
    def operation_id(self) -> str:
        """The operation's id."""
        return self.record.operation_id

    @property
    def command(self) -> Mapping[str, Any]:
        """The stored command: every non-deterministic input was chosen once, before the claim."""
        return self.record.command

    @property
    def version(self) -> int:
        """The version of the handler that the operation was begun with."""
        return self.record.version

    def key(self, step: str) -> str:
        """Return the key of a step: of its journal row and of its outside call alike."""
        return f"{self.operation_id}:{step}"

    async def read_stream(self, merchant_id: str, object_id: str) -> Stream:
        """Read an object's stream."""
        result = await self.database.execute(stream_statement(merchant_id, object_id))
        return Stream.from_rows(stream_id_of(merchant_id, object_id), result.rows)

    def opened_stream(self, merchant_id: str, object_id: str, *, index: int = 0) -> Stream:
        """Return the stream that the opening's statement ``index`` read."""
        rows = self.opened[index].unwrap().rows
        return Stream.from_rows(stream_id_of(merchant_id, object_id), rows)

    async def append(
        self,
        *,
        stream: Stream,
        step: str,
        decide: Callable[[Stream], Sequence[Draft]],
        writes: Callable[[Appended], Sequence[Write]] = lambda _appended: (),
    ) -> Appended:
        """Make one decision durable and return the rows that stand for it, ours or another's.

        ``decide`` is pure and is called again on the newer stream when the position was lost; a
        ``Refusal`` that it raises is recorded in the stream like any decision. ``writes`` of the rows
        that stand travel in the same trip and are done when this returns.

        Raises:
            RaceLost: the position was lost ``RACES_MAX`` times.
            TooManyChanges: the stream is full; let it escape, and it is recorded.
            OutcomeUnknown: the database did not answer in time.
        """
        standing = await self._append(
            stream, self.key(step), decide, lambda appended: _Following(parts=writes(appended))
        )
        await self._drive(standing.following, standing.results)
        return standing.appended

    async def conclude(
        self,
        *,
        stream: Stream,
        step: str,
        decide: Callable[[Stream], Sequence[Draft]],
        complete: Callable[[Appended], Completion],
        step_of: str | None = None,
    ) -> Finished:
        """Append the last decision, roll it forward and finish, in one trip where nothing collides.

        ``complete`` sees the rows that stand, never the drafts.

        Raises:
            Superseded: another executor holds the operation now.
            RaceLost, TooManyChanges, OutcomeUnknown: as ``append``.
        """
        standing = await self._append(
            stream,
            f"{step_of or self.operation_id}:{step}",
            decide,
            lambda appended: self._closing(complete(appended)),
        )
        finished = await self._close(standing.following, standing.results)
        return replace(finished, entries=standing.appended.entries)

    async def finish(self, completion: Completion) -> Finished:
        """Roll forward and finish where nothing is left to append.

        Raises:
            Superseded: another executor holds the operation now.
        """
        return await self._close(self._closing(completion), ())

    async def conclude_refused(self, refusal: Refusal, *, step: str = "decide") -> Finished:
        """Record a refusal that has no stream of its own (entry 1 of the operation's) and finish."""
        stream = Stream(stream_id_of(self.record.merchant_id, self.operation_id))
        return await self.conclude(
            stream=stream,
            step=step,
            decide=lambda _stream: [refusal_draft(self.record.kind, refusal)],
            complete=lambda appended: refused(appended.entries[0]),
        )

    async def _append(
        self,
        stream: Stream,
        step_key: str,
        decide: Callable[[Stream], Sequence[Draft]],
        follow: Callable[[Appended], "_Following"],
    ) -> "_Standing":
        """Return the rows of the step, what follows them, and what is done of it."""
        for _ in range(RACES_MAX):
            standing = stream.step(step_key)
            if standing:
                appended = Appended(entries=standing, stream=stream)
                return _Standing(appended=appended, following=follow(appended), results=())
            if stream.is_full and not stream.has_operation(step_key.partition(":")[0]):
                raise TooManyChanges(entries=len(stream.entries))
            entries = stream.next_entries(
                self._drafts(decide, stream),
                step_key=step_key,
                actor=self.record.actor.to_json(),
                request_id=self.record.request_id,
                occurred_at=self.clock.now_milliseconds(),
            )
            insert = queries.append_entries([entry.columns() for entry in entries])
            appended = Appended(entries=entries, stream=stream.followed_by(entries))
            following = follow(appended)
            behind = [_statement(part) for part in following.parts]
            results = await self.database.run([insert, *behind])
            error = results[0].error
            if error is None:
                return _Standing(appended=appended, following=following, results=results[1:])
            if not isinstance(error, UniqueViolation):
                raise error
            stream = await self._read_again(stream.stream_id, step_key)
            if not stream.step(step_key):
                await asyncio.sleep(self.jitter.uniform(0, RACE_PAUSE_SECONDS_MAX))
        raise RaceLost(self.operation_id)

    def _drafts(
        self, decide: Callable[[Stream], Sequence[Draft]], stream: Stream
    ) -> Sequence[Draft]:
        try:
            return decide(stream)
        except Refusal as refusal:
            return [refusal_draft(self.record.kind, refusal)]

    async def _read_again(self, stream_id: str, step_key: str) -> Stream:
        """Read the stream after a collision: of the step where it stands, else of the object."""
        by_step, by_stream = await self.database.run(
            [queries.entry_by_step(step_key), queries.entries_of_stream(stream_id)]
        )
        standing = [Entry.from_row(row) for row in by_step.unwrap().rows]
        if standing and standing[0].stream_id != stream_id:
            stream_id = standing[0].stream_id
            by_stream = await self.database.execute(queries.entries_of_stream(stream_id))
        return Stream.from_rows(stream_id, by_stream.unwrap().rows)

    def _closing(self, completion: Completion) -> "_Following":
        return _Following(
            parts=(
                *completion.writes,
                queries.finish_operation(
                    operation_id=self.operation_id,
                    nonce=self.record.nonce,
                    state=completion.state.value,
                    result=canonical_json(completion.result),
                    finished_at=self.clock.now_milliseconds(),
                ),
                queries.operation_outcome(self.operation_id),
                *completion.read_models,
            ),
            read_back=len(completion.writes) + 1,
        )

    async def _close(self, closing: "_Following", results: Sequence[Result]) -> Finished:
        closed = await self._drive(closing, results)
        outcome: dict[str, Any] = dict(closed[closing.read_back].rows[0])
        if outcome["nonce"] != queries.done_nonce(self.operation_id):
            raise Superseded
        return Finished(
            state=OperationState(outcome["state"]),
            result=orjson.loads(outcome["result"]) if outcome["result"] else {},
        )

    async def _drive(self, following: "_Following", results: Sequence[Result]) -> list[Result]:
        """Drive writes and statements to their end, going on behind what an earlier attempt did.

        ``results`` are of the first trip, empty where there was none.
        """
        parts, done = following.parts, list[Result]()
        while len(done) < len(parts):
            if not results:
                remaining = [_statement(part) for part in parts[len(done) :]]
                results = await self.database.run(remaining)
            part, result, results = parts[len(done)], results[0], results[1:]
            if result.error is not None:
                results = ()
                if isinstance(part, Write) and isinstance(result.error, UniqueViolation):
                    await self._confirm(part)
                elif len(done) > following.read_back:
                    logger.warning("read model not written", statement=result.error.statement)
                else:
                    raise result.error
            done.append(result)
        return done

    async def _confirm(self, write: Write) -> None:
        """Check that the rows of a duplicate write are exactly the ones that we would have written."""
        result = await self.database.execute(write.confirm)
        standing = [{column: row[column] for column in write.expected[0]} for row in result.rows]
        missing = [row for row in write.expected if dict(row) not in standing]
        if missing:
            raise InvariantBroken(f"{write.statement.name}: other rows stand under the same keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Following:
    """What follows the rows of a step, in order; a function of them, worked out once.

    ``read_back`` is the position of the finished operation's outcome: what stands behind it may fail
    without consequence. Where nothing is finished, nothing may.
    """

    parts: Sequence[Write | Statement]
    read_back: int = sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """The rows that stand for a step, what follows them, and the results of what travelled with them."""

    appended: Appended
    following: _Following
    results: Sequence[Result]


def _statement(part: Write | Statement) -> Statement:
    return part.statement if isinstance(part, Write) else part
