"""What happens to a merchant. Past tense, stored for ever: fields are only ever added.

Times are UTC milliseconds, chosen before the operation was claimed.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from fintech_kernel.contracts.merchants import PricingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantCreated:
    """A merchant was onboarded; it cannot take payments yet."""

    type: ClassVar[str] = "merchant.created"
    merchant_id: str
    name: str
    currencies: tuple[str, ...]
    settlement_delay_days: int
    settlement_minimum: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantActivated:
    """The merchant may take payments."""

    type: ClassVar[str] = "merchant.activated"
    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantSuspended:
    """The merchant may not take new payments."""

    type: ClassVar[str] = "merchant.suspended"
    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantClosed:
    """The merchant is closed, for ever."""

    type: ClassVar[str] = "merchant.closed"
    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingSet:
    """A new version of the pricing applies from now on; what was priced before stays as it is."""

    type: ClassVar[str] = "merchant.pricing_set"
    version: int
    rules: tuple[PricingRule, ...]
    at: int


MerchantEvent: TypeAlias = (
    MerchantCreated | MerchantActivated | MerchantSuspended | MerchantClosed | PricingSet
)
