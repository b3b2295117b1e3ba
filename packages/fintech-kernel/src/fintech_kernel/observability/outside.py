"""What is reached outside, watched: the database, processors, payout rails.

Each wraps what it watches and changes nothing of it. What is told is names and outcomes, never a parameter.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar, cast

from fintech_dbclient import Database, DatabaseError, Health, Result, Statement
from prometheus_client import Counter, Histogram

from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutRail
from fintech_kernel.contracts.processors import Processor, ProcessorAnswer
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.observability.tracing import Tracing

UNHEARD_OF: Final = "unheard_of"
"""The outcome of a question about a key that nobody knows."""

RAISED: Final = "raised"
"""The outcome of a call that raised, against the contract, or was given up."""

PROCESSOR_CALLS: Final = ("authorize", "capture", "cancel", "refund", "query")
RAIL_CALLS: Final = ("pay", "query")
"""The calls that are watched: those of the contracts."""

STATEMENTS_NAMED_MAX: Final = 32
"""Statements of one sequence that its span names."""

AnswerType = TypeVar("AnswerType", bound=ProcessorAnswer | PayoutAnswer | None)


class TracedDatabase:
    """A database whose sequences are spans, where something is traced. Sharing requests is not its affair."""

    def __init__(self, database: Database, tracing: Tracing) -> None:
        self._database = database
        self._tracing = tracing

    async def execute(self, statement: Statement) -> Result:
        """Run one statement; see ``Database.execute``."""
        with self._tracing.child(statement.name) as span:
            span.note("fintech.statements", (statement.name,))
            try:
                result = await self._database.execute(statement)
            except DatabaseError as error:
                span.note("fintech.error", type(error).__name__)
                raise
            span.note("fintech.rows", len(result.rows))
            return result

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        """Run statements in order; see ``Database.run``."""
        if not sequence:
            return await self._database.run(sequence)
        with self._tracing.child(sequence[0].name) as span:
            names = [statement.name for statement in sequence[:STATEMENTS_NAMED_MAX]]
            span.note("fintech.statements", names)
            results = await self._database.run(sequence)
            span.note("fintech.rows", sum(len(result.rows) for result in results))
            failed = next((result.error for result in results if result.error is not None), None)
            if failed is not None:
                span.note("fintech.error", type(failed).__name__)
            return results

    async def health(self) -> Health:
        """Ask the service how it is; not traced."""
        return await self._database.health()

    async def close(self) -> None:
        """Close it."""
        await self._database.close()


class _Watch:
    """Counts and traces calls to one party."""

    def __init__(
        self, kind: str, name: str, *, calls: Counter, seconds: Histogram, tracing: Tracing
    ) -> None:
        self._kind = kind
        self._name = name
        self._calls = calls
        self._seconds = seconds
        self._tracing = tracing
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    async def see(self, call: str, work: Awaitable[AnswerType]) -> AnswerType:
        """Wait for an answer and tell how it went."""
        outcome = RAISED
        began = time.perf_counter()
        with self._tracing.child(f"{self._kind} {self._name} {call}") as span:
            try:
                answer = await work
                outcome = UNHEARD_OF if answer is None else answer.outcome.value
                return answer
            finally:
                span.note(f"fintech.{self._kind}", self._name)
                span.note("fintech.outcome", outcome)
                self._count(call, outcome, time.perf_counter() - began)

    def _count(self, call: str, outcome: str, seconds: float) -> None:
        known = self._known.get((call, outcome))
        if known is None:
            known = self._known[call, outcome] = (
                self._calls.labels(self._name, call, outcome),
                self._seconds.labels(self._name, call),
            )
        known[0].inc()
        known[1].observe(seconds)


def watched_processor(processor: Processor, *, metrics: Metrics, tracing: Tracing) -> Processor:
    """Return a processor that is counted and traced, and is otherwise what it was."""
    watch = _Watch(
        "processor",
        processor.name,
        calls=metrics.processor_calls,
        seconds=metrics.processor_seconds,
        tracing=tracing,
    )
    return cast("Processor", _like(processor, PROCESSOR_CALLS)(processor, watch))


def watched_rail(rail: PayoutRail, *, metrics: Metrics, tracing: Tracing) -> PayoutRail:
    """Return a rail that is counted and traced, and is otherwise what it was."""
    watch = _Watch(
        "rail",
        rail.name,
        calls=metrics.rail_calls,
        seconds=metrics.rail_seconds,
        tracing=tracing,
    )
    return cast("PayoutRail", _like(rail, RAIL_CALLS)(rail, watch))


class _Watched:
    """A party behind a watch."""

    def __init__(self, party: object, watch: _Watch) -> None:
        self.party = party
        self.watch = watch


def _like(party: object, calls: Sequence[str]) -> type[_Watched]:
    """Return a class with a party's calls, watched, and everything public that it has besides.

    So protocols that a party obeys beyond these calls (reading callbacks, say) are still recognised.
    """
    others = [name for name in dir(party) if not name.startswith("_") and name not in calls]
    members: dict[str, Any] = {name: property(attrgetter(f"party.{name}")) for name in others}
    members |= {call: _watched_call(call) for call in calls}
    return type(f"Watched{type(party).__name__}", (_Watched,), members)


def _watched_call(call: str) -> Callable[..., Awaitable[Any]]:
    async def ask(watched: _Watched, **request: object) -> object:
        return await watched.watch.see(call, getattr(watched.party, call)(**request))

    return ask
