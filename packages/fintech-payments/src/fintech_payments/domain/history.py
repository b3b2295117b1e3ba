"""A payment's stream as its events, and back."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.domain.codec import EventCodec
from fintech_kernel.domain.journal import Draft, Stream

from fintech_payments.domain import events, model
from fintech_payments.domain.events import PaymentEvent
from fintech_payments.domain.model import Payment

CODEC: Final[EventCodec[PaymentEvent]] = EventCodec(
    events.PaymentCreated,
    events.PaymentAuthorized,
    events.PaymentFailed,
    events.CaptureRequested,
    events.PaymentCaptured,
    events.CaptureFailed,
    events.CancelRequested,
    events.PaymentCanceled,
    events.CancelFailed,
    events.ExpiryRequested,
    events.PaymentExpired,
    events.RefundRequested,
    events.RefundSucceeded,
    events.RefundFailed,
    events.OutcomeOpened,
    events.OutcomeClosed,
    events.OutcomeAbandoned,
    events.ReversalRequested,
    events.ReversalSucceeded,
    events.ReversalFailed,
    events.DisputeOpened,
    events.DisputeWon,
    events.DisputeLost,
    events.PaymentConflicted,
)


def fold_payment(stream: Stream) -> Payment:
    """Return the payment of a stream."""
    return model.fold(CODEC.history(stream))


def drafts(decided: Sequence[PaymentEvent]) -> list[Draft]:
    """Return decided events as journal drafts."""
    return [CODEC.draft(event) for event in decided]
