"""Pricings and fees as clients send and are shown them. Amounts are minor units, times UTC milliseconds."""

from typing import Annotated, Any, Final

from fintech_kernel.contracts.merchants import PricingRule, RefundPolicy
from fintech_kernel.money import AMOUNT_MAX, Money
from fintech_kernel.pricing import FeePart
from fintech_kernel.web.schemas import (
    CurrencyCode,
    MinorUnits,
    MoneyShown,
    StrictModel,
    Timestamp,
)
from pydantic import BaseModel, ConfigDict, Field

from fintech_merchants.domain.model import BASIS_POINTS_MAX, PRICING_RULES_MAX

RULE_EXAMPLE: Final[dict[str, Any]] = {
    "currency": "KES",
    "method": "card",
    "basis_points": 290,
    "fixed": 60,
    "minimum": 100,
    "maximum": 50000,
    "refund_policy": "keep",
}
PRICING_EXAMPLE: Final[dict[str, Any]] = {
    "version": 1,
    "set_at": 1760000000000,
    "effective_from": 1760000000000,
    "rules": [{"rule_id": "v1.1", **RULE_EXAMPLE}],
}

Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="minor units of the currency")]
Method = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,31}$", examples=["card"])]


class PricingRuleBody(StrictModel):
    """A fee for what it matches: ``clamp(amount * basis_points / 10,000 + fixed, minimum, maximum)``."""

    model_config = ConfigDict(json_schema_extra={"examples": [RULE_EXAMPLE]})

    currency: Annotated[
        CurrencyCode | None,
        Field(description="only this currency; without one, basis points alone can be charged"),
    ] = None
    method: Annotated[Method | None, Field(description="only this method of payment")] = None
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


class SetPricingBody(StrictModel):
    """The next version: of several rules that match, the first applies; none is no fee."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rules": [RULE_EXAMPLE]}]})

    rules: Annotated[list[PricingRuleBody], Field(max_length=PRICING_RULES_MAX)]
    effective_from: Annotated[
        Timestamp | None, Field(description="when it begins to apply; without one, at once")
    ] = None


class PreviewFeeBody(StrictModel):
    """A payment whose fee is asked for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": 10000, "currency": "KES", "method": "card"}]}
    )

    amount: MinorUnits
    currency: CurrencyCode
    method: Method

    def to_money(self) -> Money:
        """Return the amount as the domain knows it."""
        return Money(amount=self.amount, currency=self.currency)


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

    model_config = ConfigDict(json_schema_extra={"examples": [PRICING_EXAMPLE]})

    version: int
    set_at: int | None
    effective_from: int | None = Field(description="from when on it applies")
    rules: list[PricingRuleShown]


class PricingVersionsShown(BaseModel):
    """A page of versions, the latest set first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [PRICING_EXAMPLE], "next_cursor": None}]}
    )

    data: list[PricingShown]
    next_cursor: str | None


class FeeLineShown(BaseModel):
    """A part of a fee; ``maximum`` and ``amount`` (a fee never exceeds the payment) take away."""

    part: FeePart
    amount: int


class FeePreviewShown(BaseModel):
    """A fee, the rule that charges it (none: no fee), and the lines that sum to it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": 1,
                    "fee": {"amount": 350, "currency": "KES"},
                    "rule": PRICING_EXAMPLE["rules"][0],
                    "lines": [
                        {"part": "basis_points", "amount": 290},
                        {"part": "fixed", "amount": 60},
                    ],
                }
            ]
        }
    )

    version: int
    fee: MoneyShown
    rule: PricingRuleShown | None
    lines: list[FeeLineShown]
