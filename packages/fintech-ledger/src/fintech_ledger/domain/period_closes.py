"""Closing a period: what people ask for, how it runs, and what stands in its way.

Reasons against a close are read before the claim and frozen in the request; whoever runs the operation
judges alike. What is committed meanwhile belongs to the next period: no posting ever waits for a close.
"""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.canonical import sha256_hex
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.closing import ClosePeriod, Obstacle
from fintech_kernel.domain.actors import PLATFORM, Actor, job_actor
from fintech_kernel.domain.closing import CloseChecks
from fintech_kernel.domain.codec import EventCodec, from_json, to_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Journal, Stream
from fintech_kernel.domain.operations import Answer, Fingerprint, OperationCall, Operations
from fintech_kernel.errors import InvalidRequest, NotFound

from fintech_ledger.domain.books import Books
from fintech_ledger.domain.closes import JOB, Closes
from fintech_ledger.domain.errors import PeriodPassed
from fintech_ledger.domain.events import PeriodClosed
from fintech_ledger.domain.folding import close_of
from fintech_ledger.domain.model import RECONCILIATION
from fintech_ledger.domain.periods import (
    ClosePeriodCommand,
    check_ready,
    decide_close,
    last_day,
    month,
)

CLOSE_PERIOD: Final = "ledger.close_period"
PERIODS: Final = "periods"
"""The object whose stream tells every period that was closed: a position in it is closed once."""

DECIDE_STEP: Final = "decide"
CODEC: Final[EventCodec[PeriodClosed]] = EventCodec(PeriodClosed)

SUSPENSE_ACCOUNTS_MAX: Final = 200
"""Accounts that the check of suspense reads: one for each currency."""


class Periods:
    """Periods, closed and to be closed."""

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        clock: Clock,
        closes: Closes,
        checks: CloseChecks,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._clock = clock
        self._closes = closes
        self._checks = checks

    async def obstacles(self, name: str) -> tuple[Obstacle, ...]:
        """Return what is in the way of closing a period now.

        Raises:
            InvalidRequest: it is no month, or has not ended.
        """
        return await self._checks.obstacles(self._ended(name))

    async def close(
        self, name: str, *, actor: Actor, key: str, fingerprint: Fingerprint | None
    ) -> Answer:
        """Close a period, its last day first where no job did it yet.

        Raises:
            InvalidRequest: it is no month, or has not ended.
            OutcomeUnknown: much is to be folded; recovery goes on, and asking again joins it.
        """
        period = self._ended(name)
        reasons = [reason_of(one) for one in await self._checks.obstacles(period)]
        day = last_day(period)
        if not reasons:
            await self._closes.close(day, actor=job_actor(JOB))
        command = ClosePeriodCommand(
            period=period.name,
            until=period.ends_at,
            last_day=day,
            reasons=tuple(reasons),
            closed_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._operations.run(
            OperationCall(
                kind=CLOSE_PERIOD,
                merchant_id=PLATFORM,
                actor=actor,
                key=key,
                fingerprint=fingerprint,
                command=to_json(command),
            )
        )

    async def list(self) -> tuple[PeriodClosed, ...]:
        """Return closed periods, newest first: twelve a year."""
        stream = await self._journal.stream(PLATFORM, PERIODS)
        return tuple(reversed(CODEC.history(stream)))

    async def get(self, name: str) -> PeriodClosed:
        """Return a closed period.

        Raises:
            NotFound: it is not closed.
        """
        for one in await self.list():
            if one.period == name:
                return one
        raise NotFound

    def _ended(self, name: str) -> ClosePeriod:
        refused = InvalidRequest("/period", "must be a month (UTC) that has ended, as 2026-11")
        try:
            period = month(name)
        except (ValueError, OverflowError):
            raise refused from None
        if period.ends_at > self._clock.now_milliseconds():
            raise refused
        return period


class PeriodWorkflow:
    """How a period is closed."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def run(self, execution: Execution) -> Finished:
        """Judge what was frozen and what stands, and write the close behind the one before it.

        Raises:
            PeriodNotReady, PeriodPassed, PeriodAlreadyClosed, PeriodOutOfOrder: recorded.
        """
        command = from_json(ClosePeriodCommand, execution.command)
        check_ready(command)
        close = await close_of(self._database, command.last_day)
        if close is None:
            raise PeriodPassed(period=command.period)
        totals_hash = sha256_hex(close.totals)

        def decided(stream: Stream) -> PeriodClosed:
            closed = CODEC.history(stream)
            return decide_close(closed, command, fold=close.fold, totals_hash=totals_hash)

        stream = await execution.read_stream(PLATFORM, PERIODS)
        if not stream.step(execution.key(DECIDE_STEP)):
            decided(
                stream
            )  # a refusal from here is recorded with the operation, not among the periods
        return await execution.conclude(
            stream=stream,
            step=DECIDE_STEP,
            decide=lambda stream: [CODEC.draft(decided(stream))],
            complete=_completed,
        )


class SuspenseCheck:
    """Suspense must be zero: what is not explained is not closed over."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def check(self, _period: ClosePeriod) -> Sequence[Obstacle]:
        """Return an obstacle for each currency with something in suspense."""
        first, end = RECONCILIATION.names
        found = await self._books.accounts(
            merchant_id=None, after=first, limit=SUSPENSE_ACCOUNTS_MAX
        )
        return [
            Obstacle(
                code="suspense_not_zero",
                subject=one.account.currency,
                detail=f"{one.account.name} holds {one.balance} minor units: resolve what was not explained",
            )
            for one in found
            if one.account.name < end and one.balance
        ]


def reason_of(obstacle: Obstacle) -> str:
    """Return an obstacle as the line that is recorded."""
    about = f" {obstacle.subject}" if obstacle.subject else ""
    return f"{obstacle.code}{about}: {obstacle.detail}"


def _completed(appended: Appended) -> Completion:
    if appended.is_refused:
        return refused(appended.entries[0])
    return Completion(result=appended.entries[0].data)
