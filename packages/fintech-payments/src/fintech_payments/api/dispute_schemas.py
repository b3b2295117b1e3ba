"""What clients send and are shown of disputes."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fintech_kernel.contracts.processors import DisputeStatus
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import MoneyBody, StrictModel
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

REASON_CHARACTERS_MAX: Final = 200

_DISPUTE_EXAMPLE: Final[dict[str, Any]] = {
    "dispute_id": "dis_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "status": "open",
    "amount": 10000,
    "currency": "KES",
    "fee": 150000,
    "reason": "fraudulent",
    "reference": None,
    "opened_at": 1760000000000,
    "closed_at": None,
}

Reason = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=REASON_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]


def _ended(status: DisputeStatus) -> DisputeStatus:
    if status is DisputeStatus.OPEN:
        raise ValueError("must be won or lost")
    return status


class OpenDisputeBody(StrictModel):
    """What is disputed: everything that is left, unless an amount is given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount": {"amount": 10000, "currency": "KES"}, "reason": "fraudulent"}]
        }
    )

    amount: MoneyBody | None = None
    reason: Reason


class CloseDisputeBody(StrictModel):
    """How the dispute ended."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "won", "reason": "delivery was proven"}]}
    )

    status: Annotated[DisputeStatus, Field(strict=False), AfterValidator(_ended)] = Field(
        description="`won` by the merchant, or `lost`",
        json_schema_extra={"enum": ["won", "lost"]},
    )
    reason: Reason


class DisputeShown(BaseModel):
    """A dispute. Amounts are minor units of ``currency``; times are UTC milliseconds."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DISPUTE_EXAMPLE]})

    dispute_id: str
    payment_id: str
    merchant_id: str
    status: DisputeStatus
    amount: int = Field(description="held back while it is open, gone when it is lost")
    currency: str
    fee: int = Field(description="what the dispute costs the merchant, however it ends")
    reason: str | None
    reference: str | None = Field(description="the processor's name of the dispute")
    opened_at: int
    closed_at: int | None


class DisputesShown(BaseModel):
    """The disputes of a payment, oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_DISPUTE_EXAMPLE]}]})

    data: list[DisputeShown]


def present_opening(result: Mapping[str, Any]) -> Presented:
    """Show an opened dispute."""
    return Presented(status=201, body=result)


def present_closing(result: Mapping[str, Any]) -> Presented:
    """Show a dispute that has ended."""
    return Presented(status=200, body=result)
