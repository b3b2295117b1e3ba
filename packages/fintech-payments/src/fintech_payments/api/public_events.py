"""What merchants are told of payments. Names and fields are public: they are added to, never changed."""

from typing import Final

from fintech_kernel.hooks import PublicEvent

PUBLIC_EVENTS: Final = (
    PublicEvent(
        name="payment.created",
        summary="A payment exists.",
        fields=("amount", "capture", "method", "reference", "metadata", "expires_at"),
    ),
    PublicEvent(name="payment.authorized", summary="The amount was reserved.", fields=("amount",)),
    PublicEvent(
        name="payment.failed", summary="The payment was declined.", fields=("decline_code",)
    ),
    PublicEvent(
        name="payment.captured",
        summary="Money was taken.",
        fields=("amount", "fee", "available_on"),
    ),
    PublicEvent(
        name="payment.capture_failed",
        summary="A capture was declined.",
        fields=("amount", "decline_code"),
    ),
    PublicEvent(name="payment.canceled", summary="The authorization was given up."),
    PublicEvent(
        name="payment.cancel_failed",
        summary="A cancellation was declined.",
        fields=("decline_code",),
    ),
    PublicEvent(
        name="payment.expired",
        summary="The authorization's time was over; what was left is released.",
        fields=("released",),
    ),
    PublicEvent(
        name="payment.refund_requested",
        summary="A refund is under way.",
        fields=("refund_id", "amount", "fee_returned", "reason"),
    ),
    PublicEvent(
        name="payment.refund_succeeded",
        summary="The money was given back.",
        fields=("refund_id",),
    ),
    PublicEvent(
        name="payment.refund_failed",
        summary="A refund was declined.",
        fields=("refund_id", "decline_code"),
    ),
    PublicEvent(
        name="payment.dispute_opened",
        summary="The customer's bank disputes the payment.",
        fields=("dispute_id", "reference", "amount", "fee", "reason"),
    ),
    PublicEvent(
        name="payment.dispute_won",
        summary="A dispute ended for the merchant.",
        fields=("dispute_id", "reason"),
    ),
    PublicEvent(
        name="payment.dispute_lost",
        summary="A dispute ended for the customer.",
        fields=("dispute_id", "reason"),
    ),
)
