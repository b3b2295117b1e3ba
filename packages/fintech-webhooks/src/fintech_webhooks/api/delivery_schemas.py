"""What clients send and are shown about deliveries. Times are UTC milliseconds unless they are RFC 3339."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import StrictModel, Timestamp
from pydantic import BaseModel, ConfigDict, Field

from fintech_webhooks.domain.messages import DeliveryState
from fintech_webhooks.domain.service import REDELIVERIES_MAX

_SENT_EXAMPLE: Final[dict[str, Any]] = {
    "delivery_id": "whd_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "endpoint_id": "whe_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "message_id": "msg_01k9qq3v5kf7wsc0d3jz8y2m4t",
}
_DELIVERY_EXAMPLE: Final[dict[str, Any]] = {
    **_SENT_EXAMPLE,
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "type": "payment.captured",
    "object_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "sequence": 3,
    "repeats": None,
    "status": "pending",
    "attempts": 1,
    "last_response_status": 503,
    "last_error": "not_accepted",
    "next_attempt_at": 1760000005000,
    "created_at": 1760000000000,
    "updated_at": 1760000000120,
}
_FULL_EXAMPLE: Final[dict[str, Any]] = {
    **_DELIVERY_EXAMPLE,
    "body": '{"data":{},"timestamp":"2025-10-09T08:53:20.000Z","type":"payment.captured"}',
    "attempt_log": [
        {
            "number": 1,
            "started_at": 1760000000000,
            "duration_milliseconds": 120,
            "response_status": 503,
            "error": None,
            "succeeded": False,
        }
    ],
}


class RedeliveredState(StrEnum):
    """Deliveries that are made again."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class RedeliverBody(StrictModel):
    """Which deliveries of an endpoint are made again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"since": "2026-01-31T12:00:00Z", "status": "failed"}]}
    )

    since: Annotated[Timestamp, Field(description="events from this time on")]
    status: Annotated[
        RedeliveredState | None,
        Field(strict=False, description="only those that ended so; all that ended, without it"),
    ] = None

    def state(self) -> DeliveryState | None:
        """Return the status as the domain knows it."""
        return None if self.status is None else DeliveryState(self.status.value)


class SentPingShown(BaseModel):
    """A test message on its way; read the delivery to see what came of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SENT_EXAMPLE]})

    delivery_id: str
    endpoint_id: str
    message_id: str


class RedeliveredShown(BaseModel):
    """Deliveries that are made again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "endpoint_id": _SENT_EXAMPLE["endpoint_id"],
                    "deliveries": [_SENT_EXAMPLE["delivery_id"]],
                    "more": False,
                }
            ]
        }
    )

    endpoint_id: str
    deliveries: list[str] = Field(description="the new deliveries, in the order of their events")
    more: bool = Field(
        description=f"there are more than {REDELIVERIES_MAX}: ask again from the last one's time"
    )


class DeliveryShown(BaseModel):
    """A message on its way to an endpoint."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DELIVERY_EXAMPLE]})

    delivery_id: str
    merchant_id: str
    endpoint_id: str
    message_id: str = Field(description="`webhook-id`: the same for all endpoints and attempts")
    type: str
    object_id: str
    sequence: int = Field(description="the event's place in its object's history; 0 for a ping")
    repeats: str | None = Field(description="the delivery that this one makes again")
    status: DeliveryState
    attempts: int
    last_response_status: int | None
    last_error: str | None
    next_attempt_at: int | None
    created_at: int = Field(description="when the event happened")
    updated_at: int


class AttemptShown(BaseModel):
    """One request to an endpoint, and what came of it."""

    number: int
    started_at: int
    duration_milliseconds: int
    response_status: int | None
    error: str | None = Field(description="why there is no status")
    succeeded: bool


class FullDeliveryShown(DeliveryShown):
    """A delivery with what is sent, and its attempts."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FULL_EXAMPLE]})

    body: str = Field(description="the bytes that are sent and signed")
    attempt_log: list[AttemptShown]


class DeliveriesShown(BaseModel):
    """A page of deliveries, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_DELIVERY_EXAMPLE], "next_cursor": None}]}
    )

    data: list[DeliveryShown]
    next_cursor: str | None


def present_sent(result: Mapping[str, Any]) -> Presented:
    """Show a ping on its way."""
    return Presented(status=201, body=result)


def present_redelivered(result: Mapping[str, Any]) -> Presented:
    """Show deliveries that are made again."""
    return Presented(status=201, body=result)
