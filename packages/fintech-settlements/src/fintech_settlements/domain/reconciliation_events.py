"""What happens when the bank's lines meet our books. Past tense, stored for ever: fields are only added."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutExpected:
    """Our books say what a settlement moved at the bank: its payout, or nothing since it came back.

    ``amount`` is minor units that left us; ``due_at`` (UTC milliseconds) is when the bank's line is missing.
    ``seq`` is the position in the settlement's stream that says so; an older one that comes late is void.
    """

    type: ClassVar[str] = "reconciliation.expected"
    reconciliation_id: str
    settlement_id: str
    merchant_id: str
    batch_number: str
    currency: str
    amount: int
    due_at: int
    seq: int
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BankLineRecorded:
    """The bank tells of a movement. ``amount`` is signed minor units: negative left our account.

    ``settlement_id`` is empty where the line names no payout of ours that it could be; ``why`` says so.
    ``tolerance`` (minor units) is what a difference may be without being looked at.
    """

    type: ClassVar[str] = "reconciliation.line_recorded"
    reconciliation_id: str
    settlement_id: str
    line_key: str
    content_hash: str
    bank_account: str
    bank_id: str
    booked_on: str
    amount: int
    currency: str
    reference: str
    why: str
    tolerance: int
    recorded_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationWaived:
    """Somebody answers for a payout whose line the bank will not send. Nothing moves."""

    type: ClassVar[str] = "reconciliation.waived"
    reason: str
    waived_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionProposed:
    """Somebody explains a difference. ``amount`` is what suspense holds, signed; it moves to ``account``."""

    type: ClassVar[str] = "reconciliation.resolution_proposed"
    account: str
    merchant_id: str
    amount: int
    reason: str
    proposed_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionApproved:
    """Somebody else agrees, and the amount moves out of suspense."""

    type: ClassVar[str] = "reconciliation.resolution_approved"
    approved_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionRejected:
    """Somebody else does not agree."""

    type: ClassVar[str] = "reconciliation.resolution_rejected"
    rejected_by: str
    requested_at: int


ReconciliationEvent: TypeAlias = (
    PayoutExpected
    | BankLineRecorded
    | ExpectationWaived
    | ResolutionProposed
    | ResolutionApproved
    | ResolutionRejected
)
