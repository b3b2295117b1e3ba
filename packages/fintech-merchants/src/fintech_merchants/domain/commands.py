"""What is asked of a merchant, with every input of the decision: stored with the operation, run by anybody.

Times are UTC milliseconds, chosen before the operation was claimed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from fintech_kernel.contracts.merchants import BankAccount, PricingRule, SettlementSchedule

from fintech_merchants.domain.events import Contact


class Action(StrEnum):
    """What changes a merchant's status."""

    ACTIVATE = "activate"
    SUSPEND = "suspend"
    CLOSE = "close"


class VerificationOutcome(StrEnum):
    """What came of a check of who the merchant is."""

    VERIFIED = "verified"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedAccount:
    """A bank account: what may be shown of it, and the rest sealed under the key ``key_id``."""

    shown: BankAccount
    key_id: str
    sealed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMerchant:
    """Onboard a merchant. ``rules`` may be empty: then no fee is charged."""

    merchant_id: str
    name: str
    currencies: tuple[str, ...]
    settlement_delay_days: int
    settlement_minimum: int
    rules: tuple[PricingRule, ...]
    requested_at: int
    settlement_schedule: SettlementSchedule = field(default_factory=SettlementSchedule)
    account: SealedAccount | None = None
    contact: Contact = field(default_factory=Contact)
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyMerchant:
    """Record the outcome of a check that somebody made outside; ``reference`` names it there."""

    merchant_id: str
    outcome: VerificationOutcome
    reference: str
    reason: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStatus:
    """Activate, suspend or close a merchant."""

    merchant_id: str
    action: Action
    reason: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateMerchant:
    """Change what is known of a merchant; what is None or empty stays as it is.

    ``contact`` and ``metadata`` are changes by name, where None clears. ``clears_metadata`` comes first,
    ``clears_account`` and ``account`` exclude one another.
    """

    merchant_id: str
    requested_at: int
    name: str | None = None
    currencies: tuple[str, ...] | None = None
    contact: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    metadata: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    clears_metadata: bool = False
    settlement_delay_days: int | None = None
    settlement_minimum: int | None = None
    settlement_schedule: SettlementSchedule | None = None
    account: SealedAccount | None = None
    clears_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPricing:
    """Set the next version of the pricing, effective at once or from a time on.

    Of several rules that match, the first applies.
    """

    merchant_id: str
    rules: tuple[PricingRule, ...]
    requested_at: int
    effective_from: int | None = None


Command: TypeAlias = CreateMerchant | VerifyMerchant | ChangeStatus | UpdateMerchant | SetPricing
