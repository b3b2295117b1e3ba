"""What can be asked about endpoints, with every input of a decision read before the claim."""

from dataclasses import dataclass
from typing import TypeAlias

from fintech_webhooks.domain.events import DisableReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A signing secret as it is kept: its id, the id of the secret that seals it, and the sealed text."""

    secret_id: str
    key_id: str
    sealed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateEndpoint:
    """Make an endpoint.

    Attributes:
        endpoints_standing: how many endpoints the merchant had.
    """

    merchant_id: str
    endpoint_id: str
    url: str
    events: tuple[str, ...]
    description: str
    secret: SealedSecret
    endpoints_standing: int
    endpoints_max: int
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEndpoint:
    """Change what is not None."""

    merchant_id: str
    endpoint_id: str
    url: str | None
    events: tuple[str, ...] | None
    description: str | None
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateSecret:
    """Sign with another secret; the one before signs on beside it for a while."""

    merchant_id: str
    endpoint_id: str
    secret: SealedSecret
    overlap_milliseconds: int
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableEndpoint:
    """Send to it again."""

    merchant_id: str
    endpoint_id: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableEndpoint:
    """Send nothing to it.

    ``in_use_since`` is since when the endpoint was in use as it was seen to fail; what was enabled or
    given another address since is judged anew. None where somebody asked.
    """

    merchant_id: str
    endpoint_id: str
    reason: DisableReason
    in_use_since: int | None
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveEndpoint:
    """Give it up for ever."""

    merchant_id: str
    endpoint_id: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPing:
    """Send a test message to an endpoint, whose status is as it was before the claim."""

    merchant_id: str
    endpoint_id: str
    endpoint_status: str
    ping_id: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A delivery to make again: its message, and the message's place in its object's history."""

    delivery_id: str
    message_id: str
    stream_id: str
    seq: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeliver:
    """Make deliveries again.

    ``under_way`` is whether the one delivery that was named was still tried; ``more`` whether there were
    more than are made here.
    """

    merchant_id: str
    endpoint_id: str
    endpoint_status: str
    redelivery_id: str
    deliveries: tuple[Repeated, ...]
    under_way: bool
    more: bool
    requested_at: int


ChangeEndpoint: TypeAlias = (
    UpdateEndpoint | RotateSecret | EnableEndpoint | DisableEndpoint | RemoveEndpoint
)
