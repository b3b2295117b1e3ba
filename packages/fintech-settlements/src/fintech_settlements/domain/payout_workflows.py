"""The story of what people and rails say of a payout whose outcome is open, or that came back.

The rail's answer has one step of the operation that pays, whoever learned it; people's decisions have
steps of their own operations. The settlement's state sees to it that money moves once.
"""

from collections.abc import Callable, Sequence
from typing import Final

from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.payouts import PayoutAnswer
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Execution, Finished

from fintech_settlements.domain import decisions
from fintech_settlements.domain.commands import (
    ConfirmPayout,
    FailPayout,
    RecoverPayout,
    ResolvePayout,
    ReturnPayout,
)
from fintech_settlements.domain.completion import RollForward
from fintech_settlements.domain.events import SettlementEvent
from fintech_settlements.domain.history import drafts, fold_settlement
from fintech_settlements.domain.model import Settlement

FINAL_STEP: Final = "pay:final"


class PayoutWorkflows:
    """How operations on payouts run that were started before."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._completed = RollForward(ledger).completed

    async def run_confirm(self, execution: Execution) -> Finished:
        """Take somebody's word that it was paid."""
        command = from_json(ConfirmPayout, execution.command)
        return await self._decide(
            execution,
            command,
            lambda settlement: decisions.decide_confirmation(settlement, command),
        )

    async def run_fail(self, execution: Execution) -> Finished:
        """Write the rail's answer where it gave one when it was asked; else two people give it up."""
        command = from_json(FailPayout, execution.command)
        if command.answer is not None:
            return await self._write_answer(execution, command, command.answer)
        return await self._decide(
            execution, command, lambda settlement: decisions.decide_failure(settlement, command)
        )

    async def run_return(self, execution: Execution) -> Finished:
        """Take back what was paid."""
        command = from_json(ReturnPayout, execution.command)
        return await self._decide(
            execution, command, lambda settlement: decisions.decide_return(settlement, command)
        )

    async def run_recover(self, execution: Execution) -> Finished:
        """Let the merchant owe what was paid after all."""
        command = from_json(RecoverPayout, execution.command)
        return await self._decide(
            execution, command, lambda settlement: decisions.decide_recovery(settlement, command)
        )

    async def run_resolve(self, execution: Execution) -> Finished:
        """Write the rail's definite answer."""
        command = from_json(ResolvePayout, execution.command)
        return await self._write_answer(execution, command, command.answer)

    async def _write_answer(
        self, execution: Execution, command: ResolvePayout | FailPayout, answer: PayoutAnswer
    ) -> Finished:
        """Append under one step, so that of several answers one stands; everybody uses that one."""
        return await execution.conclude(
            stream=execution.opened_stream(command.merchant_id, command.settlement_id),
            step=FINAL_STEP,
            step_of=command.operation_id,
            decide=lambda stream: drafts(decisions.decide_answer(fold_settlement(stream), answer)),
            complete=self._completed,
        )

    async def _decide(
        self,
        execution: Execution,
        command: ConfirmPayout | FailPayout | ReturnPayout | RecoverPayout,
        decide: Callable[[Settlement], Sequence[SettlementEvent]],
    ) -> Finished:
        return await execution.conclude(
            stream=execution.opened_stream(command.merchant_id, command.settlement_id),
            step="decide",
            decide=lambda stream: drafts(decide(fold_settlement(stream))),
            complete=self._completed,
        )
