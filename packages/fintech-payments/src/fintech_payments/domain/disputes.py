"""What is to be done about a dispute: pure functions from a payment to events.

A dispute that the processor reports is a fact, whatever we think of it: it is never refused. Where it
takes more than what is left of the payment, the books of two systems disagree and the payment is
``conflicted``: everything stops until people have looked.
"""

from fintech_kernel.contracts.processors import DisputeStatus
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money

from fintech_payments.domain.commands import CloseDispute, OpenDispute
from fintech_payments.domain.errors import (
    CurrencyMismatch,
    DisputeExceedsCaptured,
    DisputeExists,
    DisputeNotOpen,
    PaymentNotDisputable,
)
from fintech_payments.domain.events import (
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    PaymentConflicted,
    PaymentEvent,
)
from fintech_payments.domain.model import Dispute, Payment


def decide_opening(payment: Payment, command: OpenDispute) -> tuple[PaymentEvent, ...]:
    """Hold back what is disputed, from now on.

    Raises:
        DisputeExists, PaymentNotDisputable, CurrencyMismatch, DisputeExceedsCaptured: the refusals.
    """
    if command.reference and find_dispute(payment, command.reference):
        raise DisputeExists(payment_id=payment.payment_id)
    amount = command.amount or payment.money(payment.refundable)
    if command.reported and not _is_covered(payment, amount):
        expected = payment.money(payment.refundable)
        return (
            PaymentConflicted(
                effect=None,
                expected=expected,
                reported=amount,
                dispute_reference=command.reference,
            ),
        )
    if payment.refundable == 0:
        raise PaymentNotDisputable(payment_id=payment.payment_id, status=payment.status)
    if amount.currency != payment.amount.currency:
        raise CurrencyMismatch(payment_id=payment.payment_id, currency=payment.amount.currency)
    if amount.amount > payment.refundable:
        raise DisputeExceedsCaptured(
            payment_id=payment.payment_id, amount_disputable=payment.refundable
        )
    return (
        DisputeOpened(
            dispute_id=command.dispute_id,
            reference=command.reference,
            amount=amount,
            fee=payment.money(command.fee),
            reason=command.reason,
            available_on=max(command.requested_at, payment.available_on),
            opened_at=command.requested_at,
        ),
    )


def decide_closing(payment: Payment, command: CloseDispute) -> tuple[PaymentEvent, ...]:
    """End a dispute.

    Raises:
        DisputeNotOpen: it has ended already.
        InvariantBroken: there is no such dispute, or its end is none.
    """
    dispute = payment.dispute(command.dispute_id)
    if dispute is None:
        raise InvariantBroken(f"no dispute {command.dispute_id}")
    if dispute.status is not DisputeStatus.OPEN:
        raise DisputeNotOpen(dispute_id=dispute.dispute_id, status=dispute.status)
    match command.status:
        case DisputeStatus.WON:
            ended = DisputeWon
        case DisputeStatus.LOST:
            ended = DisputeLost
        case DisputeStatus.OPEN:
            raise InvariantBroken("a dispute does not end by being open")
    return (
        ended(dispute_id=dispute.dispute_id, reason=command.reason, closed_at=command.requested_at),
    )


def find_dispute(payment: Payment, reference: str) -> Dispute | None:
    """Return the dispute that the processor names so."""
    return next((one for one in payment.disputes if one.reference == reference), None)


def _is_covered(payment: Payment, amount: Money) -> bool:
    return amount.currency == payment.amount.currency and 0 < amount.amount <= payment.refundable
