"""An account's stream as its events, and back. Its id is ``<merchant>/loyalty_<customer>``."""

from typing import Final

from fintech_kernel.domain.codec import EventCodec
from fintech_kernel.domain.journal import Stream

from fintech_loyalty.domain.events import PointsRedeemed
from fintech_loyalty.domain.model import Account, fold

CODEC: Final[EventCodec[PointsRedeemed]] = EventCodec(PointsRedeemed)


def fold_account(stream: Stream) -> Account:
    """Return the account of a stream; an absent one has redeemed nothing."""
    return fold(CODEC.history(stream))
