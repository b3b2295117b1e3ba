"""Disputes: opened and closed by operators here, and by processors through ``callbacks``."""

from collections.abc import Mapping

from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import DisputeChanged, DisputeStatus
from fintech_kernel.domain.actors import Actor, job_actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.money import Money
from loguru import logger

from fintech_payments.domain.commands import CloseDispute, OpenDispute
from fintech_payments.domain.disputes import find_dispute
from fintech_payments.domain.errors import CallbackTooEarly
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.kinds import CLOSE_DISPUTE, OPEN_DISPUTE
from fintech_payments.domain.model import Dispute, Payment


class Disputes:
    """The use cases of disputes. ``fees`` are minor units by currency; a currency not named costs none."""

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        identifiers: Identifiers,
        clock: Clock,
        fees: Mapping[str, int],
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._identifiers = identifiers
        self._clock = clock
        self._fees = fees

    async def open(
        self,
        payment_id: str,
        amount: Money | None,
        reason: str,
        *,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Hold back what a customer's bank disputes.

        Raises:
            NotFound: there is no such payment of this merchant.
        """
        payment = fold_payment(await self._journal.existing(merchant_id, payment_id))
        command = self._opening(payment, amount, reason)
        return await self._operations.run(
            OperationCall(
                kind=OPEN_DISPUTE,
                merchant_id=merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )

    async def close(
        self,
        payment_id: str,
        dispute_id: str,
        status: DisputeStatus,
        reason: str,
        *,
        merchant_id: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """End a dispute.

        Raises:
            NotFound: there is no such dispute of this merchant's payment.
        """
        payment = fold_payment(await self._journal.existing(merchant_id, payment_id))
        if payment.dispute(dispute_id) is None:
            raise NotFound
        command = self._closing(payment, dispute_id, status, reason)
        return await self._operations.run(
            OperationCall(
                kind=CLOSE_DISPUTE,
                merchant_id=merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )

    async def get(
        self, merchant_id: str, payment_id: str, dispute_id: str
    ) -> tuple[Payment, Dispute]:
        """Return a dispute with its payment.

        Raises:
            NotFound: there is none of this merchant.
        """
        payment = fold_payment(await self._journal.existing(merchant_id, payment_id))
        dispute = payment.dispute(dispute_id)
        if dispute is None:
            raise NotFound
        return payment, dispute

    async def learn(self, payment: Payment, event: DisputeChanged, *, key: str) -> None:
        """Do what a processor's event about a dispute says; one that is known already is nothing new.

        Raises:
            CallbackTooEarly: nothing is captured yet, or the dispute that ended was never opened.
            TryAgainLater: it is recorded and will be finished.
        """
        known = find_dispute(payment, event.reference)
        if event.status is DisputeStatus.OPEN:
            if known is not None:
                return
            if not payment.captured:
                raise CallbackTooEarly(retry_after_seconds=CallbackTooEarly.seconds)
            kind = OPEN_DISPUTE
            command = self._opening(
                payment, event.amount, event.reason, reference=event.reference, reported=True
            )
        else:
            if known is None:
                raise CallbackTooEarly(retry_after_seconds=CallbackTooEarly.seconds)
            if known.status is not DisputeStatus.OPEN:
                _alarm_where_ends_differ(known, event)
                return
            kind = CLOSE_DISPUTE
            command = self._closing(payment, known.dispute_id, event.status, event.reason)
        await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=payment.merchant_id,
                actor=job_actor("payments.callback"),
                key=key,
                command=to_json(command),
            )
        )

    def _opening(
        self,
        payment: Payment,
        amount: Money | None,
        reason: str,
        *,
        reference: str = "",
        reported: bool = False,
    ) -> OpenDispute:
        return OpenDispute(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            dispute_id=self._identifiers.new("dis"),
            reference=reference,
            amount=amount,
            fee=self._fees.get(payment.amount.currency, 0),
            reason=reason,
            reported=reported,
            requested_at=self._clock.now_milliseconds(),
        )

    def _closing(
        self, payment: Payment, dispute_id: str, status: DisputeStatus, reason: str
    ) -> CloseDispute:
        return CloseDispute(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            dispute_id=dispute_id,
            status=status,
            reason=reason,
            requested_at=self._clock.now_milliseconds(),
        )


def _alarm_where_ends_differ(known: Dispute, event: DisputeChanged) -> None:
    if known.status is not event.status:
        logger.error(
            "a dispute ended here in one way and at the processor in the other",
            payment_id=event.payment_id,
            state=known.status.value,
            reason=event.status.value,
        )
