"""The adjustment as a decider: ``decide_*`` says what a command leads to, ``evolve`` what an event means.

Pure: no clock, no I/O. An adjustment is proposed by one person and approved or rejected by another; then
it has ended. It moves one amount between two accounts of the chart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fintech_kernel.contracts.ledger import Posting
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money

from fintech_ledger.domain.errors import (
    AccountNotAdjustable,
    AdjustmentNotProposed,
    SamePerson,
    TwoMerchants,
)
from fintech_ledger.domain.events import (
    AdjustmentApproved,
    AdjustmentEvent,
    AdjustmentProposed,
    AdjustmentRejected,
)
from fintech_ledger.domain.model import DISPUTES, MERCHANT, SETTLEMENT, Account, find_account

ADJUSTMENT: Final = "Adjustment"
ADJUST_LEG: Final = "adjust"


class AdjustmentStatus(StrEnum):
    """The states of an adjustment."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


TRANSITIONS: Final[Mapping[AdjustmentStatus, frozenset[AdjustmentStatus]]] = {
    AdjustmentStatus.PROPOSED: frozenset({AdjustmentStatus.APPROVED, AdjustmentStatus.REJECTED}),
    AdjustmentStatus.APPROVED: frozenset(),
    AdjustmentStatus.REJECTED: frozenset(),
}
"""From each state to the states that may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeAdjustment:
    """Ask for a transfer by hand. ``requested_at`` is UTC milliseconds."""

    adjustment_id: str
    debit_account: str
    credit_account: str
    amount: Money
    reason: str
    reference: str
    proposed_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveAdjustment:
    """Answer for an adjustment."""

    adjustment_id: str
    approved_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectAdjustment:
    """Turn an adjustment down."""

    adjustment_id: str
    rejected_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """An adjustment as its events made it. Times are UTC milliseconds."""

    adjustment_id: str
    merchant_id: str
    status: AdjustmentStatus
    debit_account: str
    credit_account: str
    amount: Money
    reason: str
    reference: str
    proposed_by: str
    proposed_at: int
    decided_by: str = ""
    decided_at: int | None = None


def merchants_of(*accounts: str) -> tuple[str, ...]:
    """Return whose accounts are among these, in order, each once."""
    found = (find_account(name) for name in accounts)
    return tuple(sorted({one.owner for one in found if one is not None and one.group is MERCHANT}))


def decide_proposal(command: ProposeAdjustment) -> tuple[AdjustmentEvent, ...]:
    """Propose an adjustment.

    Raises:
        AccountNotAdjustable, TwoMerchants: it names accounts between which nothing can be moved.
    """
    for name in (command.debit_account, command.credit_account):
        if not _is_adjustable(find_account(name), command.amount.currency):
            raise AccountNotAdjustable(account=name)
    if command.debit_account == command.credit_account:
        raise AccountNotAdjustable(account=command.credit_account)
    merchants = merchants_of(command.debit_account, command.credit_account)
    if len(merchants) > 1:
        raise TwoMerchants
    return (
        AdjustmentProposed(
            adjustment_id=command.adjustment_id,
            merchant_id=merchants[0] if merchants else "",
            debit_account=command.debit_account,
            credit_account=command.credit_account,
            amount=command.amount,
            reason=command.reason,
            reference=command.reference,
            proposed_by=command.proposed_by,
            requested_at=command.requested_at,
        ),
    )


def decide_approval(
    adjustment: Adjustment, command: ApproveAdjustment
) -> tuple[AdjustmentEvent, ...]:
    """Approve an adjustment.

    Raises:
        AdjustmentNotProposed, SamePerson: it is decided, or the person proposed it.
    """
    _check_decision(adjustment, command.approved_by)
    return (AdjustmentApproved(approved_by=command.approved_by, requested_at=command.requested_at),)


def decide_rejection(
    adjustment: Adjustment, command: RejectAdjustment
) -> tuple[AdjustmentEvent, ...]:
    """Reject an adjustment.

    Raises:
        AdjustmentNotProposed, SamePerson: it is decided, or the person proposed it.
    """
    _check_decision(adjustment, command.rejected_by)
    return (AdjustmentRejected(rejected_by=command.rejected_by, requested_at=command.requested_at),)


def legs_of(adjustment: Adjustment) -> tuple[Posting, ...]:
    """Return the leg of an approved adjustment; it is available at once. Nothing moves before."""
    if adjustment.status is not AdjustmentStatus.APPROVED or adjustment.decided_at is None:
        return ()
    return (
        Posting(
            leg=ADJUST_LEG,
            debit_account=adjustment.debit_account,
            credit_account=adjustment.credit_account,
            amount=adjustment.amount,
            kind=ADJUSTMENT,
            available_on=adjustment.decided_at,
            subject_id=adjustment.adjustment_id,
            reference=adjustment.reference,
        ),
    )


def fold_adjustment(events: Iterable[AdjustmentEvent]) -> Adjustment:
    """Return the adjustment that events made.

    Raises:
        InvariantBroken: the events cannot be an adjustment's.
    """
    adjustment: Adjustment | None = None
    for event in events:
        adjustment = evolve(adjustment, event)
    if adjustment is None:
        raise InvariantBroken("an adjustment without events")
    return adjustment


def evolve(adjustment: Adjustment | None, event: AdjustmentEvent) -> Adjustment:
    """Return the adjustment after an event.

    Raises:
        InvariantBroken: the event cannot follow.
    """
    if isinstance(event, AdjustmentProposed):
        if adjustment is not None:
            raise InvariantBroken("adjustment.proposed twice")
        return _proposed(event)
    if adjustment is None:
        raise InvariantBroken(f"{event.type} before adjustment.proposed")
    after = _decided(adjustment, event)
    if after.status not in TRANSITIONS[adjustment.status]:
        raise InvariantBroken(f"{adjustment.status} -> {after.status} is no transition")
    return after


def _proposed(event: AdjustmentProposed) -> Adjustment:
    return Adjustment(
        adjustment_id=event.adjustment_id,
        merchant_id=event.merchant_id,
        status=AdjustmentStatus.PROPOSED,
        debit_account=event.debit_account,
        credit_account=event.credit_account,
        amount=event.amount,
        reason=event.reason,
        reference=event.reference,
        proposed_by=event.proposed_by,
        proposed_at=event.requested_at,
    )


def _decided(adjustment: Adjustment, event: AdjustmentApproved | AdjustmentRejected) -> Adjustment:
    if isinstance(event, AdjustmentApproved):
        status, person = AdjustmentStatus.APPROVED, event.approved_by
    else:
        status, person = AdjustmentStatus.REJECTED, event.rejected_by
    return replace(adjustment, status=status, decided_by=person, decided_at=event.requested_at)


def _check_decision(adjustment: Adjustment, person: str) -> None:
    if adjustment.status is not AdjustmentStatus.PROPOSED:
        raise AdjustmentNotProposed(
            adjustment_id=adjustment.adjustment_id, status=adjustment.status
        )
    if person == adjustment.proposed_by:
        raise SamePerson(adjustment_id=adjustment.adjustment_id)


def _is_adjustable(account: Account | None, currency: str) -> bool:
    return (
        account is not None
        and account.group not in {SETTLEMENT, DISPUTES}
        and account.currency == currency
    )
