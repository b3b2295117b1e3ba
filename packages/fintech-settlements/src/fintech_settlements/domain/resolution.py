"""A rail's definite answer to a payout, and what is done about it: by whoever learned it, wherever."""

from collections.abc import Sequence

from fintech_kernel.canonical import Json
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.payouts import PayoutAnswer
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.domain.actors import Actor, job_actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Entry, Journal, Stream
from fintech_kernel.domain.operations import OperationCall, Operations
from fintech_kernel.observability.metrics import Metrics
from loguru import logger

from fintech_settlements.domain import events
from fintech_settlements.domain.commands import RecoverPayout, ResolvePayout
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.kinds import RECOVER, RESOLVE
from fintech_settlements.domain.model import Settlement


class Resolution:
    """Has ``settlements.resolve`` write answers, and ``settlements.recover`` what contradicts them."""

    def __init__(
        self, *, operations: Operations, journal: Journal, clock: Clock, metrics: Metrics
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._clock = clock
        self._metrics = metrics

    async def learned(
        self, stream: Stream, step: str, answer: PayoutAnswer, *, under: str, actor: Actor
    ) -> None:
        """Write a definite answer to a payout (its key) where none stands; compare it with what stands.

        Whoever else learned it too writes the same step, once. ``under``: the key of the operation.

        Raises:
            TryAgainLater: it is recorded and will be finished, or another executor is at it.
            DatabaseError: the database did not do it.
        """
        settlement = fold_settlement(stream)
        payout = settlement.payout
        if payout is not None and payout.key == step and not payout.is_answered:
            await self._write(settlement, payout.operation_id, answer, under=under, actor=actor)
            stream = await self._journal.existing(settlement.merchant_id, settlement.settlement_id)
        standing = answer_of(stream.step(f"{step}:final") or stream.step(step))
        if standing is Outcome.DECLINED and answer.outcome is Outcome.APPROVED:
            await self._recover(settlement, step, answer)
        if standing is Outcome.APPROVED and answer.outcome is Outcome.DECLINED:
            self._alarm(settlement, step)

    async def _write(
        self,
        settlement: Settlement,
        operation_id: str,
        answer: PayoutAnswer,
        *,
        under: str,
        actor: Actor,
    ) -> None:
        command = ResolvePayout(
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            operation_id=operation_id,
            answer=answer,
            requested_at=self._clock.now_milliseconds(),
        )
        await self._run(RESOLVE, settlement, to_json(command), key=under, actor=actor)

    async def _recover(self, settlement: Settlement, step: str, answer: PayoutAnswer) -> None:
        command = RecoverPayout(
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            answer=answer,
        )
        actor = job_actor("settlements.resolve")
        await self._run(RECOVER, settlement, to_json(command), key=f"recover:{step}", actor=actor)

    async def _run(
        self, kind: str, settlement: Settlement, command: dict[str, Json], *, key: str, actor: Actor
    ) -> None:
        await self._operations.run(
            OperationCall(
                kind=kind, merchant_id=settlement.merchant_id, actor=actor, key=key, command=command
            )
        )

    def _alarm(self, settlement: Settlement, step: str) -> None:
        """A rail takes its word back: whether the money left, people must ask it."""
        self._metrics.alarms.labels("settlement.payment_withdrawn").inc()
        logger.error(
            "a rail refuses what it paid before",
            settlement_id=settlement.settlement_id,
            rail=settlement.rail,
            step=step,
            alarm=True,
        )


def answer_of(entries: Sequence[Entry]) -> Outcome | None:
    """Return the rail's definite answer that the rows of its step record; None where they record none."""
    for entry in entries:
        match entry.type:
            case events.SettlementPaid.type | events.PaidAfterFailure.type:
                return Outcome.APPROVED
            case events.SettlementFailed.type | events.PayoutContradicted.type:
                return Outcome.DECLINED
            case events.PayoutAnswered.type:
                return Outcome(entry.data["outcome"])
            case _:
                continue
    return None
