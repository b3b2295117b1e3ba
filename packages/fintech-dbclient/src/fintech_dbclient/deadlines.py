"""The moment by which the work at hand must have ended, carried by the context of a task.

Times are of the running event loop's clock (``loop.time()``, seconds), so that virtual time works.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float | None] = ContextVar("fintech_deadline", default=None)


@contextmanager
def deadline_within(seconds: float) -> Generator[None]:
    """Everything in this block ends within ``seconds``, or sooner if an outer deadline says so."""
    outer = _deadline.get()
    end = asyncio.get_running_loop().time() + seconds
    token = _deadline.set(end if outer is None else min(outer, end))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def new_deadline(seconds: float) -> Generator[None]:
    """``deadline_within`` without the outer deadline: for work that outlives its caller."""
    token = _deadline.set(asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left(default: float) -> float:
    """Seconds until the deadline (never negative), or ``default`` where none is set."""
    deadline = _deadline.get()
    if deadline is None:
        return default
    return max(0.0, deadline - asyncio.get_running_loop().time())


def deadline_after(seconds: float, now: float) -> float:
    """Return the deadline, or the moment ``seconds`` after ``now`` where none is set."""
    deadline = _deadline.get()
    return now + seconds if deadline is None else deadline
