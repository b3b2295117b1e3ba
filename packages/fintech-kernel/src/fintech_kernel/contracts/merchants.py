"""What others need of a merchant directory: a profile, read once per request and then frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class MerchantStatus(StrEnum):
    """The states of a merchant."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class VerificationStatus(StrEnum):
    """Whether somebody checked who the merchant is, and what came of it."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    REJECTED = "rejected"


class SettlementInterval(StrEnum):
    """How often a merchant is settled."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Weekday(StrEnum):
    """A day of the week, in the order of ISO 8601."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class BankAccountKind(StrEnum):
    """What kind of account a merchant is paid out to."""

    IBAN = "iban"
    KENYAN_BANK = "kenyan_bank"
    MOBILE_WALLET = "mobile_wallet"


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
class SettlementSchedule:
    """When a merchant is settled: weekly on a weekday, monthly on a day from 1 to 28."""

    interval: SettlementInterval = SettlementInterval.DAILY
    weekday: Weekday | None = None
    day_of_month: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    """What may be shown of an account that a merchant is paid out to.

    ``country`` is an ISO 3166-1 alpha-2 code; ``bank_code`` is the bank's, or the wallet's provider;
    ``masked`` ends with the last four characters of the number.
    """

    account_id: str
    kind: BankAccountKind
    country: str
    bank_code: str
    masked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedAccount:
    """An account as a payout needs it: never logged, never stored; ``details`` is all that was sealed.

    ``details`` has ``holder``, and by kind: ``iban``; ``bank_code``, ``branch_code``, ``account_number``;
    ``provider``, ``msisdn``, ``country``.
    """

    account_id: str
    kind: BankAccountKind
    details: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantProfile:
    """What a payment or a settlement freezes about its merchant, as of one moment.

    ``pricing`` is the version in force then; ``settlement_minimum`` is in minor units of each currency.
    """

    merchant_id: str
    status: MerchantStatus
    currencies: tuple[str, ...]
    pricing_version: int
    pricing: tuple[PricingRule, ...]
    settlement_delay_days: int
    settlement_minimum: int
    settlement_schedule: SettlementSchedule = SettlementSchedule()
    verification: VerificationStatus = VerificationStatus.UNVERIFIED
    bank_account: BankAccount | None = None


class MerchantDirectory(Protocol):
    """Knows merchants."""

    async def profile(self, merchant_id: str) -> MerchantProfile | None:
        """Return the merchant as of now, or None where there is none."""
        ...


class PayoutAccounts(Protocol):
    """Opens bank accounts, for who pays to them and for nobody else."""

    async def open(self, *, merchant_id: str, account_id: str) -> OpenedAccount | None:
        """Return an account of a merchant, or None where it has no such account."""
        ...
