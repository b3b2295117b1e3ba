"""The moment by which the work at hand must have ended, carried by the context of a task.

Times are of the running event loop's clock (``loop.time()``, seconds), so that virtual time works.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar


class Deadline:
    """A moment that whoever set it may move; all tasks that inherited it see the new one."""

    __slots__ = ("ends_at",)

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at


_deadline: ContextVar[Deadline | None] = ContextVar("fintech_deadline", default=None)


@contextmanager
def deadline_within(seconds: float) -> Generator[Deadline]:
    """Everything in this block ends within ``seconds``, or sooner if an outer deadline says so."""
    outer = _deadline.get()
    end = asyncio.get_running_loop().time() + seconds
    with _deadline_at(end if outer is None else min(outer.ends_at, end)) as deadline:
        yield deadline


@contextmanager
def new_deadline(seconds: float) -> Generator[Deadline]:
    """``deadline_within`` without the outer deadline: for work that outlives its caller."""
    with _deadline_at(asyncio.get_running_loop().time() + seconds) as deadline:
        yield deadline


@contextmanager
def _deadline_at(moment: float) -> Generator[Deadline]:
    deadline = Deadline(moment)
    token = _deadline.set(deadline)
    try:
        yield deadline
    finally:
        _deadline.reset(token)


def seconds_left(default: float) -> float:
    """Seconds until the deadline (never negative), or ``default`` where none is set."""
    deadline = _deadline.get()
    if deadline is None:
        return default
    return max(0.0, deadline.ends_at - asyncio.get_running_loop().time())


def deadline_after(seconds: float, now: float) -> float:
    """Return the deadline, or the moment ``seconds`` after ``now`` where none is set."""
    deadline = _deadline.get()
    return now + seconds if deadline is None else deadline.ends_at
