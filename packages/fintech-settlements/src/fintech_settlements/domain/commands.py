"""What is asked of a settlement. Every input that is not the client's was frozen before the claim."""

from dataclasses import dataclass

from fintech_kernel.contracts.merchants import BankAccountKind, MerchantStatus
from fintech_kernel.contracts.payouts import PayoutAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLine:
    """A line that was due when a creation looked. ``amount`` is signed minor units."""

    kind: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSettlement:
    """Settle what is due by a cutoff. All but merchant, currency and cutoff was read before the claim.

    ``due`` holds at most ``decisions.DUE_LINES_LOOKED_AT`` lines; ``cutoff`` and ``requested_at`` are UTC
    milliseconds.
    """

    settlement_id: str
    merchant_id: str
    merchant_status: MerchantStatus
    currency: str
    cutoff: int
    minimum: int
    batch_number: str
    chunk_size: int
    due: tuple[DueLine, ...]
    opened_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveSettlement:
    """Answer for a settlement's total."""

    settlement_id: str
    merchant_id: str
    approved_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaySettlement:
    """Pay a settlement out. Rail, limit, merchant and account were read before the claim.

    ``rail_currencies`` and ``rail_account_kinds`` are the rail's capabilities: empty means any, and none.
    """

    settlement_id: str
    merchant_id: str
    rail: str
    two_people_above: int
    paid_by: str
    requested_at: int
    merchant_status: MerchantStatus = MerchantStatus.ACTIVE
    rail_currencies: tuple[str, ...] = ()
    rail_account_kinds: tuple[BankAccountKind, ...] = ()
    bank_account_id: str = ""
    bank_account_kind: BankAccountKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSettlement:
    """Give a settlement up before its payout."""

    settlement_id: str
    merchant_id: str
    canceled_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmPayout:
    """Say that a payout was done, as the bank shows it."""

    settlement_id: str
    merchant_id: str
    bank_reference: str
    confirmed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPayout:
    """Give a payout up: ``answer`` where the rail, asked first, gave its definite one; else by two people.

    ``operation_id`` is the operation that pays; the in-flight limit is the rail's.
    """

    settlement_id: str
    merchant_id: str
    operation_id: str
    reason: str
    failed_by: str
    in_flight_limit_seconds: int
    answered_by_people: bool
    answer: PayoutAnswer | None
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPayout:
    """Record that what was paid came back."""

    settlement_id: str
    merchant_id: str
    return_code: str
    reference: str
    recorded_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvePayout:
    """A definite answer to a payout whose outcome is open, learned by whoever asked."""

    settlement_id: str
    merchant_id: str
    operation_id: str
    answer: PayoutAnswer
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverPayout:
    """The rail paid after it had refused: what it paid is to come back."""

    settlement_id: str
    merchant_id: str
    answer: PayoutAnswer
