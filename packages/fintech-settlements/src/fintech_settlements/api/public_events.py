"""What merchants are told of settlements. Names and fields are public: they are added to, never changed."""

from typing import Final

from fintech_kernel.hooks import PublicEvent

PUBLIC_EVENTS: Final = (
    PublicEvent(
        name="settlement.opened",
        summary="Lines were claimed and summed.",
        fields=("settlement_id", "currency", "cutoff", "batch_number", "total", "line_count"),
    ),
    PublicEvent(
        name="settlement.closed",
        summary="There was nothing to pay out.",
        fields=("reason", "carried"),
    ),
    PublicEvent(name="settlement.approved", summary="The total was approved."),
    PublicEvent(name="settlement.paying", summary="The payout started.", fields=("amount",)),
    PublicEvent(name="settlement.paid", summary="The payout arrived at the rail's end."),
    PublicEvent(
        name="settlement.failed",
        summary="The payout failed; the money is a line of the next settlement.",
        fields=("failure_code",),
    ),
    PublicEvent(
        name="settlement.canceled",
        summary="Given up before its payout; the money is a line of the next settlement.",
    ),
)
