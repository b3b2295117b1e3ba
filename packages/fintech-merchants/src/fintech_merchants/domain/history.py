"""A merchant's stream as its events, and back. The stream of a merchant is ``<merchant>/<merchant>``."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.domain.codec import EventCodec
from fintech_kernel.domain.journal import Draft, Stream

from fintech_merchants.domain import events, model
from fintech_merchants.domain.events import MerchantEvent
from fintech_merchants.domain.model import Merchant

CODEC: Final[EventCodec[MerchantEvent]] = EventCodec(
    events.MerchantCreated,
    events.MerchantVerified,
    events.MerchantRejected,
    events.MerchantActivated,
    events.MerchantSuspended,
    events.MerchantClosed,
    events.MerchantUpdated,
    events.PricingSet,
)


def fold_merchant(stream: Stream) -> Merchant | None:
    """Return the merchant of a stream, or None where there is none."""
    return model.fold(CODEC.history(stream))


def drafts(decided: Sequence[MerchantEvent]) -> list[Draft]:
    """Return events as journal drafts."""
    return [CODEC.draft(event) for event in decided]
