"""Statements of concurrent tasks share HTTP requests, without waiting for one another at low load.

One request is out at a time (``requests_max``); what arrives meanwhile queues and leaves together
in the next. Nothing waits on a timer: a lone task's statement leaves on the next turn of the loop.

If everybody is in one request, the service waits while they work, and they wait while it does. So where
callers work long beside their request, it carries half of them, and the next leaves as soon as its
reply is there, before they go on: one half works while the other's statements run. Where they do not,
all leave together: the service is what everybody waits for, and it is quickest with many at once.

A slow request must not hold everybody: one that has been out for ``patience_seconds`` no longer
counts, so that the next leaves beside it, up to ``requests_open_max``. So a slow read delays
those that happened to share its request, and the others by ``patience_seconds`` at most. Separate
lanes for reads and writes would delay fewer, but a sequence is often both.

Every caller keeps its own deadline and its own retries; a cancelled or expired one leaves the
others' request alone. What deliberately does not live here: HTTP (``exchange``).
"""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from math import inf

from fintech_dbclient.errors import NotApplied, OutcomeUnknown, Overloaded
from fintech_dbclient.results import Result
from fintech_dbclient.statements import Statement

DEADLINE_TICK_SECONDS = 0.005
"""How far apart the looks at deadlines are at least: that many seconds a call may end late."""

HALVES_MIN = 8
"""Up to so many calls always share a request: for fewer, a request and a commit more cost too much."""

LONG_WORK = 0.45
"""Callers work long if what they do behind a reply takes this share of their request's time.

Bare inserts of 64 tasks have 0.3, payments of 64 clients 0.6 (and 1.0 while they all travel together).
"""

NEWEST_WEIGHT = 0.1
"""Of the newest request in these averages: one request is cheap for its callers, the next is not."""


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
        send: sends some calls as one request and answers each; must not raise. It calls what it is given
            when a reply for several is there, before it answers them.
        requests_max: requests out at a time before calls queue.
        requests_open_max: the same, counting those that take longer than ``patience_seconds``.
        patience_seconds: how long a request may be out before the next one leaves beside it.
        statements_waiting_max: more than this and a call is refused at once.
        request_bytes_max: calls share a request up to this size.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Call], Callable[[], None]], Awaitable[None]],
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
        self.works_long = False
        """Whether callers work long beside their requests: then these carry half of them."""
        self._request_seconds = self._work_seconds = 0.0
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
        self._leave()

    def _leave(self, *, answered: int = 0) -> None:
        """Send what there is room for; ``answered`` callers are about to go on with their replies."""
        while self._has_room():
            calls = self._take(self._calls_max(answered))
            if not calls:
                return
            _Request(self, calls)

    def _calls_max(self, answered: int) -> int:
        """How many calls leave together: half of all that are about, where callers work long."""
        if not self.works_long:
            return len(self._queue)
        return max(HALVES_MIN, (len(self._queue) + answered + 1) // 2)

    def _take(self, calls_max: int) -> list[Call]:
        """Take what leaves with the next request, leaving out whose callers are gone."""
        calls: list[Call] = []
        statements = size = 0
        while self._queue and len(calls) < calls_max:
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

    def released(self, *, answered: int) -> None:
        """A request no longer counts: it ended, takes too long, or so many are about to be answered."""
        self._requests -= 1
        if answered:
            self._leave(answered=answered)
        else:
            self._schedule()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """A request ended."""
        del self._under_way[task]
        self._schedule()

    def compare(self, *, request_seconds: float, work_seconds: float) -> None:
        """Learn how long a request took, and its callers after it."""
        self._request_seconds += (request_seconds - self._request_seconds) * NEWEST_WEIGHT
        self._work_seconds += (work_seconds - self._work_seconds) * NEWEST_WEIGHT
        self.works_long = self._work_seconds > LONG_WORK * self._request_seconds

    async def send(self, calls: Sequence[Call], replied: Callable[[], None]) -> None:
        """Send calls and make sure that each is answered, whatever happens."""
        try:
            await self._send(calls, replied)
        finally:
            for call in calls:
                if not call.answer.done():
                    call.fail(OutcomeUnknown("the request ended without an answer"))

    @property
    def patience_seconds(self) -> float:
        """How long a request is waited for."""
        return self._patience_seconds


class _Request:
    """One HTTP request under way: it counts until its reply is there, or it took too long."""

    __slots__ = ("_calls", "_coalescer", "_replied_at", "_sent_at", "_timer")

    def __init__(self, coalescer: Coalescer, calls: Sequence[Call]) -> None:
        loop = asyncio.get_running_loop()
        self._coalescer = coalescer
        self._calls = len(calls)
        self._sent_at = time.monotonic()  # a loop's own time may stand still during its turn
        self._replied_at: float | None = None
        self._timer: asyncio.TimerHandle | None = loop.call_later(
            coalescer.patience_seconds, self._release
        )
        task = loop.create_task(
            coalescer.send(calls, self._replied),
            name="fintech-dbclient request",
            context=contextvars.Context(),  # a shared request belongs to no single caller
        )
        coalescer.started(task, calls)
        task.add_done_callback(self._end)

    def _replied(self) -> None:
        self._replied_at = time.monotonic()
        if self._coalescer.works_long:
            self._release(answered=self._calls)

    def _release(self, *, answered: int = 0) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._coalescer.released(answered=answered)

    def _end(self, task: "asyncio.Task[None]") -> None:
        """Run behind the callers: they were answered before the task ended."""
        if self._replied_at is not None and self._calls >= HALVES_MIN:
            self._coalescer.compare(
                request_seconds=self._replied_at - self._sent_at,
                work_seconds=time.monotonic() - self._replied_at,
            )
        self._coalescer.ended(task)
        self._release()
        if not task.cancelled():
            task.exception()  # retrieved: the calls carry what went wrong
