"""What each step of a payment means in the ledger: pure functions from events to legs.

Leg names are fixed per step, so that whoever rolls an operation forward writes the same transfers.
"""

from typing import Final

from fintech_kernel.contracts.accounts import (
    disputes_account,
    fees_account,
    merchant_account,
    processor_account,
)
from fintech_kernel.contracts.ledger import Posting

from fintech_payments.domain.events import (
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    PaymentCaptured,
    PaymentEvent,
    RefundFailed,
    RefundRequested,
)
from fintech_payments.domain.model import Dispute, Payment, Refund


def legs_of(payment: Payment, event: PaymentEvent) -> tuple[Posting, ...]:
    """Return the legs of one event; ``payment`` is the payment with the event applied."""
    if isinstance(event, PaymentCaptured):
        return capture_legs(payment, event)
    if isinstance(event, RefundRequested):
        return refund_legs(payment, event)
    if isinstance(event, RefundFailed):
        refund = payment.refund(event.refund_id)
        return refund_reversal_legs(payment, refund) if refund else ()
    if isinstance(event, DisputeOpened | DisputeWon | DisputeLost):
        dispute = payment.dispute(event.dispute_id)
        return _LEGS_OF_DISPUTE[type(event)](payment, dispute) if dispute else ()
    return ()


def capture_legs(payment: Payment, event: PaymentCaptured) -> tuple[Posting, ...]:
    """Debit the processor, credit the merchant gross; debit the merchant, credit fees."""
    currency = payment.amount.currency
    merchant = merchant_account(payment.merchant_id, currency)
    return (
        Posting(
            leg="capture",
            debit_account=processor_account(payment.processor, currency),
            credit_account=merchant,
            amount=event.amount,
            kind="Settled",
            available_on=event.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
        Posting(
            leg="fee",
            debit_account=merchant,
            credit_account=fees_account(currency),
            amount=event.fee,
            kind="Fee",
            available_on=event.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
    )


def refund_legs(payment: Payment, event: RefundRequested) -> tuple[Posting, ...]:
    """Debit the merchant, credit the processor; and the returned fee back to the merchant."""
    currency = payment.amount.currency
    merchant = merchant_account(payment.merchant_id, currency)
    return (
        Posting(
            leg="refund",
            debit_account=merchant,
            credit_account=processor_account(payment.processor, currency),
            amount=event.amount,
            kind="Refunded",
            available_on=event.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
        Posting(
            leg="fee_refund",
            debit_account=fees_account(currency),
            credit_account=merchant,
            amount=event.fee_returned,
            kind="FeeRefund",
            available_on=event.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
    )


def refund_reversal_legs(payment: Payment, refund: Refund) -> tuple[Posting, ...]:
    """Undo a refund that the processor declined: the same legs the other way round."""
    currency = payment.amount.currency
    merchant = merchant_account(payment.merchant_id, currency)
    return (
        Posting(
            leg="refund_reversal",
            debit_account=processor_account(payment.processor, currency),
            credit_account=merchant,
            amount=refund.amount,
            kind="RefundFailed",
            available_on=refund.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
        Posting(
            leg="fee_refund_reversal",
            debit_account=merchant,
            credit_account=fees_account(currency),
            amount=refund.fee_returned,
            kind="Fee",
            available_on=refund.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
    )


def dispute_legs(payment: Payment, dispute: Dispute) -> tuple[Posting, ...]:
    """Hold the amount back from the merchant, and take the fee."""
    currency = payment.amount.currency
    merchant = merchant_account(payment.merchant_id, currency)
    return (
        Posting(
            leg="dispute",
            debit_account=merchant,
            credit_account=disputes_account(payment.merchant_id, currency),
            amount=dispute.amount,
            kind="Chargeback",
            available_on=dispute.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
        Posting(
            leg="dispute_fee",
            debit_account=merchant,
            credit_account=fees_account(currency),
            amount=dispute.fee,
            kind="Fee",
            available_on=dispute.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
    )


def dispute_won_legs(payment: Payment, dispute: Dispute) -> tuple[Posting, ...]:
    """Give the merchant back what was held; it is available when the hold itself counted."""
    currency = payment.amount.currency
    return (
        Posting(
            leg="dispute_won",
            debit_account=disputes_account(payment.merchant_id, currency),
            credit_account=merchant_account(payment.merchant_id, currency),
            amount=dispute.amount,
            kind="ChargebackReversed",
            available_on=dispute.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
    )


def dispute_lost_legs(payment: Payment, dispute: Dispute) -> tuple[Posting, ...]:
    """Let the processor take what was held; the merchant has paid already."""
    currency = payment.amount.currency
    return (
        Posting(
            leg="dispute_lost",
            debit_account=disputes_account(payment.merchant_id, currency),
            credit_account=processor_account(payment.processor, currency),
            amount=dispute.amount,
            kind="ChargebackSettled",
            available_on=dispute.available_on,
            subject_id=payment.payment_id,
            reference=payment.reference,
        ),
    )


_LEGS_OF_DISPUTE: Final = {
    DisputeOpened: dispute_legs,
    DisputeWon: dispute_won_legs,
    DisputeLost: dispute_lost_legs,
}
