"""From an event to a message and its deliveries, all with ids that follow from the event.

So whoever makes them again makes the same ones: a message is written once, and so is a delivery per
endpoint. The body is frozen with the message; every endpoint and every attempt gets the same bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, cast

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.domain.journal import Entry
from fintech_kernel.hooks import PublicEvent
from fintech_kernel.identifiers import RandomIdentifiers

from fintech_webhooks.infrastructure.delivery_queries import DeliveryRow, MessageRow

MESSAGE_PREFIX: Final = "msg"
DELIVERY_PREFIX: Final = "whd"
PING: Final = "webhook.ping"
PING_SEQ: Final = 0
"""Pings belong to no object: they wait for nothing, and are not tried again."""


class DeliveryState(StrEnum):
    """How far a delivery is. ``skipped``: its endpoint was disabled."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


ENDED: Final = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.SKIPPED)


class Catalog:
    """The events that merchants are told of, as plugins declare them."""

    def __init__(self, events: Sequence[PublicEvent]) -> None:
        self._events = {event.name: event for event in events}

    @property
    def events(self) -> tuple[PublicEvent, ...]:
        """All of them, by name."""
        return tuple(self._events[name] for name in sorted(self._events))

    def find(self, name: str) -> PublicEvent | None:
        """Return an event's declaration; None where it stays inside."""
        return self._events.get(name)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A clock that shows one time: ids that follow from something are of its time."""

    milliseconds: int

    def now_milliseconds(self) -> int:
        return self.milliseconds


def derived_id(prefix: str, *, at: int, of: Sequence[str]) -> str:
    """Return the TypeID that follows from what it is of: 74 bits of a hash in the place of random ones."""
    digest = int.from_bytes(hashlib.sha256(canonical_json(list(of)).encode()).digest())

    def bits(count: int) -> int:
        nonlocal digest
        taken, digest = digest & ((1 << count) - 1), digest >> count
        return taken

    return RandomIdentifiers(_Moment(at), random_bits=bits).new(prefix)


def message_of(entry: Entry, event: PublicEvent) -> MessageRow:
    """Return the message that tells an event: what is declared of it, and where it stands."""
    told = {name: entry.data[name] for name in event.fields if name in entry.data}
    data = {
        **told,
        "merchant_id": entry.merchant_id,
        "object_id": entry.object_id,
        "sequence": entry.seq,
    }
    return _message(
        derived_id(MESSAGE_PREFIX, at=entry.occurred_at, of=(entry.entry_id,)),
        entry.merchant_id,
        entry.type,
        data,
        at=entry.occurred_at,
    )


def ping_message(merchant_id: str, endpoint_id: str, ping_id: str, *, at: int) -> MessageRow:
    """Return a test message."""
    return _message(
        derived_id(MESSAGE_PREFIX, at=at, of=(ping_id,)),
        merchant_id,
        PING,
        {"merchant_id": merchant_id, "endpoint_id": endpoint_id},
        at=at,
    )


def delivery_to(
    endpoint_id: str,
    message: MessageRow,
    *,
    stream_id: str,
    seq: int,
    state: DeliveryState,
    nonce: str,
    now: int,
) -> DeliveryRow:
    """Return the delivery of a message to an endpoint: one each, whoever makes it."""
    return _delivery(
        derived_id(DELIVERY_PREFIX, at=message.created_at, of=(endpoint_id, message.message_id)),
        endpoint_id,
        message,
        stream_id=stream_id,
        seq=seq,
        state=state,
        nonce=nonce,
        now=now,
    )


def repeated_delivery(
    redelivery_id: str,
    repeated: DeliveryRow,
    *,
    nonce: str,
    now: int,
) -> DeliveryRow:
    """Return the delivery that makes another one again, with the same message."""
    message = MessageRow(
        message_id=repeated.message_id,
        merchant_id=repeated.merchant_id,
        type=repeated.type,
        body="",
        created_at=now,
    )
    return _delivery(
        derived_id(DELIVERY_PREFIX, at=now, of=(redelivery_id, repeated.delivery_id)),
        repeated.endpoint_id,
        message,
        stream_id=repeated.stream_id,
        seq=repeated.seq,
        state=DeliveryState.PENDING,
        nonce=nonce,
        now=now,
        repeats=repeated.delivery_id,
    )


def _delivery(
    delivery_id: str,
    endpoint_id: str,
    message: MessageRow,
    *,
    stream_id: str,
    seq: int,
    state: DeliveryState,
    nonce: str,
    now: int,
    repeats: str = "",
) -> DeliveryRow:
    return DeliveryRow(
        delivery_id=delivery_id,
        merchant_id=message.merchant_id,
        endpoint_id=endpoint_id,
        message_id=message.message_id,
        stream_id=stream_id,
        seq=seq,
        type=message.type,
        repeats=repeats,
        state=state.value,
        nonce=nonce,
        lease_until=0,
        attempts=0,
        next_run_at=now,
        last_status=0,
        last_error="",
        created_at=message.created_at,
        updated_at=now,
    )


def _message(
    message_id: str, merchant_id: str, kind: str, data: Mapping[str, Any], *, at: int
) -> MessageRow:
    moment = datetime.fromtimestamp(at // MILLISECONDS_PER_SECOND, UTC)
    body = {
        "type": kind,
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{at % MILLISECONDS_PER_SECOND:03}Z",
        "data": data,
    }
    return MessageRow(
        message_id=message_id,
        merchant_id=merchant_id,
        type=kind,
        body=canonical_json(cast("Json", body)),
        created_at=at,
    )
