"""What merchants are told of themselves and their keys. Names and fields are public: only added to."""

from typing import Final

from fintech_kernel.hooks import PublicEvent

PUBLIC_EVENTS: Final = (
    PublicEvent(
        name="merchant.created",
        summary="The merchant was onboarded.",
        fields=("name", "currencies"),
    ),
    PublicEvent(name="merchant.verified", summary="A check found the merchant to be who it says."),
    PublicEvent(name="merchant.rejected", summary="A check did not find so.", fields=("reason",)),
    PublicEvent(name="merchant.activated", summary="The merchant may take payments."),
    PublicEvent(
        name="merchant.suspended",
        summary="The merchant may not take new payments.",
        fields=("reason",),
    ),
    PublicEvent(
        name="merchant.closed", summary="The merchant is closed, for ever.", fields=("reason",)
    ),
    PublicEvent(name="merchant.updated", summary="What is known of the merchant changed."),
    PublicEvent(
        name="merchant.pricing_set",
        summary="A version of the pricing was set.",
        fields=("version", "effective_from"),
    ),
    PublicEvent(
        name="api_key.created",
        summary="An API key was issued.",
        fields=("key_id", "name", "scopes", "last_four", "expires_at", "rotated_from"),
    ),
    PublicEvent(
        name="api_key.rescoped", summary="An API key has other scopes.", fields=("scopes",)
    ),
    PublicEvent(
        name="api_key.rotated",
        summary="Another API key replaces one.",
        fields=("rotated_to", "expires_at"),
    ),
    PublicEvent(name="api_key.revoked", summary="An API key works no more.", fields=("reason",)),
)
