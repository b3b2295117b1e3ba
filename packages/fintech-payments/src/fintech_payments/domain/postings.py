"""What each step of a payment means in the ledger: pure functions from events to legs.

Leg names are fixed per step, so that whoever rolls an operation forward writes the same transfers.
"""

from fintech_kernel.contracts.accounts import fees_account, merchant_account, processor_account
from fintech_kernel.contracts.ledger import Posting

from fintech_payments.domain.events import (
    PaymentCaptured,
    PaymentEvent,
    RefundFailed,
    RefundRequested,
)
from fintech_payments.domain.model import Payment, Refund


def legs_of(payment: Payment, event: PaymentEvent) -> tuple[Posting, ...]:
    """Return the legs of one event; ``payment`` is the payment with the event applied."""
    if isinstance(event, PaymentCaptured):
        return capture_legs(payment, event)
    if isinstance(event, RefundRequested):
        return refund_legs(payment, event)
    if isinstance(event, RefundFailed):
        refund = payment.refund(event.refund_id)
        return refund_reversal_legs(payment, refund) if refund else ()
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
