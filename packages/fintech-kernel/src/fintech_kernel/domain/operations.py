"""Operations: claimed once by key, run by whoever holds the lease, finished exactly once.

``Operations.run`` is the way of a client's request and of a job; ``Operations.recover`` takes over
what nobody finished. Leases and clocks are efficiency only: ten executors with clocks minutes apart
are harmless, because every row they write has a key of the operation's.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fintech_dbclient import Database, DatabaseError, NotApplied, Result, UniqueViolation
from fintech_dbclient import OutcomeUnknown as StatementOutcomeUnknown
from fintech_dbclient.deadlines import new_deadline
from loguru import logger

from fintech_kernel.canonical import Json, canonical_json, sha256_base32
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import (
    Execution,
    OperationRecord,
    OperationState,
    RaceLost,
    Superseded,
)
from fintech_kernel.domain.journal import Entry
from fintech_kernel.errors import (
    IdempotencyKeyExpired,
    IdempotencyKeyReused,
    InvariantBroken,
    OperationRunning,
    OtherVersion,
    OutcomeUnknown,
    Refusal,
    StartupFault,
)
from fintech_kernel.hooks import OperationHandler
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.infrastructure import queries
from fintech_kernel.observability.context import current_request_id, note_operation
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.observability.tracing import NO_TRACING, Span, Tracing

POLL_SECONDS_MAX: Final = 0.1
"""Longest pause (full jitter) between looks at an operation that somebody else runs."""

HAND_BACK_SECONDS: Final = 2.0
"""How long handing a lease back may take; a lease that is not handed back ends by itself."""

RECOVERY_BATCH: Final = 50
RECOVERY_CONCURRENCY: Final = 8
RECOVERY_ATTEMPTS_ALARM: Final = 10
"""From this attempt on every failure is logged as an alarm. Operations are never dropped."""

STOPPING: Final = "stopping"
"""Why a lease is handed back when the server stops: no failure, so the next run is not put off."""

DRAIN_SECONDS: Final = 10.0
"""How long operations under way may take to end when the server stops."""

BACKOFF_SECONDS_MIN: Final = 1
BACKOFF_SECONDS_MAX: Final = 900


class Fingerprint(Protocol):
    """What a request looked like when its key was first used."""

    @property
    def value(self) -> str:
        """The form that is stored."""
        ...

    def matches(self, stored: str) -> bool:
        """Whether the stored form is of the same request, also after a rotation of the secret."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentCall:
    """The client's key, and what it sent under it. Services take it beside the actor."""

    key: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationCall:
    """A request to run an operation.

    ``command`` is JSON and holds every non-deterministic input (ids, now, profile), chosen once.
    ``merchant_id`` is the merchant that the operation is about. ``fingerprint`` is None for jobs and
    callbacks, whose keys are fixed and whose requests are not compared.
    """

    kind: str
    merchant_id: str
    actor: Actor
    key: str
    command: Mapping[str, Json]
    fingerprint: Fingerprint | None = None

    @property
    def operation_id(self) -> str:
        """The id that this scope, merchant and key have for ever."""
        identity = [self.actor.scope, self.actor.merchant_id, self.key]
        return "op_" + sha256_base32(canonical_json(identity))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The final outcome of an operation, the same for the first caller and every repeat."""

    operation_id: str
    kind: str
    state: OperationState
    result: Mapping[str, Any]
    replayed: bool


class Operations:
    """Claims, runs, joins and recovers operations."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        lease_seconds: float,
        attempt_seconds: float,
        wait_seconds: float,
        on_finished: Callable[[], None] = lambda: None,
        jitter: random.Random | None = None,
        metrics: Metrics | None = None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._tracing = tracing
        self._lease_milliseconds = int(lease_seconds * MILLISECONDS_PER_SECOND)
        self._attempt_seconds = attempt_seconds
        self._wait_seconds = wait_seconds
        self._on_finished = on_finished
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics or Metrics()
        self._missing: set[tuple[str, int]] = set()
        self._handlers: dict[str, OperationHandler] = {}
        self._tasks: set[asyncio.Task[Answer]] = set()

    def register(self, handlers: Sequence[OperationHandler]) -> None:
        """Make kinds known; called by the host once, before the first operation.

        Raises:
            StartupFault: two handlers of one kind.
        """
        for handler in handlers:
            if handler.name in self._handlers:
                raise StartupFault([f"operation kind {handler.name!r} has two handlers"])
            self._handlers[handler.name] = handler

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that this process can run."""
        return tuple(sorted(self._handlers))

    def handler(self, kind: str) -> OperationHandler:
        """Return the handler of a kind."""
        return self._handlers[kind]

    async def run(self, call: OperationCall) -> Answer:
        """Run an operation, or join it, and return its outcome.

        The work is a task of its own: a client that disconnects stops waiting and stops nothing else.

        Raises:
            IdempotencyKeyReused: the key was used for another request.
            IdempotencyKeyExpired: its answer is no longer kept.
            OperationRunning: another executor holds it for longer than we wait.
            OtherVersion: a server of another version has to go on with it.
            OutcomeUnknown: it is recorded, or may be, and will be finished if so.
        """
        return await asyncio.shield(self._in_own_task(self._claim_and_run_traced(call)))

    async def find(self, operation_id: str) -> OperationRecord | None:
        """Return an operation's record."""
        result = await self._database.execute(queries.operation_by_id(operation_id))
        return OperationRecord.from_row(result.rows[0]) if result.rows else None

    async def running_of(
        self, merchant_id: str, *, kinds: Sequence[str], limit: int
    ) -> tuple[OperationRecord, ...]:
        """Return a merchant's operations of these kinds that are not finished, oldest first."""
        result = await self._database.execute(
            queries.running_of_merchant(merchant_id, kinds=kinds, limit=limit)
        )
        return tuple(OperationRecord.from_row(row) for row in result.rows)

    async def recover(self) -> int:
        """Take over operations that nobody finished; return how many were tried.

        Kinds and versions without a handler here are reported and left alone: their plugin is not
        installed in this process, or not in a version that knows them.
        """
        now = self._clock.now_milliseconds()
        counted = await self._database.execute(queries.overdue_kinds(now))
        waiting = {
            (str(row["kind"]), int(str(row["version"]))): int(str(row["operations"]))
            for row in counted.rows
        }
        self._report(waiting)
        kinds_of: dict[int, list[str]] = {}
        for kind, version in sorted(waiting):
            if self._accepts(kind, version):
                kinds_of.setdefault(version, []).append(kind)
        found = [
            await self._database.execute(
                queries.overdue_operations(
                    kinds=kinds, version=version, now=now, limit=RECOVERY_BATCH
                )
            )
            for version, kinds in kinds_of.items()
        ]
        gate = asyncio.Semaphore(RECOVERY_CONCURRENCY)

        async def attempt(record: OperationRecord) -> None:
            async with gate:
                await self._recover_one(record)

        records = [OperationRecord.from_row(row) for overdue in found for row in overdue.rows]
        async with asyncio.TaskGroup() as group:
            for record in records:
                group.create_task(attempt(record))
        return len(records)

    async def entries(self, operation_id: str) -> tuple[Entry, ...]:
        """Return what an operation wrote to the journal, in the order of its steps."""
        result = await self._database.execute(queries.entries_of_operation(operation_id))
        return tuple(Entry.from_row(row) for row in result.rows)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Let the operations under way end; who is not done by then hands its lease back.

        Called when the server stops. What was handed back another process runs at once.
        """
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _accepts(self, kind: str, version: int) -> bool:
        return kind in self._handlers and self._handlers[kind].accepts(version)

    def _report(self, waiting: Mapping[tuple[str, int], int]) -> None:
        """Say what waits for recovery, and once per start which kinds nobody here can run."""
        self._metrics.operations_overdue.clear()
        self._metrics.operations_not_installed.clear()
        for (kind, version), count in waiting.items():
            if self._accepts(kind, version):
                self._metrics.operations_overdue.labels(kind).inc(count)
                continue
            self._metrics.operations_not_installed.labels(kind).inc(count)
            if (kind, version) not in self._missing:
                self._missing.add((kind, version))
                logger.error(
                    "operations wait for a plugin that is not installed here",
                    kind=kind,
                    version=version,
                    count=count,
                    alarm=True,
                )

    async def _claim_and_run_traced(self, call: OperationCall) -> Answer:
        with self._tracing.span(f"operation {call.kind}") as span:
            answer = await self._claim_and_run(call)
            _note_answer(span, answer)
            return answer

    async def _claim_and_run(self, call: OperationCall) -> Answer:
        with new_deadline(self._attempt_seconds):
            handler = self._handlers[call.kind]
            record = self._new_record(call, handler.version)
            note_operation(record.operation_id)
            claim = queries.claim_operation(
                operation_id=record.operation_id,
                kind=record.kind,
                version=record.version,
                merchant_id=record.merchant_id,
                fingerprint=record.fingerprint,
                request=canonical_json(_request_json(record)),
                nonce=record.nonce,
                lease_until=record.lease_until,
                created_at=record.created_at,
            )
            opening = handler.opening(record.command, record.operation_id)
            try:
                claimed, *opened = await self._database.run([claim, *opening])
            except NotApplied:
                raise
            except DatabaseError as error:
                raise OutcomeUnknown(record.operation_id) from error
            if claimed.error is None:
                return await self._execute(record, handler, opened=opened)
            if not isinstance(claimed.error, UniqueViolation):
                raise claimed.error
            return await self._join(call, record)

    def _new_record(self, call: OperationCall, version: int) -> OperationRecord:
        now = self._clock.now_milliseconds()
        return OperationRecord(
            operation_id=call.operation_id,
            kind=call.kind,
            version=version,
            merchant_id=call.merchant_id,
            fingerprint=call.fingerprint.value if call.fingerprint else "",
            command=call.command,
            actor=call.actor,
            request_id=current_request_id(),
            state=OperationState.RUNNING,
            nonce=self._identifiers.nonce(),
            lease_until=now + self._lease_milliseconds,
            attempts=1,
            next_run_at=now + self._lease_milliseconds,
            result=None,
            created_at=now,
            finished_at=None,
        )

    async def _join(self, call: OperationCall, mine: OperationRecord) -> Answer:
        """Answer a repeat: replay, go on where only our reply was lost, take over, or wait."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._wait_seconds
        while True:
            record = await self._read(mine.operation_id)
            _refuse_other_request(call, record)
            handler = self._handlers[record.kind]
            if not handler.accepts(record.version):
                raise OtherVersion(record.operation_id)
            if record.is_finished:
                return self._answer(record, replayed=True)
            if record.nonce == mine.nonce:
                return await self._execute(record, handler, opened=None)
            if record.lease_until <= self._clock.now_milliseconds():
                taken = await self._take_over(record)
                if taken is not None:
                    return await self._execute(taken, handler, opened=None)
            elif loop.time() >= give_up_at:
                raise OperationRunning(record.operation_id)
            await asyncio.sleep(self._jitter.uniform(0, POLL_SECONDS_MAX))

    async def _read(self, operation_id: str) -> OperationRecord:
        try:
            record = await self.find(operation_id)
        except DatabaseError as error:
            raise OutcomeUnknown(operation_id) from error
        if record is None:
            raise InvariantBroken(
                f"{operation_id} exists and cannot be read: the engine breaks promise 4"
            )
        return record

    async def _take_over(self, record: OperationRecord) -> OperationRecord | None:
        """Try to become the holder of an operation whose lease ended; None where another was faster."""
        nonce = self._identifiers.nonce()
        take = queries.take_over_operation(
            held_nonce=record.nonce,
            nonce=nonce,
            lease_until=self._clock.now_milliseconds() + self._lease_milliseconds,
            attempts=record.attempts + 1,
        )
        try:
            _, read_back = await self._database.run(
                [take, queries.operation_by_id(record.operation_id)]
            )
        except DatabaseError as error:
            raise OutcomeUnknown(record.operation_id) from error
        taken = OperationRecord.from_row(read_back.unwrap().rows[0])
        if taken.nonce != nonce:
            return None
        self._metrics.operations_taken_over.labels(taken.kind).inc()
        return taken

    async def _execute(
        self, record: OperationRecord, handler: OperationHandler, *, opened: Sequence[Result] | None
    ) -> Answer:
        """Run the handler as the holder; whatever goes wrong, the lease is handed back."""
        operation_id = record.operation_id
        try:
            async with asyncio.timeout(self._attempt_seconds):
                resumed = opened is None
                if opened is None:
                    opening = handler.opening(record.command, operation_id)
                    opened = await self._database.run(opening) if opening else ()
                execution = Execution(
                    record=record,
                    opened=opened,
                    resumed=resumed,
                    database=self._database,
                    clock=self._clock,
                    jitter=self._jitter,
                )
                try:
                    finished = await handler.run(execution)
                except Refusal as refusal:
                    finished = await execution.conclude_refused(refusal)
        except Superseded:
            return await self._wait_for_other(operation_id)
        except RaceLost:
            await self._hand_back(record, reason="contention")
            raise
        except (NotApplied, StatementOutcomeUnknown, TimeoutError, OutcomeUnknown) as error:
            await self._hand_back(record, reason=type(error).__name__)
            raise OutcomeUnknown(operation_id) from error
        except Exception as error:
            # The operation is recorded and must not hang on a fault of ours: recovery runs it again.
            logger.opt(exception=error).error("operation attempt failed", operation_id=operation_id)
            await self._hand_back(record, reason=type(error).__name__)
            raise OutcomeUnknown(operation_id) from error
        except asyncio.CancelledError:
            await self._hand_back(record, reason=STOPPING)
            raise
        self._metrics.operation_finished(
            kind=record.kind,
            state=finished.state.value,
            age_milliseconds=self._clock.now_milliseconds() - record.created_at,
        )
        self._on_finished()
        return Answer(
            operation_id=operation_id,
            kind=record.kind,
            state=finished.state,
            result=finished.result,
            replayed=False,
        )

    async def _wait_for_other(self, operation_id: str) -> Answer:
        """Wait for the executor that took the operation over."""
        give_up_at = asyncio.get_running_loop().time() + self._wait_seconds
        while True:
            record = await self._read(operation_id)
            if record.is_finished:
                return self._answer(record, replayed=True)
            if asyncio.get_running_loop().time() >= give_up_at:
                raise OperationRunning(operation_id)
            await asyncio.sleep(self._jitter.uniform(0, POLL_SECONDS_MAX))

    async def _hand_back(self, record: OperationRecord, *, reason: str) -> None:
        """End our lease and tell recovery when to come; best effort, since the lease ends by itself."""
        now = self._clock.now_milliseconds()
        stopping = reason == STOPPING
        next_run_at = now if stopping else now + self._backoff_milliseconds(record.attempts)
        self._metrics.operation_attempts_failed.labels(record.kind, reason).inc()
        is_alarm = record.attempts >= RECOVERY_ATTEMPTS_ALARM and not stopping
        if is_alarm:
            self._metrics.operations_alarmed.labels(record.kind).inc()
        alarm = logger.error if is_alarm else logger.warning
        alarm(
            "operation not finished; recovery will run it again",
            operation_id=record.operation_id,
            kind=record.kind,
            attempts=record.attempts,
            reason=reason,
            alarm=is_alarm,
        )
        try:
            with new_deadline(HAND_BACK_SECONDS):
                await self._database.execute(
                    queries.hand_back_operation(
                        nonce=record.nonce, now=now, next_run_at=next_run_at
                    )
                )
        except DatabaseError:
            logger.warning("lease not handed back", operation_id=record.operation_id)

    def _backoff_milliseconds(self, attempts: int) -> int:
        """Exponential from 1 s to 15 min with full jitter above the half."""
        ceiling = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2 ** min(attempts, 16))
        return int(self._jitter.uniform(ceiling / 2, ceiling) * MILLISECONDS_PER_SECOND)

    async def _recover_one(self, record: OperationRecord) -> None:
        try:
            with (
                self._tracing.span(f"operation {record.kind}") as span,
                new_deadline(self._attempt_seconds),
            ):
                taken = await self._take_over(record)
                if taken is not None:
                    handler = self._handlers[taken.kind]
                    _note_answer(span, await self._execute(taken, handler, opened=None))
        except (DatabaseError, OutcomeUnknown, OperationRunning, RaceLost):
            return  # handed back and logged; the next pass comes
        except Exception as error:  # noqa: BLE001 - one broken operation must not stop the others
            logger.error(
                "recovery failed", operation_id=record.operation_id, reason=type(error).__name__
            )

    def _answer(self, record: OperationRecord, *, replayed: bool) -> Answer:
        if record.result is None:
            raise IdempotencyKeyExpired(record.operation_id)
        return Answer(
            operation_id=record.operation_id,
            kind=record.kind,
            state=record.state,
            result=record.result,
            replayed=replayed,
        )

    def _in_own_task(self, work: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_retrieve_exception)
        return task


def _note_answer(span: Span, answer: Answer) -> None:
    span.note("fintech.operation_id", answer.operation_id)
    span.note("fintech.state", answer.state.value)
    span.note("fintech.replayed", answer.replayed)


def _retrieve_exception(task: "asyncio.Task[Answer]") -> None:
    """Mark the exception as seen: the waiting request may have gone."""
    if not task.cancelled():
        task.exception()


def _refuse_other_request(call: OperationCall, record: OperationRecord) -> None:
    if record.kind != call.kind:
        raise IdempotencyKeyReused
    if call.fingerprint is not None and not call.fingerprint.matches(record.fingerprint):
        raise IdempotencyKeyReused


def _request_json(record: OperationRecord) -> Mapping[str, Json]:
    return {
        "command": record.command,
        "actor": record.actor.to_json(),
        "request_id": record.request_id,
    }
