"""A database port on which one chosen call goes wrong, in every way that a network can go wrong.

The real database stands behind it: what is applied is applied there, what is lost is lost on the way.
"""

from collections.abc import Sequence
from enum import StrEnum

from fintech_dbclient import Database, Health, NotApplied, OutcomeUnknown, Result, Statement


class Fault(StrEnum):
    """What happens to the chosen call."""

    LOST_BEFORE = "lost before it was applied"
    LOST_AFTER = "applied, reply lost"
    REFUSED = "refused unread"
    TWICE = "applied, then applied again"
    KILLED_BEFORE = "process killed before the call"
    KILLED_AFTER = "process killed after the call"


class ProcessKilled(BaseException):
    """The process is gone: nothing of it runs any more, no handler sees this."""


class FaultyDatabase:
    """Implements ``Database``: call number ``at`` (from 0) suffers ``fault``.

    After a kill every further call of this port raises ``ProcessKilled``: a dead process sends nothing.
    """

    def __init__(
        self, inner: Database, *, at: int | None = None, fault: Fault | None = None
    ) -> None:
        self._inner = inner
        self._at = at
        self._fault = fault
        self._is_dead = False
        self.calls: list[tuple[str, ...]] = []

    async def execute(self, statement: Statement) -> Result:
        """Run one statement, or suffer."""
        results = await self._suffer([statement])
        return results[0].unwrap()

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        """Run a sequence, or suffer."""
        return await self._suffer(sequence)

    async def health(self) -> Health:
        """Ask the real service."""
        return await self._inner.health()

    async def close(self) -> None:
        """Close nothing: the real port belongs to the test."""

    async def _suffer(self, sequence: Sequence[Statement]) -> list[Result]:
        if self._is_dead:
            raise ProcessKilled
        number = len(self.calls)
        self.calls.append(tuple(statement.name for statement in sequence))
        fault = self._fault if number == self._at else None
        if fault is Fault.KILLED_BEFORE:
            self._is_dead = True
            raise ProcessKilled
        if fault is Fault.LOST_BEFORE:
            raise OutcomeUnknown("lost before it was applied")
        if fault is Fault.REFUSED:
            raise NotApplied("refused unread")
        results = await self._inner.run(sequence)
        if fault is Fault.KILLED_AFTER:
            self._is_dead = True
            raise ProcessKilled
        if fault is Fault.LOST_AFTER:
            raise OutcomeUnknown("applied, reply lost")
        if fault is Fault.TWICE:
            return await self._inner.run(sequence)
        return results
