"""Payouts: what people ask for once a settlement is approved, with every input read before the claim.

How operations run is told in ``workflows`` and ``payout_workflows``, what they decide in ``decisions``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fintech_kernel.clock import Clock
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.contracts.payouts import PayoutRail
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound

from fintech_settlements.domain import kinds
from fintech_settlements.domain.commands import (
    ConfirmPayout,
    FailPayout,
    PaySettlement,
    ReturnPayout,
)
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.inquiry import Inquiry


@dataclass(frozen=True, slots=True, kw_only=True)
class RailChoice:
    """Which rail a new payout goes through: by currency, else the default."""

    default: PayoutRail
    by_currency: Mapping[str, PayoutRail] = field(default_factory=dict[str, PayoutRail])

    def of(self, currency: str) -> PayoutRail:
        """Return the rail of a currency."""
        return self.by_currency.get(currency, self.default)


class Payouts:
    """The use cases of payouts.

    Args:
        choice: which rail new payouts go through.
        rails: every rail that is installed; payouts that were started know theirs by name.
        two_people_above: minor units; above it the payer must not be the approver.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        clock: Clock,
        merchants: MerchantDirectory,
        inquiry: Inquiry,
        choice: RailChoice,
        rails: Mapping[str, PayoutRail],
        two_people_above: int,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._clock = clock
        self._merchants = merchants
        self._inquiry = inquiry
        self._choice = choice
        self._rails = rails
        self._two_people_above = two_people_above

    async def pay(
        self, settlement_id: str, *, merchant_id: str, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Pay an approved settlement out, once. Its outcome may be open when this returns.

        Raises:
            NotFound: there is no such settlement of this merchant.
        """
        settlement = fold_settlement(await self._journal.existing(merchant_id, settlement_id))
        profile = await self._merchants.profile(merchant_id)
        if profile is None:
            raise NotFound
        rail = self._choice.of(settlement.currency)
        account = profile.bank_account
        command = PaySettlement(
            settlement_id=settlement_id,
            merchant_id=merchant_id,
            rail=rail.name,
            two_people_above=self._two_people_above,
            paid_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
            merchant_status=profile.status,
            rail_currencies=rail.capabilities.currencies,
            rail_account_kinds=rail.capabilities.account_kinds,
            bank_account_id=account.account_id if account else "",
            bank_account_kind=account.kind if account else None,
        )
        return await self._run(kinds.PAY, command, actor, call)

    async def confirm(
        self,
        settlement_id: str,
        *,
        bank_reference: str,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Say that a payout of unknown outcome was done, under the bank's reference.

        Raises:
            NotFound: there is no such settlement of this merchant.
        """
        await self._journal.existing(merchant_id, settlement_id)
        command = ConfirmPayout(
            settlement_id=settlement_id,
            merchant_id=merchant_id,
            bank_reference=bank_reference,
            confirmed_by=actor.subject,
        )
        return await self._run(kinds.CONFIRM, command, actor, call)

    async def fail(
        self,
        settlement_id: str,
        *,
        reason: str,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Give a payout of unknown outcome up, or agree to that; the rail is asked once more before.

        Raises:
            NotFound: there is no such settlement of this merchant.
        """
        settlement = fold_settlement(await self._journal.existing(merchant_id, settlement_id))
        answer = None
        if settlement.is_outcome_open:
            answer = await self._inquiry.definite_answer(settlement)
        rail = self._rails.get(settlement.rail, self._choice.default)
        payout = settlement.payout
        command = FailPayout(
            settlement_id=settlement_id,
            merchant_id=merchant_id,
            operation_id=payout.operation_id if payout else "",
            reason=reason,
            failed_by=actor.subject,
            in_flight_limit_seconds=rail.capabilities.in_flight_limit_seconds,
            answered_by_people=rail.capabilities.answered_by_people,
            answer=answer,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(kinds.FAIL, command, actor, call)

    async def record_return(
        self,
        settlement_id: str,
        *,
        return_code: str,
        reference: str,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Record that what was paid came back.

        Raises:
            NotFound: there is no such settlement of this merchant.
        """
        await self._journal.existing(merchant_id, settlement_id)
        command = ReturnPayout(
            settlement_id=settlement_id,
            merchant_id=merchant_id,
            return_code=return_code,
            reference=reference,
            recorded_by=actor.subject,
        )
        return await self._run(kinds.RETURN, command, actor, call)

    async def _run(
        self,
        kind: str,
        command: PaySettlement | ConfirmPayout | FailPayout | ReturnPayout,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=command.merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )
