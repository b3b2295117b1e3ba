"""A settlement's stream as its events, and back."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.domain.codec import EventCodec
from fintech_kernel.domain.journal import Draft, Entry, Stream

from fintech_settlements.domain import events, model
from fintech_settlements.domain.events import SettlementEvent
from fintech_settlements.domain.model import Settlement

CODEC: Final[EventCodec[SettlementEvent]] = EventCodec(
    events.SettlementOpened,
    events.SettlementClosed,
    events.SettlementApproved,
    events.PayoutStarted,
    events.PayoutOpened,
    events.FailureRequested,
    events.SettlementPaid,
    events.SettlementFailed,
    events.SettlementReturned,
    events.PaidAfterFailure,
    events.PayoutAnswered,
    events.PayoutContradicted,
    events.SettlementCanceled,
)


def fold_settlement(stream: Stream) -> Settlement:
    """Return the settlement of a stream."""
    return model.fold(CODEC.history(stream))


def events_of(entries: Sequence[Entry]) -> tuple[SettlementEvent, ...]:
    """Return the events of some entries; refusals are none."""
    return tuple(event for entry in entries if (event := CODEC.event(entry)) is not None)


def drafts(decided: Sequence[SettlementEvent]) -> list[Draft]:
    """Return what was decided as journal drafts."""
    return [CODEC.draft(event) for event in decided]
