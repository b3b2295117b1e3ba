"""An endpoint's stream as its events, and back. The stream of an endpoint is ``<merchant>/<endpoint>``."""

from typing import Final

from fintech_kernel.domain.codec import EventCodec
from fintech_kernel.domain.journal import Stream

from fintech_webhooks.domain import events, model
from fintech_webhooks.domain.events import EndpointEvent, RequestEvent
from fintech_webhooks.domain.model import Endpoint

CODEC: Final[EventCodec[EndpointEvent]] = EventCodec(
    events.EndpointCreated,
    events.EndpointUpdated,
    events.EndpointSecretRotated,
    events.EndpointEnabled,
    events.EndpointDisabled,
    events.EndpointRemoved,
)

REQUESTS: Final[EventCodec[RequestEvent]] = EventCodec(
    events.PingRequested, events.RedeliveryRequested
)
"""Pings and redeliveries: each has a stream of its own, so that an endpoint's never fills."""


def fold_endpoint(stream: Stream) -> Endpoint | None:
    """Return the endpoint of a stream, or None where there is none."""
    return model.fold(CODEC.history(stream))
