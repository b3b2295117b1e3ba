"""What loyalty takes and shows."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Path
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import StrictModel
from pydantic import BaseModel, ConfigDict, Field

from fintech_loyalty.domain.model import CUSTOMER_ID, POINTS_MAX
from fintech_loyalty.domain.service import Balance

CustomerId = Annotated[
    str,
    Path(
        pattern=f"^{CUSTOMER_ID.pattern}$",
        description="the merchant's own name of a customer, as in payments' metadata",
        examples=["c_1017"],
    ),
]

_REDEMPTION_EXAMPLE: Final[dict[str, Any]] = {
    "redemption_id": "red_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "customer_id": "c_1017",
    "points": 40,
    "points_left": 60,
}

_BALANCE_EXAMPLE: Final[dict[str, Any]] = {
    "customer_id": "c_1017",
    "earned": 100,
    "redeemed": 40,
    "left": 60,
}


class RedeemBody(StrictModel):
    """Take points."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"points": 40}]})

    points: int = Field(ge=1, le=POINTS_MAX, description="how many to take")


class RedemptionShown(BaseModel):
    """A redemption."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_REDEMPTION_EXAMPLE]})

    redemption_id: str
    customer_id: str
    points: int
    points_left: int = Field(description="what was left right after it")


class BalanceShown(BaseModel):
    """A customer's points."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_BALANCE_EXAMPLE]})

    customer_id: str
    earned: int = Field(description="for what payments keep; refunds take points back")
    redeemed: int
    left: int = Field(description="below zero where a refund took back what was spent")


def present_redemption(result: Mapping[str, Any]) -> Presented:
    """Show a stored redemption: the first answer and every replay alike."""
    return Presented(status=201, body=dict(result))


def balance_shown(balance: Balance) -> dict[str, Any]:
    """Return a balance as it is shown."""
    return {
        "customer_id": balance.customer_id,
        "earned": balance.earned,
        "redeemed": balance.redeemed,
        "left": balance.left,
    }
