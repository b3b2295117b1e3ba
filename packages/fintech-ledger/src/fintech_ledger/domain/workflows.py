"""The story of each operation of the ledger: closing a period, and adjusting by two people.

Each ``run_*`` is written once and run by everybody who holds the operation. It concludes from the rows
that stand.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Database, Statement
from fintech_kernel.canonical import sha256_hex
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.domain.actors import PLATFORM
from fintech_kernel.domain.codec import EventCodec, from_json, to_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Draft, Stream, stream_id_of, stream_statement
from fintech_kernel.errors import OutcomeUnknown

from fintech_ledger.domain import decisions
from fintech_ledger.domain.adjustments import CODEC, adjustment_of, read_model
from fintech_ledger.domain.decisions import (
    Adjustment,
    ApproveAdjustment,
    ProposeAdjustment,
    RejectAdjustment,
)
from fintech_ledger.domain.errors import PeriodPassed
from fintech_ledger.domain.events import AdjustmentEvent, LedgerClosed
from fintech_ledger.domain.folding import Folding, close_of
from fintech_ledger.domain.folds import Want

DECIDE_STEP: Final = "decide"

FOLDS_PER_ATTEMPT_MAX: Final = 500
"""Folds of one attempt to close a period; recovery goes on where it stopped."""

CLOSED: Final[EventCodec[LedgerClosed]] = EventCodec(LedgerClosed)


class CloseWorkflow:
    """How a period is closed."""

    def __init__(self, *, folding: Folding, database: Database) -> None:
        self._folding = folding
        self._database = database

    async def run_close(self, execution: Execution) -> Finished:
        """Fold until the period's close stands, and say so in the journal.

        Raises:
            OutcomeUnknown: much was to be folded; recovery goes on.
            PeriodPassed: later transfers were folded before; it is recorded.
        """
        period, until = str(execution.command["period"]), int(execution.command["until"])
        want = Want(cutoff=until, period=period)
        if await self._folding.fold(want, folds_max=FOLDS_PER_ATTEMPT_MAX) is None:
            raise OutcomeUnknown(execution.operation_id)
        close = await close_of(self._database, period)
        if close is None:
            raise PeriodPassed(period=period)
        event = LedgerClosed(
            period=period, until=until, fold=close.fold, totals_hash=sha256_hex(close.totals)
        )
        return await execution.conclude(
            stream=Stream(stream_id_of(PLATFORM, close_stream(period))),
            step=DECIDE_STEP,
            decide=lambda _stream: [CLOSED.draft(event)],
            complete=_closed,
        )


class AdjustmentWorkflows:
    """How adjustments are proposed, approved and rejected."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    async def run_propose(self, execution: Execution) -> Finished:
        """Decide on a proposal."""
        command = from_json(ProposeAdjustment, execution.command)
        return await execution.conclude(
            stream=Stream(stream_id_of(PLATFORM, command.adjustment_id)),
            step=DECIDE_STEP,
            decide=lambda _stream: _drafts(decisions.decide_proposal(command)),
            complete=self._completed,
        )

    @staticmethod
    def opening(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
        """Read the adjustment's stream in the trip of the claim."""
        return (stream_statement(PLATFORM, request["adjustment_id"]),)

    async def run_approve(self, execution: Execution) -> Finished:
        """Decide on an approval; the transfer is posted with it."""
        command = from_json(ApproveAdjustment, execution.command)
        return await self._decide(
            execution,
            command.adjustment_id,
            lambda adjustment: decisions.decide_approval(adjustment, command),
        )

    async def run_reject(self, execution: Execution) -> Finished:
        """Decide on a rejection."""
        command = from_json(RejectAdjustment, execution.command)
        return await self._decide(
            execution,
            command.adjustment_id,
            lambda adjustment: decisions.decide_rejection(adjustment, command),
        )

    async def _decide(
        self,
        execution: Execution,
        adjustment_id: str,
        decide: Callable[[Adjustment], Sequence[AdjustmentEvent]],
    ) -> Finished:
        return await execution.conclude(
            stream=execution.opened_stream(PLATFORM, adjustment_id),
            step=DECIDE_STEP,
            decide=lambda stream: _drafts(decide(adjustment_of(stream))),
            complete=self._completed,
        )

    def _completed(self, appended: Appended) -> Completion:
        """Return result, transfer and read model, from the rows that stand and nothing else."""
        if appended.is_refused:
            return refused(appended.entries[0])
        adjustment = adjustment_of(appended.as_written)
        entry = appended.entries[0]
        writes = self._ledger.postings(
            operation_id=entry.operation_id,
            merchant_id=adjustment.merchant_id,
            recorded_at=entry.occurred_at,
            legs=decisions.legs_of(adjustment),
        )
        return Completion(
            result=to_json(adjustment),
            writes=writes,
            read_models=(read_model(adjustment, entry.seq),),
        )


def close_stream(period: str) -> str:
    """Return the object whose stream tells that a period was closed."""
    return f"close_{period.replace('-', '')}"


def _closed(appended: Appended) -> Completion:
    if appended.is_refused:
        return refused(appended.entries[0])
    return Completion(result=appended.entries[0].data)


def _drafts(events: Sequence[AdjustmentEvent]) -> list[Draft]:
    return [CODEC.draft(event) for event in events]
