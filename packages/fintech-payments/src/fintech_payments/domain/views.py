"""How a payment and a refund are shown: the domain's result of an operation, as JSON.

A function of the stream up to the operation's own rows, which never change; so the first answer and
every replay are the same.
"""

from fintech_kernel.canonical import Json
from fintech_kernel.pricing import fee_lines

from fintech_payments.domain.events import CaptureMode
from fintech_payments.domain.model import Dispute, Payment, Refund, RefundStatus


def payment_view(payment: Payment) -> dict[str, Json]:
    """Return a payment as JSON. Amounts are minor units, times UTC milliseconds."""
    return {
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "status": payment.status,
        "amount": payment.amount.amount,
        "amount_authorized": payment.authorized,
        "amount_captured": payment.captured,
        "amount_refunded": payment.refunded,
        "amount_disputed": payment.disputed,
        "currency": payment.amount.currency,
        "capture": payment.capture,
        "method": payment.method,
        "processor": payment.processor,
        "processor_outcome": "open" if payment.open_outcomes else "known",
        "decline_code": payment.decline_code or None,
        "reference": payment.reference or None,
        "metadata": dict(payment.metadata),
        "fee": {
            "amount": payment.fee,
            "amount_returned": payment.fee_returned,
            "rule": payment.fee_rule or None,
            "lines": [
                {"part": line.part, "amount": line.amount}
                for line in fee_lines(payment.pricing, payment.money(payment.captured))
            ],
        },
        "available_on": payment.available_on or None,
        "created_at": payment.created_at,
        "expires_at": payment.expires_at if payment.capture is CaptureMode.MANUAL else None,
    }


def refund_view(payment: Payment, refund: Refund) -> dict[str, Json]:
    """Return a refund as JSON."""
    is_open = any(one.refund_id == refund.refund_id for one in payment.open_outcomes)
    return {
        "refund_id": refund.refund_id,
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "status": refund.status,
        "amount": refund.amount.amount,
        "currency": refund.amount.currency,
        "fee_returned": refund.fee_returned.amount,
        "reason": refund.reason or None,
        "decline_code": refund.decline_code or None,
        "processor_outcome": (
            "open" if is_open and refund.status is RefundStatus.PENDING else "known"
        ),
        "created_at": refund.requested_at,
    }


def dispute_view(payment: Payment, dispute: Dispute) -> dict[str, Json]:
    """Return a dispute as JSON."""
    return {
        "dispute_id": dispute.dispute_id,
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "status": dispute.status,
        "amount": dispute.amount.amount,
        "currency": dispute.amount.currency,
        "fee": dispute.fee.amount,
        "reason": dispute.reason or None,
        "reference": dispute.reference or None,
        "opened_at": dispute.opened_at,
        "closed_at": dispute.closed_at,
    }
