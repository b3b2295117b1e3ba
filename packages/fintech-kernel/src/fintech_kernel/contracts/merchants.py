"""What others need of a merchant directory: a profile, read once per request and then frozen."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class MerchantStatus(StrEnum):
    """The states of a merchant."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class RefundPolicy(StrEnum):
    """What becomes of the fee when a payment is refunded."""

    KEEP = "keep"
    RETURN = "return"


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingRule:
    """A fee for what its selectors match; an empty selector matches all. Amounts are minor units.

    fee = clamp(amount * basis_points / 10,000 (half even) + fixed, minimum, maximum)
    """

    rule_id: str
    currency: str
    basis_points: int
    fixed: int
    method: str = ""
    minimum: int = 0
    maximum: int | None = None
    refund_policy: RefundPolicy = RefundPolicy.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantProfile:
    """What a payment or a settlement freezes about its merchant."""

    merchant_id: str
    status: MerchantStatus
    currencies: tuple[str, ...]
    pricing_version: int
    pricing: tuple[PricingRule, ...]
    settlement_delay_days: int
    settlement_minimum: int


class MerchantDirectory(Protocol):
    """Knows merchants."""

    async def profile(self, merchant_id: str) -> MerchantProfile | None:
        """Return the merchant as of now, or None where there is none."""
        ...
