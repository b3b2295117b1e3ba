"""What people say of payouts."""

from typing import Annotated

from fintech_kernel.web.schemas import StrictModel
from pydantic import BaseModel, ConfigDict, Field

Reference = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")
]
Code = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]


class ConfirmationRequest(StrictModel):
    """A payout was done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"bank_reference": "FT26334X8Q1"}]})

    bank_reference: Reference = Field(description="the bank's reference of the booking")


class FailureRequest(StrictModel):
    """A payout is to be given up."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "the bank has no order of this number"}]}
    )

    reason: str = Field(
        min_length=1, max_length=200, description="what the people who agree should know"
    )


class ReturnRequest(StrictModel):
    """A payout came back."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"return_code": "account_closed", "bank_reference": "FT26335A0C7"}]
        }
    )

    return_code: Code = Field(description="why, as a short code")
    bank_reference: Reference = Field(description="the bank's reference of the booking")


class PayoutCallbackTaken(BaseModel):
    """The callback need not be sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": True}]})

    received: bool
