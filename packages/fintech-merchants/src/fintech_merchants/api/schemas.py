"""What clients send and are shown. Amounts are minor units, times UTC milliseconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fintech_kernel.contracts.merchants import MerchantStatus, PricingRule, RefundPolicy
from fintech_kernel.hooks import Presented
from fintech_kernel.money import AMOUNT_MAX
from fintech_kernel.web.schemas import CurrencyCode, StrictModel
from fintech_kernel.web.validation import Rule
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fintech_merchants.domain.model import (
    BASIS_POINTS_MAX,
    CURRENCIES_MAX,
    PRICING_RULES_MAX,
    SETTLEMENT_DELAY_DAYS_MAX,
)

NAME_CHARACTERS_MAX: Final = 120
REASON_CHARACTERS_MAX: Final = 200
SETTLEMENT_DELAY_DAYS_DEFAULT: Final = 1

_RULE_EXAMPLE: Final[dict[str, Any]] = {
    "currency": "KES",
    "method": "card",
    "basis_points": 290,
    "fixed": 60,
    "minimum": 100,
    "maximum": 50000,
    "refund_policy": "keep",
}
_PRICING_EXAMPLE: Final[dict[str, Any]] = {
    "version": 1,
    "set_at": 1760000000000,
    "rules": [{"rule_id": "v1.1", **_RULE_EXAMPLE}],
}
_MERCHANT_EXAMPLE: Final[dict[str, Any]] = {
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "name": "Duka Safi",
    "status": "active",
    "status_reason": "documents verified",
    "currencies": ["KES"],
    "pricing": _PRICING_EXAMPLE,
    "settlement": {"delay_days": 1, "minimum": 10000},
    "created_at": 1760000000000,
    "updated_at": 1760000300000,
}

Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="minor units of the currency")]

Reason = Annotated[
    str,
    StringConstraints(max_length=REASON_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
    Field(description="kept with the change, for whoever asks why"),
]


def _all_different(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise Rule("must not hold a value twice")
    return values


class PricingRuleBody(StrictModel):
    """A fee for what it matches: ``clamp(amount * basis_points / 10,000 + fixed, minimum, maximum)``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RULE_EXAMPLE]})

    currency: Annotated[
        CurrencyCode | None,
        Field(description="only this currency; without one, basis points alone can be charged"),
    ] = None
    method: Annotated[
        str | None,
        Field(pattern="^[a-z][a-z0-9_]{0,31}$", description="only this method of payment"),
    ] = None
    basis_points: Annotated[int, Field(ge=0, le=BASIS_POINTS_MAX)] = 0
    fixed: Amount = 0
    minimum: Amount = 0
    maximum: Amount | None = None
    refund_policy: Annotated[
        RefundPolicy,
        Field(strict=False, description="what becomes of the fee when the payment is refunded"),
    ] = RefundPolicy.KEEP

    def to_rule(self) -> PricingRule:
        """Return it as the domain knows it, not numbered yet."""
        return PricingRule(
            rule_id="",
            currency=self.currency or "",
            method=self.method or "",
            basis_points=self.basis_points,
            fixed=self.fixed,
            minimum=self.minimum,
            maximum=self.maximum,
            refund_policy=self.refund_policy,
        )


class SettlementBody(StrictModel):
    """When and from which total on a merchant is paid out."""

    delay_days: Annotated[
        int,
        Field(
            ge=0,
            le=SETTLEMENT_DELAY_DAYS_MAX,
            description="days from a capture until it can be settled (T+n)",
        ),
    ] = SETTLEMENT_DELAY_DAYS_DEFAULT
    minimum: Annotated[Amount, Field(description="smaller totals are carried forward")] = 0


class CreateMerchantBody(StrictModel):
    """A merchant to onboard."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Duka Safi",
                    "currencies": ["KES"],
                    "settlement": {"delay_days": 1, "minimum": 10000},
                    "pricing": [_RULE_EXAMPLE],
                }
            ]
        }
    )

    name: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"
        ),
    ]
    currencies: Annotated[
        list[CurrencyCode],
        Field(min_length=1, max_length=CURRENCIES_MAX),
        AfterValidator(_all_different),
    ]
    settlement: SettlementBody = SettlementBody()
    pricing: Annotated[
        list[PricingRuleBody],
        Field(max_length=PRICING_RULES_MAX, description="none: no fee is charged"),
    ] = Field(default_factory=list[PricingRuleBody])


class ActivateMerchantBody(StrictModel):
    """Why a merchant may take payments."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "documents verified"}]})

    reason: Reason = ""


class StopMerchantBody(StrictModel):
    """Why a merchant is suspended or closed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "asked by the merchant"}]})

    reason: Annotated[Reason, Field(min_length=1)]


class SetPricingBody(StrictModel):
    """The pricing from now on: of several rules that match, the first applies; none is no fee."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rules": [_RULE_EXAMPLE]}]})

    rules: Annotated[list[PricingRuleBody], Field(max_length=PRICING_RULES_MAX)]


class PricingRuleShown(BaseModel):
    """A pricing rule. ``rule_id`` is what a payment's fee names."""

    rule_id: str
    currency: str | None
    method: str | None
    basis_points: int
    fixed: int
    minimum: int
    maximum: int | None
    refund_policy: RefundPolicy


class PricingShown(BaseModel):
    """A version of the pricing. Version 0 means that none was ever set, and no fee is charged."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PRICING_EXAMPLE]})

    version: int
    set_at: int | None
    rules: list[PricingRuleShown]


class SettlementShown(BaseModel):
    """When and from which total on a merchant is paid out."""

    delay_days: int
    minimum: int


class MerchantShown(BaseModel):
    """A merchant."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MERCHANT_EXAMPLE]})

    merchant_id: str
    name: str
    status: MerchantStatus
    status_reason: str | None = Field(description="why it has this status")
    currencies: list[str]
    pricing: PricingShown
    settlement: SettlementShown
    created_at: int
    updated_at: int


class MerchantsShown(BaseModel):
    """A page of merchants, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_MERCHANT_EXAMPLE], "next_cursor": None}]}
    )

    data: list[MerchantShown]
    next_cursor: str | None


def present_creation(result: Mapping[str, Any]) -> Presented:
    """Show a merchant that was onboarded."""
    return Presented(status=201, body=result)


def present_merchant(result: Mapping[str, Any]) -> Presented:
    """Show a merchant after a change."""
    return Presented(status=200, body=result)


def present_pricing(result: Mapping[str, Any]) -> Presented:
    """Show the pricing that a change set."""
    return Presented(status=200, body=result["pricing"])
