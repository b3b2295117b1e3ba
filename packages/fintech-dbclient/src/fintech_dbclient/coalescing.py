"""Statements of concurrent tasks share HTTP requests, without waiting for one another at low load.

One request is out at a time (``requests_max``); what arrives meanwhile queues and leaves together
in the next. Nothing waits on a timer: a lone task's statement leaves on the next turn of the loop.

A slow request must not hold everybody: one that has been out for ``patience_seconds`` no longer
counts, so that the next leaves beside it, up to ``requests_open_max``. So a slow read delays
those that happened to share its request, and the others by ``patience_seconds`` at most. Separate
lanes for reads and writes would delay fewer, but a sequence is often both.

Every caller keeps its own deadline and its own retries; a cancelled or expired one leaves the
others' request alone. What deliberately does not live here: HTTP (``exchange``).
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from math import inf

from fintech_dbclient.errors import NotApplied, OutcomeUnknown, Overloaded
from fintech_dbclient.results import Result
from fintech_dbclient.statements import Statement

DEADLINE_TICK_SECONDS = 0.005
"""How far apart the looks at deadlines are at least: that many seconds a call may end late."""


class Call:
    """One caller's sequence on its way: encoded, queued, sent, answered.

    Attributes:
        statements: what the caller wants to be run, in order.
        parts: each statement encoded as the JSON of the contract.
        size_bytes: of all parts.
        deadline: when the caller must have an answer, in the loop's time.
        attempt: 1 for the first attempt.
        request_id: of the caller, or empty.
        is_alone: it must not share a request (a shared one was refused as a whole).
        is_sent: it left the queue.
        answer: its results; ``NotApplied`` or ``OutcomeUnknown`` of this attempt.
    """

    __slots__ = (
        "answer",
        "attempt",
        "deadline",
        "is_alone",
        "is_sent",
        "parts",
        "request_id",
        "size_bytes",
        "statements",
    )

    def __init__(
        self,
        statements: tuple[Statement, ...],
        parts: tuple[bytes, ...],
        answer: "asyncio.Future[list[Result]]",
        *,
        deadline: float,
        attempt: int,
        request_id: str,
        is_alone: bool,
    ) -> None:
        self.statements = statements
        self.parts = parts
        self.size_bytes = sum(map(len, parts))
        self.deadline = deadline
        self.attempt = attempt
        self.request_id = request_id
        self.is_alone = is_alone
        self.is_sent = False
        self.answer = answer

    def succeed(self, results: list[Result]) -> None:
        """Answer, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_result(results)

    def fail(self, error: NotApplied | OutcomeUnknown) -> None:
        """End this attempt, unless the caller is gone."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # retrieved, should the caller be cancelled before it looks

    def expire(self) -> None:
        """The caller's deadline has passed."""
        if self.is_sent:
            self.fail(OutcomeUnknown("no reply before the deadline"))
        else:
            self.fail(NotApplied("the deadline passed before it was sent"))


class Coalescer:
    """The queue in front of the HTTP requests.

    Args:
        send: sends some calls as one request and answers each; must not raise.
        requests_max: requests out at a time before calls queue.
        requests_open_max: the same, counting those that take longer than ``patience_seconds``.
        patience_seconds: how long a request may be out before the next one leaves beside it.
        statements_waiting_max: more than this and a call is refused at once.
        request_bytes_max: calls share a request up to this size.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Call]], Awaitable[None]],
        *,
        requests_max: int,
        requests_open_max: int,
        patience_seconds: float,
        statements_waiting_max: int,
        request_bytes_max: int,
    ) -> None:
        self._send = send
        self._requests_max = requests_max
        self._requests_open_max = requests_open_max
        self._patience_seconds = patience_seconds
        self._statements_waiting_max = statements_waiting_max
        self._request_bytes_max = request_bytes_max
        self._queue: deque[Call] = deque()
        self._statements_waiting = 0
        self._requests = 0
        self._under_way: dict[asyncio.Task[None], Sequence[Call]] = {}
        self._is_scheduled = False
        self._next_look = inf
        self._timer: asyncio.TimerHandle | None = None
        self.batch_max = 1
        """Statements that may share a request; 1 for engines without batches."""

    def submit(self, call: Call) -> None:
        """Queue a call; its ``answer`` is set in due time.

        Raises:
            Overloaded: too much waits already.
        """
        statements = len(call.parts)
        if self._queue and self._statements_waiting + statements > self._statements_waiting_max:
            raise Overloaded(f"{self._statements_waiting} statements wait already")
        self._queue.append(call)
        self._statements_waiting += statements
        if call.deadline < self._next_look:
            self._look_at(call.deadline)
        if not self._is_scheduled:
            self._schedule()

    async def drain(self) -> None:
        """Wait until every call submitted so far has ended."""
        while self._under_way or self._queue:
            if self._under_way:
                await asyncio.wait(self._under_way)
            else:
                await asyncio.sleep(0)
        self._look_at(inf)

    # One timer for all deadlines: most calls end long before theirs, and a timer for each would
    # cost more than anything else that is done for it.

    def _look_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next_look = moment
        if moment < inf:
            self._timer = asyncio.get_running_loop().call_at(moment, self._look)

    def _look(self) -> None:
        """End the calls whose deadline has passed; look again when the next one passes."""
        now = asyncio.get_running_loop().time()
        first = inf
        for call in chain(self._queue, *self._under_way.values()):
            if call.answer.done():
                continue
            if call.deadline <= now:
                call.expire()
            else:
                first = min(first, call.deadline)
        self._look_at(max(first, now + DEADLINE_TICK_SECONDS))

    def _schedule(self) -> None:
        if self._queue and not self._is_scheduled and self._has_room():
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _has_room(self) -> bool:
        return self._requests < self._limit() and len(self._under_way) < self._requests_open_max

    def _limit(self) -> int:
        # Without batches nothing can be gathered, so there is nothing to wait for.
        return self._requests_max if self.batch_max > 1 else self._requests_open_max

    def _flush(self) -> None:
        self._is_scheduled = False
        while self._has_room():
            calls = self._take()
            if not calls:
                return
            _Request(self, calls)

    def _take(self) -> list[Call]:
        """Take what leaves with the next request, leaving out whose callers are gone."""
        calls: list[Call] = []
        statements = size = 0
        while self._queue:
            call = self._queue[0]
            if not call.answer.done():
                statements += len(call.parts)
                size += call.size_bytes
                if calls and (
                    call.is_alone or statements > self.batch_max or size > self._request_bytes_max
                ):
                    break
                call.is_sent = True
                calls.append(call)
            self._queue.popleft()
            self._statements_waiting -= len(call.parts)
            if calls and calls[-1].is_alone:
                break
        return calls

    # What a request under way reports.

    def started(self, task: "asyncio.Task[None]", calls: Sequence[Call]) -> None:
        """A request is out."""
        self._requests += 1
        self._under_way[task] = calls

    def released(self) -> None:
        """A request no longer counts: it ended, or takes too long to wait for."""
        self._requests -= 1
        self._schedule()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """A request ended."""
        del self._under_way[task]
        self._schedule()

    async def send(self, calls: Sequence[Call]) -> None:
        """Send calls and make sure that each is answered, whatever happens."""
        try:
            await self._send(calls)
        finally:
            for call in calls:
                if not call.answer.done():
                    call.fail(OutcomeUnknown("the request ended without an answer"))

    @property
    def patience_seconds(self) -> float:
        """How long a request is waited for."""
        return self._patience_seconds


class _Request:
    """One HTTP request under way: it counts until it ended or took too long."""

    __slots__ = ("_coalescer", "_timer")

    def __init__(self, coalescer: Coalescer, calls: Sequence[Call]) -> None:
        loop = asyncio.get_running_loop()
        self._coalescer = coalescer
        self._timer: asyncio.TimerHandle | None = loop.call_later(
            coalescer.patience_seconds, self._release
        )
        task = loop.create_task(
            coalescer.send(calls),
            name="fintech-dbclient request",
            context=contextvars.Context(),  # a shared request belongs to no single caller
        )
        coalescer.started(task, calls)
        task.add_done_callback(self._end)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._coalescer.released()

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._coalescer.ended(task)
        self._release()
        if not task.cancelled():
            task.exception()  # retrieved: the calls carry what went wrong
