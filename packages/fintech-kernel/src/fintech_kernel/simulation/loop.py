"""An event loop without I/O: time is virtual, and who runs next is drawn by a seed.

What asyncio promises holds (tasks, timeouts, shields, task groups, cancellation). What it does not
promise, the order among callbacks that are ready at one moment, is a choice of the seed.
"""

import asyncio
import heapq
import random
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

from fintech_kernel.errors import FintechError

Value = TypeVar("Value")

STEPS_MAX: Final = 400_000
"""Callbacks of one schedule: more are a livelock."""


class Stuck(FintechError):
    """The schedule cannot end: nothing is left that could run, or it runs for ever."""


class NumberedTask(asyncio.Task[Value]):
    """A task that hashes to its number.

    Task groups keep their tasks in sets and cancel them in the set's order. By default that is the order
    of addresses in memory, which depends on whatever the process did before.
    """

    def __init__(
        self,
        coro: Coroutine[Any, Any, Value],
        *,
        number: int,
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: Context | None,
    ) -> None:
        self._number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        """Return the number: the same in every run of a schedule."""
        return self._number


class Call:
    """What a loop was asked to run: what asyncio calls a handle, without a trace of who made it.

    Several times cheaper than asyncio's own, which asks the loop for its debugging mode, and a schedule
    makes hundreds.
    """

    __slots__ = ("args", "callback", "context", "is_canceled")

    def __init__(
        self, callback: Callable[..., object], args: tuple[object, ...], context: Context | None
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.is_canceled = False

    def cancel(self) -> None:
        """Do not run it, and hold nothing for it any longer."""
        self.is_canceled = True
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether it will not run."""
        return self.is_canceled

    def run(self) -> None:
        """Run it; it has not been canceled."""
        assert self.callback is not None, "it was canceled"  # noqa: S101 - who runs it has looked
        self.context.run(self.callback, *self.args)


def _unseen(task: "asyncio.Task[Any]") -> Exception | None:
    """Return an exception that nobody looked at: now, not when memory happens to be collected."""
    if not task._log_traceback:  # noqa: SLF001 - how asyncio itself remembers it
        return None
    error = task.exception()
    return error if isinstance(error, Exception) else None


async def _waited(tasks: "tuple[asyncio.Task[Any], ...]") -> None:
    await asyncio.wait(tasks)


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs callbacks one at a time, in an order drawn from ``choice``.

    Args:
        choice: draws who runs next.
        on_task: told of every task that is created.
    """

    def __init__(
        self, choice: random.Random, *, on_task: Callable[["asyncio.Task[Any]"], None]
    ) -> None:
        self._choice = choice
        self._on_task = on_task
        self._now = 0.0
        self._ready: list[Call] = []
        self._timers: list[tuple[float, int, Call]] = []
        self._timers_made = 0
        self._tasks_made = 0
        self._steps = 0
        self._is_running = False
        self._tasks: list[asyncio.Task[Any]] = []
        self.failures: list[str] = []

    # --- running

    def run_until_complete(self, future: Coroutine[Any, Any, Value]) -> Value:  # pyright: ignore[reportIncompatibleMethodOverride] - coroutines are all that is run here
        """Run until a coroutine ended and return its value.

        Raises:
            Stuck: it waits for what nobody will ever do, or for ever does something.
        """
        events._set_running_loop(self)  # noqa: SLF001 - how a loop of one's own is made known (PEP 3156)
        self._is_running = True
        try:
            task = self.create_task(future)
            while not task.done():
                self._run_one()
            return task.result()
        finally:
            self._is_running = False
            events._set_running_loop(None)  # noqa: SLF001 - see above

    def close(self) -> None:
        """Cancel what still runs, let it unwind, and note exceptions that nobody waited for."""
        ended = self._tasks
        while left := [task for task in self._tasks if not task.done()]:
            for task in left:
                task.cancel()
            self._tasks = []
            self.run_until_complete(_waited(tuple(left)))
            ended += self._tasks
        self._tasks = []
        self.failures += [repr(error) for task in ended if (error := _unseen(task)) is not None]

    def _run_one(self) -> None:
        ready = self._ready
        if not ready:
            self._advance()
        count = len(ready)
        if count > 1:
            index = int(self._choice.random() * count)
            ready[index], ready[-1] = ready[-1], ready[index]
        call = ready.pop()
        if call.is_canceled:
            return
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise Stuck(f"still running after {STEPS_MAX} steps at {self._now:.0f} s")
        try:
            call.run()
        except Exception as error:  # noqa: BLE001 - a callback's failure ends nobody else's
            self.failures.append(f"{call.callback!r} raised {error!r}")

    def _advance(self) -> None:
        """Let time pass to the next timer."""
        timers = self._timers
        while timers and timers[0][2].is_canceled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("everything waits and nothing will happen")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])

    # --- what asyncio asks of a loop

    def time(self) -> float:
        """Return virtual seconds since the schedule began."""
        return self._now

    def call_soon(  # pyright: ignore[reportIncompatibleMethodOverride] - a call is all that is used of a handle
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Call:
        """Run a callback at this moment, in an order that the seed chooses."""
        call = Call(callback, args, context)
        self._ready.append(call)
        return call

    def call_later(  # pyright: ignore[reportIncompatibleMethodOverride] - see call_soon
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> Call:
        """Run a callback in ``delay`` virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # pyright: ignore[reportIncompatibleMethodOverride] - see call_soon
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> Call:
        """Run a callback at a virtual time."""
        call = Call(callback, args, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, call))
        return call

    def turn(self) -> bool:
        """Count a step of whoever runs now; return whether it must let the loop go on.

        It need not where nobody else is ready: the loop would come back at once.
        """
        self._steps += 1
        return bool(self._ready) or self._steps > STEPS_MAX

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # pyright: ignore[reportIncompatibleMethodOverride] - see call_soon
        self,
        coro: Coroutine[Any, Any, Value],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Value]":
        """Return a task of this loop."""
        self._tasks_made += 1
        task = NumberedTask(coro, number=self._tasks_made, loop=self, name=name, context=context)
        self._tasks.append(task)
        self._on_task(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note an exception that nobody waited for."""
        error = context.get("exception")
        if isinstance(error, Exception):
            self.failures.append(f"{context.get('message')}: {error!r}")

    def get_debug(self) -> bool:
        """Debugging is the trace's business."""
        return False

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._is_running

    def is_closed(self) -> bool:
        """It holds nothing that could be closed."""
        return False
