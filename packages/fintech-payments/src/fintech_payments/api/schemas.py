"""What clients send and are shown."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fintech_kernel.hooks import Presented
from fintech_kernel.pricing import FeePart
from fintech_kernel.web.schemas import (
    CurrencyCode,
    MerchantIdField,
    Metadata,
    MinorUnits,
    MoneyBody,
    Reference,
    StrictModel,
)
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fintech_payments.domain.events import CaptureMode
from fintech_payments.domain.model import PaymentStatus, RefundStatus

TOKEN_CHARACTERS_MAX: Final = 128
REASON_CHARACTERS_MAX: Final = 200

_PAYMENT_EXAMPLE: Final[dict[str, Any]] = {
    "payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "status": "captured",
    "amount": 10000,
    "amount_authorized": 10000,
    "amount_captured": 10000,
    "amount_refunded": 0,
    "amount_disputed": 0,
    "currency": "KES",
    "capture": "automatic",
    "method": "card",
    "processor": "sandbox",
    "processor_outcome": "known",
    "decline_code": None,
    "reference": "order-1017",
    "metadata": {"order": "A-1017"},
    "fee": {
        "amount": 350,
        "amount_returned": 0,
        "rule": "standard",
        "lines": [
            {"part": "basis_points", "amount": 250},
            {"part": "fixed", "amount": 100},
        ],
    },
    "available_on": 1760086400000,
    "created_at": 1760000000000,
    "expires_at": None,
}

_REFUND_EXAMPLE: Final[dict[str, Any]] = {
    "refund_id": "ref_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "status": "succeeded",
    "amount": 3000,
    "currency": "KES",
    "fee_returned": 0,
    "reason": "damaged",
    "decline_code": None,
    "processor_outcome": "known",
    "created_at": 1760000000000,
}


class PaymentMethodBody(StrictModel):
    """How the customer pays: a token of the processor, never a card number."""

    type: Literal["card", "mobile_money"]
    token: Annotated[
        str,
        StringConstraints(pattern=rf"^[A-Za-z0-9_.:-]{{1,{TOKEN_CHARACTERS_MAX}}}$"),
        Field(description="a token of the processor; the sandbox's say what happens"),
    ]


class CreatePaymentBody(StrictModel):
    """A payment to take."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "amount": 10000,
                    "currency": "KES",
                    "capture": "automatic",
                    "payment_method": {"type": "card", "token": "sandbox_approve"},
                    "reference": "order-1017",
                    "metadata": {"order": "A-1017"},
                }
            ]
        }
    )

    amount: MinorUnits
    currency: CurrencyCode
    capture: Annotated[CaptureMode, Field(strict=False)] = CaptureMode.AUTOMATIC
    payment_method: PaymentMethodBody
    reference: Reference | None = None
    metadata: Metadata = Field(default_factory=dict)
    merchant_id: MerchantIdField = None


class CapturePaymentBody(StrictModel):
    """What to take of an authorization: everything that is left, unless an amount is given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": {"amount": 4000, "currency": "KES"}}]}
    )

    amount: MoneyBody | None = None


class CancelPaymentBody(StrictModel):
    """Nothing is needed to give up an authorization."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class RefundPaymentBody(StrictModel):
    """What to give back: everything that is left, unless an amount is given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount": {"amount": 3000, "currency": "KES"}, "reason": "damaged"}]
        }
    )

    amount: MoneyBody | None = None
    reason: Annotated[
        str,
        StringConstraints(max_length=REASON_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
    ] = ""


class FeeLineShown(BaseModel):
    """A part of a fee; one that takes away is negative."""

    part: FeePart
    amount: int = Field(description="minor units")


class FeeShown(BaseModel):
    """The merchant's fee on what was captured, and the rule that it follows."""

    amount: int = Field(description="minor units")
    amount_returned: int = Field(description="minor units that went back with refunds")
    rule: str | None
    lines: list[FeeLineShown] = Field(description="they sum to the amount")


class PaymentShown(BaseModel):
    """A payment. Amounts are minor units of ``currency``; times are UTC milliseconds."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PAYMENT_EXAMPLE]})

    payment_id: str
    merchant_id: str
    status: PaymentStatus
    amount: int
    amount_authorized: int
    amount_captured: int
    amount_refunded: int = Field(description="refunds under way included")
    amount_disputed: int = Field(description="held back by open disputes, or lost by them")
    currency: str
    capture: CaptureMode
    method: str
    processor: str
    processor_outcome: Literal["known", "open"] = Field(
        description="open while the processor's answer to a step is not known"
    )
    decline_code: str | None
    reference: str | None
    metadata: dict[str, str]
    fee: FeeShown
    available_on: int | None = Field(description="when the captured amount can be settled")
    created_at: int
    expires_at: int | None = Field(
        description="when what is not captured of an authorization is given up"
    )


class PaymentsShown(BaseModel):
    """A page of payments."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_PAYMENT_EXAMPLE], "next_cursor": None}]}
    )

    data: list[PaymentShown]
    next_cursor: str | None


class RefundShown(BaseModel):
    """A refund."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REFUND_EXAMPLE]})

    refund_id: str
    payment_id: str
    merchant_id: str
    status: RefundStatus
    amount: int
    currency: str
    fee_returned: int
    reason: str | None
    decline_code: str | None
    processor_outcome: Literal["known", "open"]
    created_at: int


class RefundsShown(BaseModel):
    """The refunds of a payment, oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_REFUND_EXAMPLE]}]})

    data: list[RefundShown]


def present_creation(result: Mapping[str, Any]) -> Presented:
    """Show a created payment: 202 while the processor's answer is open."""
    return Presented(status=202 if result["processor_outcome"] == "open" else 201, body=result)


def present_step(result: Mapping[str, Any]) -> Presented:
    """Show a payment after a capture or cancellation."""
    return Presented(status=202 if result["processor_outcome"] == "open" else 200, body=result)


def present_refund(result: Mapping[str, Any]) -> Presented:
    """Show a refund: 202 while the processor's answer is open."""
    return Presented(status=202 if result["processor_outcome"] == "open" else 201, body=result)
