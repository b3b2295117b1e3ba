"""The story of each workflow up to the payout, from the claimed request to the finished operation.

Each ``run_*`` is written once and run by everybody who holds the operation: the first request, a
repeat, a zombie, recovery. It judges or folds, decides, claims lines or asks the rail at most once per
step, and concludes from the rows that stand. What people and rails say of a payout whose outcome is open
is told in ``payout_workflows``.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import DatabaseError, Statement
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutRail
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Appended, Execution, Finished, refused
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.errors import OutcomeUnknown, TryAgainLater
from loguru import logger

from fintech_settlements.domain import decisions
from fintech_settlements.domain.commands import (
    ApproveSettlement,
    CancelSettlement,
    CreateSettlement,
    PaySettlement,
)
from fintech_settlements.domain.completion import RollForward
from fintech_settlements.domain.events import SettlementEvent
from fintech_settlements.domain.history import drafts, fold_settlement
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.postings import own_transfer_id
from fintech_settlements.domain.resolution import Resolution, answer_of
from fintech_settlements.domain.statements import LineHashes

DECIDE_STEP: Final = "decide"
PAY_STEP: Final = "pay"

RESEND_SECONDS: Final = (0.2, 1.0, 2.0)
"""Pauses before the same payout is sent again while the rail's answer is unknown."""

UNKNOWN: Final = PayoutAnswer(outcome=Outcome.UNKNOWN)


class SettlementWorkflows:
    """How operations on settlements run."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        rails: Mapping[str, PayoutRail],
        hashes: LineHashes,
        resolution: Resolution,
        answer_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._rails = rails
        self._hashes = hashes
        self._resolution = resolution
        self._answer_seconds = answer_seconds
        self._completed = RollForward(ledger).completed

    # --- creation: judge, claim, record the total; after the claim it can only close

    async def run_create(self, execution: Execution) -> Finished:
        """Claim what is due and open a settlement over it."""
        command = from_json(CreateSettlement, execution.command)
        decisions.check_creation(command)
        stream = Stream(stream_id_of(command.merchant_id, command.settlement_id))
        if execution.resumed:
            stream = await execution.read_stream(command.merchant_id, command.settlement_id)
        if standing := stream.step(execution.key(DECIDE_STEP)):
            return await execution.finish(
                self._completed(Appended(entries=standing, stream=stream))
            )
        claimed = await self._ledger.claim(
            settlement_id=command.settlement_id,
            own_transfer_id=own_transfer_id(execution.operation_id),
            merchant_id=command.merchant_id,
            account=merchant_account(command.merchant_id, command.currency),
            cutoff=command.cutoff,
            chunk_size=command.chunk_size,
        )
        lines_hash = await self._hashes.of(
            settlement_id=command.settlement_id,
            merchant_id=command.merchant_id,
            currency=command.currency,
            batch_number=command.batch_number,
        )
        return await execution.conclude(
            stream=stream,
            step=DECIDE_STEP,
            decide=lambda _stream: drafts(decisions.decide_creation(command, claimed, lines_hash)),
            complete=self._completed,
        )

    # --- steps of an existing settlement

    @staticmethod
    def opening(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
        """Read the settlement's stream in the trip of the claim."""
        return (stream_statement(request["merchant_id"], request["settlement_id"]),)

    async def run_approve(self, execution: Execution) -> Finished:
        """Decide on an approval."""
        command = from_json(ApproveSettlement, execution.command)
        return await self._decide(
            execution, command, lambda settlement: decisions.decide_approval(settlement, command)
        )

    async def run_cancel(self, execution: Execution) -> Finished:
        """Decide on a cancellation; the money goes back to the merchant's account."""
        command = from_json(CancelSettlement, execution.command)
        return await self._decide(
            execution, command, lambda settlement: decisions.decide_cancel(settlement, command)
        )

    async def _decide(
        self,
        execution: Execution,
        command: ApproveSettlement | CancelSettlement,
        decide: Callable[[Settlement], Sequence[SettlementEvent]],
    ) -> Finished:
        """Run an operation that is one decision and what follows from it."""
        return await execution.conclude(
            stream=execution.opened_stream(command.merchant_id, command.settlement_id),
            step=DECIDE_STEP,
            decide=lambda stream: drafts(decide(fold_settlement(stream))),
            complete=self._completed,
        )

    # --- the payout

    async def run_pay(self, execution: Execution) -> Finished:
        """Record that the payout starts, ask the rail under one key, record its answer or that none came.

        Raises:
            OutcomeUnknown: the rail is not installed in this process; another one runs this.
        """
        command = from_json(PaySettlement, execution.command)
        started = await execution.append(
            stream=execution.opened_stream(command.merchant_id, command.settlement_id),
            step=DECIDE_STEP,
            decide=lambda stream: drafts(
                decisions.decide_payment(fold_settlement(stream), command)
            ),
        )
        if started.is_refused:
            return await execution.finish(refused(started.entries[0]))
        settlement = fold_settlement(started.as_written)
        rail = self._rails.get(settlement.rail)
        if rail is None:
            logger.error("payout rail is not installed here", rail=settlement.rail, alarm=True)
            raise OutcomeUnknown(execution.operation_id)
        answer = UNKNOWN  # where the row stands it is used instead
        if not started.stream.step(execution.key(PAY_STEP)):
            answer = await self._ask_rail(
                execution, rail, settlement, started_at=started.entries[0].occurred_at
            )
        finished = await execution.conclude(
            stream=started.stream,
            step=PAY_STEP,
            decide=lambda stream: drafts(
                decisions.decide_outcome(
                    fold_settlement(stream),
                    answer,
                    operation_id=execution.operation_id,
                    opened_at=command.requested_at,
                    answered_by_people=rail.capabilities.answered_by_people,
                )
            ),
            complete=self._completed,
        )
        await self._tell_other_answer(execution, finished, answer)
        return finished

    async def _ask_rail(
        self, execution: Execution, rail: PayoutRail, settlement: Settlement, *, started_at: int
    ) -> PayoutAnswer:
        """Ask the rail; while its answer is unknown send the same call again, for a while.

        Only while it surely remembers the key: whoever recovers a payout a day later must not have it
        paid twice, and asks its books instead. What it raises against its contract is no answer either.
        """
        key = execution.key(PAY_STEP)
        try:
            async with asyncio.timeout(self._answer_seconds):
                for pause in (*RESEND_SECONDS, None):
                    now = execution.clock.now_milliseconds()
                    if not decisions.may_send(rail.capabilities, started_at=started_at, now=now):
                        return await rail.query(key=key) or UNKNOWN
                    answer = await send(rail, settlement, key=key)
                    if answer.outcome is not Outcome.UNKNOWN or pause is None:
                        return answer
                    await asyncio.sleep(pause)
        except TimeoutError:
            return UNKNOWN
        except Exception as error:  # noqa: BLE001 - a rail's fault must not keep money in limbo
            logger.error("rail raised", rail=rail.name, step=key, reason=type(error).__name__)
        return UNKNOWN

    async def _tell_other_answer(
        self, execution: Execution, finished: Finished, answer: PayoutAnswer
    ) -> None:
        """Have our answer written or compared where another executor's row stands without it.

        The operation has ended; what goes wrong here the resolver learns, too.
        """
        if not decisions.is_definite(answer) or answer_of(finished.entries) is answer.outcome:
            return
        entry = finished.entries[0]
        step = execution.key(PAY_STEP)
        try:
            await self._resolution.learned(
                await execution.read_stream(entry.merchant_id, entry.object_id),
                step,
                answer,
                under=f"resolve:{step}",
                actor=job_actor("settlements.resolve"),
            )
        except (TryAgainLater, DatabaseError) as error:
            logger.warning("answer not written yet", step=step, reason=type(error).__name__)


async def send(rail: PayoutRail, settlement: Settlement, *, key: str) -> PayoutAnswer:
    """Send a settlement's payout; sending it again under the key has no further effect."""
    return await rail.pay(
        key=key,
        merchant_id=settlement.merchant_id,
        amount=settlement.moved,
        batch_number=settlement.batch_number,
        bank_account_id=settlement.bank_account_id,
    )
