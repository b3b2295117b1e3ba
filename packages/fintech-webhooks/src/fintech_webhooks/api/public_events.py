"""What merchants are told of their endpoints. Names and fields are public: only added to, never changed."""

from typing import Final

from fintech_kernel.hooks import PublicEvent

PUBLIC_EVENTS: Final = (
    PublicEvent(
        name="webhook_endpoint.created",
        summary="A webhook endpoint was made.",
        fields=("url", "events", "description"),
    ),
    PublicEvent(
        name="webhook_endpoint.updated",
        summary="A webhook endpoint was changed.",
        fields=("url", "events", "description"),
    ),
    PublicEvent(
        name="webhook_endpoint.secret_rotated",
        summary="Another secret signs for a webhook endpoint.",
        fields=("secret_id", "previous_until"),
    ),
    PublicEvent(name="webhook_endpoint.enabled", summary="A webhook endpoint was enabled."),
    PublicEvent(
        name="webhook_endpoint.disabled",
        summary="A webhook endpoint was disabled: on request, gone, or failing.",
        fields=("reason",),
    ),
    PublicEvent(name="webhook_endpoint.removed", summary="A webhook endpoint was removed."),
)
