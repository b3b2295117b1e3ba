"""Closes: periods that are closed by a job or by an operator, and folding in between.

Any number of processes may do it at once: folds are keyed by number, closes by period.
"""

from typing import Final

from fintech_dbclient import Database
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.domain.actors import PLATFORM, Actor, job_actor
from fintech_kernel.domain.operations import Answer, OperationCall, Operations
from fintech_kernel.errors import InvalidRequest, NotFound

from fintech_ledger.domain.folding import Folding, close_of, fold_of_row
from fintech_ledger.domain.folds import Fold, Want, due_period, fold_cutoff, period_end
from fintech_ledger.infrastructure import fold_queries as queries

CLOSE: Final = "ledger.close"
JOB: Final = "ledger.fold"

CLOSES_PER_RUN_MAX: Final = 31
"""Periods that one run of the job closes: after a month without a server, all of them."""

FOLDS_PER_RUN_MAX: Final = 500
"""Folds of one run of the job; the next run goes on."""


class Closes:
    """Closes of periods."""

    def __init__(
        self,
        *,
        operations: Operations,
        folding: Folding,
        database: Database,
        clock: Clock,
        grace_seconds: int,
    ) -> None:
        self._operations = operations
        self._folding = folding
        self._database = database
        self._clock = clock
        self._grace = grace_seconds * MILLISECONDS_PER_SECOND

    async def run(self) -> None:
        """Close the periods that are due, then fold what has gathered: the job of every process."""
        for _ in range(CLOSES_PER_RUN_MAX):
            last = await self._folding.last()
            now = self._clock.now_milliseconds()
            period = due_period(last, now=now, grace=self._grace)
            if period is None:
                break
            want = Want(cutoff=period_end(period), period=period)
            if await self._folding.fold(want, folds_max=FOLDS_PER_RUN_MAX) is None:
                return
            await self.close(period, actor=job_actor(JOB))
        else:
            return
        cutoff = fold_cutoff(last, now=now)
        if await self._folding.has_open(cutoff):
            await self._folding.fold(Want(cutoff=cutoff), folds_max=FOLDS_PER_RUN_MAX)

    async def close(self, period: str, *, actor: Actor) -> Answer:
        """Close a period: everything recorded before its end that is not folded yet.

        Raises:
            InvalidRequest: it is no date, or has not ended.
            OutcomeUnknown: much is to be folded; recovery goes on.
        """
        until = _ended(period, self._clock.now_milliseconds())
        return await self._operations.run(
            OperationCall(
                kind=CLOSE,
                merchant_id=PLATFORM,
                actor=actor,
                key=f"close:all:{period}",
                command={"period": period, "until": until},
            )
        )

    async def get(self, period: str) -> Fold:
        """Return the fold that closed a period.

        Raises:
            NotFound: nothing did.
        """
        close = await close_of(self._database, period)
        if close is None:
            raise NotFound
        return close

    async def list(self, *, before: int | None, limit: int) -> tuple[Fold, ...]:
        """Return closes, newest first, behind the fold ``before``."""
        result = await self._database.execute(queries.closes_page(before=before, limit=limit))
        return tuple(fold_of_row(row) for row in result.rows)


def _ended(period: str, now: int) -> int:
    """Return the end of a period.

    Raises:
        InvalidRequest: it is no date, or has not ended.
    """
    refused = InvalidRequest("/period", "must be a day (UTC) that has ended")
    try:
        until = period_end(period)
    except ValueError:
        raise refused from None
    if until > now:
        raise refused
    return until
