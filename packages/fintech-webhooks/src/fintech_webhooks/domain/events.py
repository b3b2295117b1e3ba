"""What happens to an endpoint. Past tense, stored for ever: fields are only ever added.

Times are UTC milliseconds, chosen before the operation was claimed. Of secrets no event holds more than
their ids.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias


class DisableReason(StrEnum):
    """Why an endpoint gets nothing any more."""

    REQUESTED = "requested"
    GONE = "gone"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCreated:
    """A merchant has a new endpoint. ``events`` are names of events, or families as ``payment.*``."""

    type: ClassVar[str] = "webhook_endpoint.created"
    endpoint_id: str
    merchant_id: str
    url: str
    events: tuple[str, ...]
    description: str
    secret_id: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointUpdated:
    """The endpoint changed: each part as it is now, None where it stayed."""

    type: ClassVar[str] = "webhook_endpoint.updated"
    url: str | None
    events: tuple[str, ...] | None
    description: str | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSecretRotated:
    """Another secret signs; the one before signs beside it until ``previous_until``."""

    type: ClassVar[str] = "webhook_endpoint.secret_rotated"
    secret_id: str
    previous_until: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointEnabled:
    """The endpoint gets events again."""

    type: ClassVar[str] = "webhook_endpoint.enabled"
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDisabled:
    """The endpoint gets nothing until it is enabled."""

    type: ClassVar[str] = "webhook_endpoint.disabled"
    reason: DisableReason
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRemoved:
    """The endpoint is gone, for ever."""

    type: ClassVar[str] = "webhook_endpoint.removed"
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRequested:
    """Somebody wants to see whether an endpoint answers. It stands in a stream of its own."""

    type: ClassVar[str] = "webhook_ping.requested"
    endpoint_id: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeliveryRequested:
    """Somebody wants deliveries made again. It stands in a stream of its own."""

    type: ClassVar[str] = "webhook_redelivery.requested"
    endpoint_id: str
    deliveries: int
    at: int


EndpointEvent: TypeAlias = (
    EndpointCreated
    | EndpointUpdated
    | EndpointSecretRotated
    | EndpointEnabled
    | EndpointDisabled
    | EndpointRemoved
)
RequestEvent: TypeAlias = PingRequested | RedeliveryRequested
