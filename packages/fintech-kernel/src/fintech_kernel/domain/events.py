"""The journal as outbox: entries become deliveries, deliveries reach handlers, at least once.

Dispatch goes by flag, never by "id greater than the last seen": rows commit late. Audit sinks are
handlers that want everything. Every handler has its own queue and job, so one that fails or hangs
neither delays nor breaks another, nor the operation that wrote the entry.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final

from fintech_dbclient import Database, Row, Statement, UniqueViolation, Value
from loguru import logger

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.domain.journal import Entry, stream_id_of
from fintech_kernel.hooks import AuditSink, EventHandler, Job
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.infrastructure import queries
from fintech_kernel.observability.metrics import Metrics

DISPATCH_BATCH: Final = 200
"""Entries of one dispatch pass."""

DISPATCH_REST_SECONDS: Final = 0.2
"""Between two passes: what finishes meanwhile is dispatched together, in four trips instead of four each."""

DELIVERY_INSERT_ROWS_MAX: Final = 200
DELIVERY_BATCH: Final = 32
DELIVERY_CONCURRENCY: Final = 8
DELIVERY_LEASE_MARGIN_SECONDS: Final = 5.0
"""A delivery's lease is the handler's timeout and this."""

DISPATCH_EVERY_SECONDS: Final = 1.0
DELIVER_EVERY_SECONDS: Final = 1.0
PASS_TIMEOUT_SECONDS: Final = 60.0

BACKOFF_SECONDS_MIN: Final = 1
BACKOFF_SECONDS_MAX: Final = 3600

AUDIT_ATTEMPTS_MAX: Final = 20
"""A sink gets more patience than a handler: the trail should reach it after a long outage too."""


_HANDLER: Final = 4
"""Where a delivery's row names its handler."""

OUTCOMES: Final = MappingProxyType({"done": "done", "pending": "failed", "dead": "dead"})
"""A delivery's state after an attempt, as metrics name it."""

DEAD_LETTERS_MAX: Final = 200
"""Dead letters of one list, and of one statement that revives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A delivery that failed too often and is not tried any more."""

    delivery_id: str
    handler: str
    entry_id: str
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How far an entry's delivery to a handler is: ``pending``, ``done`` or ``dead``.

    ``next_run_at`` (UTC milliseconds) is None where nothing follows.
    """

    handler: str
    seq: int
    state: str
    attempts: int
    next_run_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A handler or sink as dispatch sees it."""

    name: str
    event: str
    handle: Callable[[Entry], Awaitable[None]]
    timeout_seconds: float
    attempts_max: int
    stands: Callable[[Sequence[Entry]], Awaitable[Collection[str]]] | None = None


class Events:
    """Dispatches entries and delivers them."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        jitter: random.Random | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics or Metrics()
        self._subscribers: dict[str, Subscriber] = {}
        self._wake: Callable[[str], None] = lambda _job: None

    def subscribe(self, handlers: Sequence[EventHandler], sinks: Sequence[AuditSink]) -> None:
        """Take the handlers and sinks of this process; called once, by the host."""
        for handler in handlers:
            self._subscribers[handler.name] = Subscriber(
                name=handler.name,
                event=handler.event,
                handle=handler.handle,
                timeout_seconds=handler.timeout_seconds,
                attempts_max=handler.attempts_max,
                stands=handler.stands,
            )
        for sink in sinks:
            name = f"audit:{sink.name}"
            self._subscribers[name] = Subscriber(
                name=name,
                event="*",
                handle=sink.write,
                timeout_seconds=sink.timeout_seconds,
                attempts_max=AUDIT_ATTEMPTS_MAX,
            )

    def jobs(self) -> tuple[Job, ...]:
        """Return the dispatch job and one delivery job per subscriber."""
        dispatch = Job(
            name="events.dispatch",
            run=self.dispatch,
            every_seconds=DISPATCH_EVERY_SECONDS,
            timeout_seconds=PASS_TIMEOUT_SECONDS,
            rest_seconds=DISPATCH_REST_SECONDS,
        )
        return (dispatch, *(self._delivery_job(one) for one in self._subscribers.values()))

    def use_waker(self, wake: Callable[[str], None]) -> None:
        """Learn how to run a job now: deliveries follow dispatch without waiting for their turn."""
        self._wake = wake

    def wake(self) -> None:
        """Dispatch soon: an operation finished."""
        self._wake("events.dispatch")

    async def announce(self) -> None:
        """Make this process's handlers known to all, so that a rolling deploy loses no event."""
        known = await self._database.execute(queries.all_handlers())
        events = {row["handler"]: row["event"] for row in known.rows}
        for subscriber in self._subscribers.values():
            if subscriber.name not in events:
                try:
                    await self._database.execute(
                        queries.insert_handler(subscriber.name, subscriber.event)
                    )
                except UniqueViolation:
                    continue  # another process of the same version was faster
            elif events[subscriber.name] != subscriber.event:
                await self._database.execute(
                    queries.update_handler(subscriber.name, subscriber.event)
                )

    async def dispatch(self) -> None:
        """Turn undispatched entries into deliveries until none is left."""
        while await self._dispatch_batch():
            continue

    async def deliver(self, name: str) -> None:
        """Deliver what is due to one subscriber until nothing is."""
        subscriber = self._subscribers[name]
        gate = asyncio.Semaphore(DELIVERY_CONCURRENCY)

        async def attempt(row: Row) -> None:
            async with gate:
                await self._deliver_one(subscriber, row)

        while True:
            due = await self._database.execute(
                queries.due_deliveries(
                    handler=name, now=self._clock.now_milliseconds(), limit=DELIVERY_BATCH
                )
            )
            if not due.rows:
                return
            async with asyncio.TaskGroup() as group:
                for row in due.rows:
                    group.create_task(attempt(row))

    async def dead(
        self, *, handler: str | None = None, after: str = "", limit: int = DEAD_LETTERS_MAX
    ) -> list[DeadLetter]:
        """Return dead letters by id behind ``after``, of one handler or of all."""
        found = await self._database.execute(
            queries.dead_deliveries(handler=handler, after=after, limit=limit)
        )
        return [_dead_letter(row) for row in found.rows]

    async def deliveries(self, merchant_id: str, object_id: str) -> tuple[Delivery, ...]:
        """Return the deliveries of an object's entries, in the order of the entries."""
        found = await self._database.execute(
            queries.deliveries_of_stream(stream_id_of(merchant_id, object_id))
        )
        return tuple(_delivery(row) for row in found.rows)

    async def retry(self, delivery_id: str) -> bool:
        """Deliver a dead letter again, with all its attempts; False where there is none of this id.

        Later entries of its stream may have been delivered meanwhile: its handler sees it late. Several
        dead letters of one stream come in their order.
        """
        _, read_back = await self._database.run(
            [
                queries.revive_delivery(
                    delivery_id=delivery_id,
                    nonce=self._identifiers.nonce(),
                    now=self._clock.now_milliseconds(),
                ),
                queries.delivery_by_id(delivery_id),
            ]
        )
        rows = read_back.unwrap().rows
        return bool(rows) and rows[0]["state"] == "pending"

    async def retry_all(self, handler: str) -> int:
        """Deliver all dead letters of a handler again; return how many there were."""
        revived, after = 0, ""
        while letters := await self.dead(handler=handler, after=after):
            for letter in letters:
                revived += await self.retry(letter.delivery_id)
            after = letters[-1].delivery_id
        return revived

    def _delivery_job(self, subscriber: Subscriber) -> Job:
        async def run() -> None:
            await self.deliver(subscriber.name)

        return Job(
            name=_delivery_job_name(subscriber.name),
            run=run,
            every_seconds=DELIVER_EVERY_SECONDS,
            timeout_seconds=PASS_TIMEOUT_SECONDS + subscriber.timeout_seconds,
        )

    async def _dispatch_batch(self) -> bool:
        """Dispatch one batch; entries are read before handlers, so a new handler misses nothing.

        Returns:
            Whether there may be more.
        """
        undispatched, handlers = await self._database.run(
            [queries.undispatched_entries(DISPATCH_BATCH), queries.all_handlers()]
        )
        entries = [Entry.from_row(row) for row in undispatched.unwrap().rows]
        if not entries:
            return False
        now = self._clock.now_milliseconds()
        pending: dict[str, tuple[Value, ...]] = {}
        settled: dict[str, tuple[Value, ...]] = {}
        for handler in handlers.unwrap().rows:
            name, event = str(handler["handler"]), str(handler["event"])
            wanted = [entry for entry in entries if fnmatchcase(entry.type, event)]
            standing = await self._standing(name, wanted)
            for entry in wanted:
                delivery_id = f"{name}>{entry.entry_id}"
                place = (delivery_id, entry.entry_id, entry.stream_id, entry.seq, name)
                if entry.entry_id in standing:
                    settled[delivery_id] = (*place, f"done:{delivery_id}", now)
                else:
                    pending[delivery_id] = (*place, self._identifiers.nonce(), now)
        await self._insert_deliveries(queries.insert_deliveries, pending)
        await self._insert_deliveries(queries.insert_settled_deliveries, settled)
        await self._database.execute(queries.mark_dispatched([entry.entry_id for entry in entries]))
        for name in {str(row[_HANDLER]) for row in pending.values()}:
            self._wake(_delivery_job_name(name))
        return len(entries) == DISPATCH_BATCH

    async def _standing(self, name: str, entries: Sequence[Entry]) -> Collection[str]:
        """Ask a subscriber of ours which entries need no delivery; of others', all do."""
        subscriber = self._subscribers.get(name)
        if subscriber is None or subscriber.stands is None or not entries:
            return ()
        try:
            async with asyncio.timeout(subscriber.timeout_seconds):
                return await subscriber.stands(entries)
        except Exception as error:  # noqa: BLE001 - a subscriber's fault is its own: all are delivered
            logger.warning(
                "event handler was not asked what stands", handler=name, reason=type(error).__name__
            )
            return ()

    async def _insert_deliveries(
        self,
        insert: Callable[[Sequence[tuple[Value, ...]]], Statement],
        rows: dict[str, tuple[Value, ...]],
    ) -> None:
        """Insert deliveries and return when all of them were seen to stand."""
        missing = list(rows)
        for start in range(0, len(missing), DELIVERY_INSERT_ROWS_MAX):
            chunk = missing[start : start + DELIVERY_INSERT_ROWS_MAX]
            try:
                await self._database.execute(insert([rows[one] for one in chunk]))
            except UniqueViolation:
                await self._insert_missing(insert, chunk, rows)

    async def _insert_missing(
        self,
        insert: Callable[[Sequence[tuple[Value, ...]]], Statement],
        chunk: Sequence[str],
        rows: dict[str, tuple[Value, ...]],
    ) -> None:
        """Some stand already (another dispatcher, or our own lost reply): insert the others singly."""
        standing = await self._database.execute(queries.existing_deliveries(chunk))
        known = {row["delivery_id"] for row in standing.rows}
        for delivery_id in chunk:
            if delivery_id not in known:
                try:
                    await self._database.execute(insert([rows[delivery_id]]))
                except UniqueViolation:
                    continue

    async def _deliver_one(self, subscriber: Subscriber, row: Row) -> None:
        delivery: dict[str, Any] = dict(row)
        nonce = self._identifiers.nonce()
        attempts = delivery["attempts"] + 1
        lease = subscriber.timeout_seconds + DELIVERY_LEASE_MARGIN_SECONDS
        lease_until = self._clock.now_milliseconds() + int(lease * MILLISECONDS_PER_SECOND)
        _, read_back, found = await self._database.run(
            [
                queries.take_delivery(
                    held_nonce=delivery["nonce"],
                    nonce=nonce,
                    lease_until=lease_until,
                    attempts=attempts,
                ),
                queries.delivery_by_id(delivery["delivery_id"]),
                queries.entry_by_id(delivery["entry_id"]),
            ]
        )
        if read_back.unwrap().rows[0]["nonce"] != nonce:
            return
        error = await self._handle(subscriber, Entry.from_row(found.unwrap().rows[0]))
        if not error:
            state, settled_nonce, pause = "done", f"done:{delivery['delivery_id']}", 0
        elif attempts >= subscriber.attempts_max:
            state, settled_nonce, pause = "dead", queries.dead_nonce(delivery["delivery_id"]), 0
            logger.error("delivery dead-lettered", handler=subscriber.name, attempts=attempts)
        else:
            state, settled_nonce = "pending", self._identifiers.nonce()
            pause = self._backoff_milliseconds(attempts)
        self._metrics.deliveries.labels(subscriber.name, OUTCOMES[state]).inc()
        await self._database.execute(
            queries.settle_delivery(
                nonce=nonce,
                state=state,
                settled_nonce=settled_nonce,
                next_run_at=self._clock.now_milliseconds() + pause,
                error=error,
            )
        )

    async def _handle(self, subscriber: Subscriber, entry: Entry) -> str:
        """Call the subscriber; return what went wrong, or an empty text."""
        try:
            async with asyncio.timeout(subscriber.timeout_seconds):
                await subscriber.handle(entry)
        except TimeoutError:
            return "timeout"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the server stops
            return "CancelledError"  # the subscriber's own: a fault like any other
        except Exception as error:  # noqa: BLE001 - a subscriber's fault is its own
            logger.warning(
                "event handler failed", handler=subscriber.name, reason=type(error).__name__
            )
            return type(error).__name__
        return ""

    def _backoff_milliseconds(self, attempts: int) -> int:
        ceiling = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2 ** min(attempts, 16))
        return int(self._jitter.uniform(ceiling / 2, ceiling) * MILLISECONDS_PER_SECOND)


def _delivery(row: Row) -> Delivery:
    columns: dict[str, Any] = dict(row)
    is_pending = columns["state"] == "pending"
    return Delivery(
        handler=columns["handler"],
        seq=columns["seq"],
        state=columns["state"],
        attempts=columns["attempts"],
        next_run_at=columns["next_run_at"] if is_pending else None,
    )


def _dead_letter(row: Row) -> DeadLetter:
    columns: dict[str, Any] = dict(row)
    return DeadLetter(
        delivery_id=columns["delivery_id"],
        handler=columns["handler"],
        entry_id=columns["entry_id"],
        attempts=columns["attempts"],
        error=columns["error"],
    )


def _delivery_job_name(subscriber: str) -> str:
    return f"events.deliver:{subscriber}"
