"""The story of each workflow, from the claimed request to the finished operation.

Each ``run_*`` is written once and run by everybody who holds the operation: the first request, a
repeat, a zombie, recovery. It judges or folds, decides, claims lines or asks the rail at most once per
step, and concludes from the rows that stand.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Statement
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutRail
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.errors import OutcomeUnknown
from loguru import logger

from fintech_settlements.domain import model
from fintech_settlements.domain.events import SettlementEvent, SettlementOpened
from fintech_settlements.domain.history import drafts, events_of, fold_settlement
from fintech_settlements.domain.model import (
    ApproveSettlement,
    CancelSettlement,
    CreateSettlement,
    PaySettlement,
    Settlement,
)
from fintech_settlements.domain.postings import legs_of, own_transfer_id
from fintech_settlements.domain.projection import read_model
from fintech_settlements.domain.statements import hash_of_lines
from fintech_settlements.infrastructure import queries

DECIDE_STEP: Final = "decide"
PAY_STEP: Final = "pay"


class SettlementWorkflows:
    """How operations on settlements run."""

    def __init__(self, *, ledger: Ledger, rails: Mapping[str, PayoutRail], clock: Clock) -> None:
        self._ledger = ledger
        self._rails = rails
        self._clock = clock

    # --- creation: judge, claim, record the total; after the claim it can only close

    async def run_create(self, execution: Execution) -> Finished:
        """Claim what is due and open a settlement over it."""
        command = from_json(CreateSettlement, execution.command)
        model.check_creation(command)
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
        lines_hash = await hash_of_lines(
            self._ledger,
            settlement_id=command.settlement_id,
            merchant_id=command.merchant_id,
            currency=command.currency,
            batch_number=command.batch_number,
        )
        return await execution.conclude(
            stream=stream,
            step=DECIDE_STEP,
            decide=lambda _stream: drafts(model.decide_creation(command, claimed, lines_hash)),
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
            execution, command, lambda settlement: model.decide_approval(settlement, command)
        )

    async def run_cancel(self, execution: Execution) -> Finished:
        """Decide on a cancellation; the money goes back to the merchant's account."""
        command = from_json(CancelSettlement, execution.command)
        return await self._decide(
            execution, command, lambda settlement: model.decide_cancel(settlement, command)
        )

    async def run_pay(self, execution: Execution) -> Finished:
        """Record that the payout starts, ask the rail under one key, record its definite answer.

        Raises:
            OutcomeUnknown: there is no definite answer yet; recovery runs this again.
        """
        command = from_json(PaySettlement, execution.command)
        started = await execution.append(
            stream=execution.opened_stream(command.merchant_id, command.settlement_id),
            step=DECIDE_STEP,
            decide=lambda stream: drafts(model.decide_payment(fold_settlement(stream), command)),
        )
        if started.is_refused:
            return await execution.finish(refused(started.entries[0]))
        if standing := started.stream.step(execution.key(PAY_STEP)):
            appended = Appended(entries=standing, stream=started.stream)
            return await execution.finish(self._completed(appended))
        answer = await self._ask_rail(execution, started)
        return await execution.conclude(
            stream=started.stream,
            step=PAY_STEP,
            decide=lambda stream: drafts(model.decide_payout(fold_settlement(stream), answer)),
            complete=self._completed,
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

    async def _ask_rail(self, execution: Execution, started: Appended) -> PayoutAnswer:
        """Return the rail's definite answer.

        The same call is sent again while the rail surely remembers its key; afterwards only its books
        are read, and "not found" is no answer.

        Raises:
            OutcomeUnknown: there is none yet, or the rail is not installed in this process.
        """
        settlement = fold_settlement(started.as_written)
        rail = self._rails.get(settlement.rail)
        if rail is None:
            logger.error("payout rail is not installed here", rail=settlement.rail)
            raise OutcomeUnknown(execution.operation_id)
        key = execution.key(PAY_STEP)
        now = self._clock.now_milliseconds()
        if model.may_send(rail.capabilities, started_at=started.entries[0].occurred_at, now=now):
            answer = await rail.pay(
                key=key,
                merchant_id=settlement.merchant_id,
                amount=settlement.moved,
                batch_number=settlement.batch_number,
            )
        else:
            answer = await rail.query(key=key)
        if answer is None or answer.outcome in {Outcome.PENDING, Outcome.UNKNOWN}:
            raise OutcomeUnknown(execution.operation_id)
        return answer

    # --- what follows from the rows that stand

    def _completed(self, appended: Appended) -> Completion:
        """Return result, ledger legs and read model, from the rows that stand and nothing else."""
        if appended.is_refused:
            return refused(appended.entries[0])
        settlement = fold_settlement(appended.as_written)
        decided = events_of(appended.entries)
        return Completion(
            result=to_json(settlement),
            writes=(*_ownership(decided), *self._postings(appended, settlement, decided)),
            read_models=(read_model(settlement, appended.entries[-1].seq),),
        )

    def _postings(
        self, appended: Appended, settlement: Settlement, decided: tuple[SettlementEvent, ...]
    ) -> tuple[Write, ...]:
        """Return all legs of one decision as one insert: own transfer and carry-over never part."""
        legs = legs_of(settlement, decided)
        if not legs:
            return ()
        return self._ledger.postings(
            operation_id=appended.entries[0].operation_id,
            merchant_id=settlement.merchant_id,
            recorded_at=appended.entries[0].occurred_at,
            legs=legs,
        )


def _ownership(decided: tuple[SettlementEvent, ...]) -> tuple[Write, ...]:
    """Return the write that says whose a new settlement is: part of what is acknowledged."""
    return tuple(
        Write(
            statement=queries.insert_owner(
                settlement_id=event.settlement_id, merchant_id=event.merchant_id
            ),
            confirm=queries.owner_of(event.settlement_id),
            expected=({"settlement_id": event.settlement_id, "merchant_id": event.merchant_id},),
        )
        for event in decided
        if isinstance(event, SettlementOpened)
    )
