"""What happens to a settlement. Past tense, stored for ever: fields are only ever added."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money


class CloseReason(StrEnum):
    """Why a settlement closed without a payout."""

    ZERO = "zero"
    CARRIED_FORWARD = "carried_forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementOpened:
    """Lines were claimed and summed. Lines and total never change from here on.

    ``total`` is signed minor units in favour of the merchant; ``cutoff`` and ``requested_at`` are UTC
    milliseconds; ``minimum`` is the smallest payout of the merchant, frozen before the claim.
    ``lines_hash`` is the last hash of the chain over the lines; older settlements have none.
    """

    type: ClassVar[str] = "settlement.opened"
    settlement_id: str
    merchant_id: str
    currency: str
    cutoff: int
    minimum: int
    batch_number: str
    total: int
    line_count: int
    opened_by: str
    requested_at: int
    lines_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementClosed:
    """There is nothing to pay out. ``carried`` (signed minor units) is a line of the next settlement."""

    type: ClassVar[str] = "settlement.closed"
    reason: CloseReason
    carried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementApproved:
    """Somebody answers for the total."""

    type: ClassVar[str] = "settlement.approved"
    approved_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutStarted:
    """From here on only the rail's definite answer, or people, end the payout."""

    type: ClassVar[str] = "settlement.paying"
    rail: str
    amount: Money
    paid_by: str
    requested_at: int
    bank_account_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOpened:
    """The rail gave no definite answer in time. ``operation_id`` names the operation that pays.

    ``answered_by_people``: the rail will never give one by itself.
    """

    type: ClassVar[str] = "settlement.payout_opened"
    operation_id: str
    opened_at: int
    answered_by_people: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRequested:
    """Somebody wants to give up a payout without the rail's answer: nothing is sent again from here on.

    ``approvable_at`` (UTC milliseconds): from when on somebody else may agree.
    """

    type: ClassVar[str] = "settlement.failure_requested"
    requested_by: str
    reason: str
    approvable_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementPaid:
    """The rail paid, or somebody confirmed it. ``rail_reference`` is the rail's, or the bank's."""

    type: ClassVar[str] = "settlement.paid"
    rail_reference: str
    confirmed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementFailed:
    """The rail refused to pay, or two people gave the payout up; the money is a line of the next."""

    type: ClassVar[str] = "settlement.failed"
    failure_code: str
    rail_reference: str
    failed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementReturned:
    """What was paid came back; it is a line of the next settlement."""

    type: ClassVar[str] = "settlement.returned"
    return_code: str
    reference: str
    recorded_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidAfterFailure:
    """The rail paid what stands here as failed: the merchant owes it, as a line of its next settlement."""

    type: ClassVar[str] = "settlement.paid_after_failure"
    rail_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAnswered:
    """The rail's answer came behind what people said, and agrees with it."""

    type: ClassVar[str] = "settlement.payout_answered"
    outcome: Outcome
    rail_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutContradicted:
    """The rail did not pay what somebody confirmed: people must look, and may record it as returned."""

    type: ClassVar[str] = "settlement.payout_contradicted"
    failure_code: str
    rail_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementCanceled:
    """Given up before its payout; the money is a line of the next settlement."""

    type: ClassVar[str] = "settlement.canceled"
    canceled_by: str


SettlementEvent: TypeAlias = (
    SettlementOpened
    | SettlementClosed
    | SettlementApproved
    | PayoutStarted
    | PayoutOpened
    | FailureRequested
    | SettlementPaid
    | SettlementFailed
    | SettlementReturned
    | PaidAfterFailure
    | PayoutAnswered
    | PayoutContradicted
    | SettlementCanceled
)

ALARMING: tuple[str, ...] = (PaidAfterFailure.type, PayoutContradicted.type)
"""Events that people must look at."""
