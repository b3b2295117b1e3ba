"""What happens in the ledger besides postings. Past tense, stored for ever: fields are only ever added."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from fintech_kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerClosed:
    """A period was closed. ``until`` is its end, UTC milliseconds; ``fold`` the fold that closed it.

    ``totals_hash`` is the SHA-256 of the trial balance that stands with the fold.
    """

    type: ClassVar[str] = "ledger.closed"
    period: str
    until: int
    fold: int
    totals_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodClosed:
    """A month was closed. Its transfers are those of the folds behind ``behind_fold`` up to ``fold``.

    ``until`` is its end, UTC milliseconds. ``totals_hash`` is the SHA-256 of the trial balance at its end.
    """

    type: ClassVar[str] = "ledger.period_closed"
    period: str
    until: int
    behind_fold: int
    fold: int
    totals_hash: str
    closed_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentProposed:
    """Somebody asks for a transfer by hand. ``merchant_id`` is empty where no merchant's account moves."""

    type: ClassVar[str] = "adjustment.proposed"
    adjustment_id: str
    merchant_id: str
    debit_account: str
    credit_account: str
    amount: Money
    reason: str
    reference: str
    proposed_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentApproved:
    """Another person answers for it; the transfer follows. ``requested_at`` is UTC milliseconds."""

    type: ClassVar[str] = "adjustment.approved"
    approved_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentRejected:
    """Another person turned it down; nothing moves."""

    type: ClassVar[str] = "adjustment.rejected"
    rejected_by: str
    requested_at: int


AdjustmentEvent: TypeAlias = AdjustmentProposed | AdjustmentApproved | AdjustmentRejected
