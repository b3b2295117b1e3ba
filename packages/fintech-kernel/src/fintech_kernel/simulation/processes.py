"""Simulated processes: each has a context of its own, is killed at once, and starts again.

A killed incarnation sends nothing any more and learns nothing any more; what it sent before is on its
way. Its tasks unwind, but every port refuses them, so nothing of it reaches the world.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fintech_kernel.context import AppContext
from fintech_kernel.hooks import Job

Value = TypeVar("Value")


class ProcessKilled(BaseException):
    """The process is gone: no handler of it sees this, no cleaning up of it has an effect."""


@dataclass(slots=True, eq=False)
class Incarnation:
    """A process between its start and its end."""

    process: "Process"
    is_alive: bool = True
    tasks: list["asyncio.Task[Any]"] = field(default_factory=list["asyncio.Task[Any]"])

    def check_alive(self) -> None:
        """Let the living pass.

        Raises:
            ProcessKilled: it was killed.
        """
        if not self.is_alive:
            raise ProcessKilled

    def kill(self) -> None:
        """End it, abruptly."""
        self.is_alive = False
        current = asyncio.current_task()
        for task in self.tasks:
            if task is not current and not task.done():
                task.cancel()


current_incarnation: ContextVar[Incarnation | None] = ContextVar("simulated_process", default=None)
"""Whose code runs; None is the world's own."""


@dataclass(slots=True, eq=False, kw_only=True)
class Process:
    """One process: the real application's context, its jobs, and the clock that it believes.

    Attributes:
        skew_milliseconds: how far its clock is off.
    """

    name: str
    context: AppContext
    jobs: tuple[Job, ...]
    skew_milliseconds: int = 0
    starts: int = 0
    incarnation: Incarnation = field(init=False)

    def __post_init__(self) -> None:
        """Start for the first time."""
        self.start()

    def start(self) -> None:
        """Start again, with nothing remembered."""
        self.starts += 1
        self.incarnation = Incarnation(self)

    def ensure_running(self) -> None:
        """Start again if it was killed."""
        if not self.incarnation.is_alive:
            self.start()

    def spawn(self, work: Coroutine[Any, Any, Value]) -> "asyncio.Task[Value]":
        """Run something as part of this process: it dies with it."""
        context = copy_context()
        context.run(current_incarnation.set, self.incarnation)
        return context.run(asyncio.get_running_loop().create_task, work)


def adopt(task: "asyncio.Task[Any]") -> None:
    """Count a new task to the incarnation that created it."""
    incarnation = current_incarnation.get()
    if incarnation is not None:
        incarnation.tasks.append(task)
