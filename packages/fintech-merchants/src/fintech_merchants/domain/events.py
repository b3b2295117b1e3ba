"""What happens to a merchant. Past tense, stored for ever: fields are only ever added.

Times are UTC milliseconds, chosen before the operation was claimed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from fintech_kernel.contracts.merchants import BankAccount, PricingRule, SettlementSchedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How to reach a merchant; what is not known is empty. ``country`` is ISO 3166-1 alpha-2."""

    email: str = ""
    phone: str = ""
    website: str = ""
    address_line1: str = ""
    address_line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementTerms:
    """When, from which total on (minor units of each currency) and to which account a merchant is paid."""

    delay_days: int
    minimum: int
    schedule: SettlementSchedule = field(default_factory=SettlementSchedule)
    bank_account: BankAccount | None = None


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
    settlement_schedule: SettlementSchedule = field(default_factory=SettlementSchedule)
    bank_account: BankAccount | None = None
    contact: Contact = field(default_factory=Contact)
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantVerified:
    """A check outside found the merchant to be who it says; ``reference`` names the check there."""

    type: ClassVar[str] = "merchant.verified"
    reference: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantRejected:
    """A check outside did not find so."""

    type: ClassVar[str] = "merchant.rejected"
    reference: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantUpdated:
    """What is known of the merchant changed: each part as it is now, None where it stayed."""

    type: ClassVar[str] = "merchant.updated"
    at: int
    name: str | None = None
    currencies: tuple[str, ...] | None = None
    contact: Contact | None = None
    metadata: Mapping[str, str] | None = None
    settlement: SettlementTerms | None = None


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
    """A version of the pricing was set; what was priced before it applies stays as it is.

    ``effective_from`` is None where it applies at once.
    """

    type: ClassVar[str] = "merchant.pricing_set"
    version: int
    rules: tuple[PricingRule, ...]
    at: int
    effective_from: int | None = None


MerchantEvent: TypeAlias = (
    MerchantCreated
    | MerchantVerified
    | MerchantRejected
    | MerchantActivated
    | MerchantSuspended
    | MerchantClosed
    | MerchantUpdated
    | PricingSet
)
