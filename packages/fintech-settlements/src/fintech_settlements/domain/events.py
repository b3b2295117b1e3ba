"""What happens to a settlement. Past tense, stored for ever: fields are only ever added."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

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
    """From here on only the rail's definite answer ends the settlement."""

    type: ClassVar[str] = "settlement.paying"
    rail: str
    amount: Money
    paid_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementPaid:
    """The rail paid. ``rail_reference`` is the rail's own."""

    type: ClassVar[str] = "settlement.paid"
    rail_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementFailed:
    """The rail refused to pay; the money is a line of the next settlement."""

    type: ClassVar[str] = "settlement.failed"
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
    | SettlementPaid
    | SettlementFailed
    | SettlementCanceled
)
