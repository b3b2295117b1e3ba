"""A key's stream as its events, and back. The stream of a key is ``<merchant>/<key>``."""

from typing import Final

from fintech_kernel.domain.codec import EventCodec
from fintech_kernel.domain.journal import Stream

from fintech_merchants.domain import key_events, keys
from fintech_merchants.domain.key_events import ApiKeyEvent
from fintech_merchants.domain.keys import ApiKey

CODEC: Final[EventCodec[ApiKeyEvent]] = EventCodec(
    key_events.ApiKeyCreated,
    key_events.ApiKeyRescoped,
    key_events.ApiKeyRotated,
    key_events.ApiKeyRevoked,
)


def fold_key(stream: Stream) -> ApiKey | None:
    """Return the key of a stream, or None where there is none."""
    return keys.fold(CODEC.history(stream))
