"""A reconciliation as a decider: what our books and the bank say about one payout, or one stray line.

Pure: no clock, no I/O. Each payout has one, known by its settlement; a line that names no payout has one of
its own. The difference between both sides stands in suspense until somebody explains it: what suspense
holds is, at every moment, the sum over all reconciliations.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from fintech_kernel.contracts.accounts import (
    bank_account,
    fees_account,
    merchant_account,
    processor_account,
    reconciliation_account,
)
from fintech_kernel.contracts.ledger import Posting
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money

from fintech_settlements.domain.reconciliation_errors import (
    AccountNotResolvable,
    AccountRequired,
    NothingToResolve,
    ResolutionNotProposed,
    ResolutionOutdated,
    ResolutionSamePerson,
)
from fintech_settlements.domain.reconciliation_events import (
    BankLineRecorded,
    ExpectationWaived,
    PayoutExpected,
    ReconciliationEvent,
    ResolutionApproved,
    ResolutionProposed,
    ResolutionRejected,
)

KIND: Final = "Reconciliation"
DIFFERENCE_LEG: Final = "difference"
TOLERANCE_LEG: Final = "tolerance"
RESOLUTION_LEG: Final = "resolution"

REFERENCE_CHARACTERS_MAX: Final = 64
"""Of a bank's reference, what a transfer keeps; the journal has all of it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH: Final = re.compile(r"STL[0-7][0-9A-HJKMNP-TV-Z]{25}")


class ReconciliationStatus(StrEnum):
    """What the bank and our books say. ``missing`` is an ``expected`` one that is overdue."""

    EXPECTED = "expected"
    MISSING = "missing"
    MATCHED = "matched"
    OVER = "over"
    UNDER = "under"
    UNKNOWN = "unknown"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A resolution that waits for a second person. ``amount`` is signed minor units."""

    account: str
    merchant_id: str
    amount: int
    reason: str
    proposed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Both sides of one payout. Amounts are minor units that left us; what came in is negative.

    ``expected`` is what our books say, 0 for a stray line; ``received`` what the bank's lines say;
    ``resolved`` what was moved out of suspense.
    """

    reconciliation_id: str
    settlement_id: str
    currency: str
    merchant_id: str = ""
    batch_number: str = ""
    expected: int = 0
    due_at: int = 0
    seq: int = 0
    received: int = 0
    line_count: int = 0
    tolerance: int = 0
    resolved: int = 0
    is_waived: bool = False
    proposal: Proposal | None = None
    reference: str = ""
    why: str = ""
    reason: str = ""
    decided_by: str = ""
    content_hash: str = ""

    @property
    def difference(self) -> int:
        """What left us beyond what our books say; a payout that the bank has not told of is none."""
        return self.received - self.expected if self.line_count else 0

    @property
    def tolerated(self) -> int:
        """The part of it that is not worth a look: it is a cost of ours at once."""
        left = self.difference - self.resolved
        return left if abs(left) <= self.tolerance else 0

    @property
    def in_suspense(self) -> int:
        """The part of it that nobody has explained."""
        return self.difference - self.resolved - self.tolerated

    @property
    def status(self) -> ReconciliationStatus:
        """What both sides say, whenever it is."""
        if self.in_suspense:
            if not self.settlement_id:
                return ReconciliationStatus.UNKNOWN
            is_over = self.in_suspense > 0
            return ReconciliationStatus.OVER if is_over else ReconciliationStatus.UNDER
        if self.resolved or (self.is_waived and not self.line_count):
            return ReconciliationStatus.RESOLVED
        if self.line_count or not self.expected:
            return ReconciliationStatus.MATCHED
        return ReconciliationStatus.EXPECTED

    def status_at(self, now: int) -> ReconciliationStatus:
        """What both sides say at a moment, UTC milliseconds."""
        is_late = self.status is ReconciliationStatus.EXPECTED and now > self.due_at
        return ReconciliationStatus.MISSING if is_late else self.status


# --- commands


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveDifference:
    """Explain a difference, or answer for a line that will not come. ``processors`` are those installed."""

    reconciliation_id: str
    account: str
    reason: str
    processors: tuple[str, ...]
    resolved_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideResolution:
    """Agree, or not, with what somebody else proposed."""

    reconciliation_id: str
    decided_by: str
    requested_at: int


# --- names


def reconciliation_id_of(settlement_id: str) -> str:
    """Return the reconciliation of a settlement's payout."""
    return f"rec_{settlement_id.partition('_')[2]}"


def settlement_named(reference: str) -> str:
    """Return the settlement whose batch number a bank's reference holds; empty for none, or several."""
    found = set(_BATCH.findall(re.sub(r"[\s.-]", "", reference.upper())))
    return f"stl_{found.pop()[3:].lower()}" if len(found) == 1 else ""


def day_end(day: str) -> int:
    """Return the end of a day (UTC) that is written as 2026-11-30, UTC milliseconds."""
    moment = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


# --- decide


def decide_resolution(
    reconciliation: Reconciliation, command: ResolveDifference
) -> tuple[ReconciliationEvent, ...]:
    """Propose where a difference belongs; where nothing is in suspense, waive the bank's line.

    Raises:
        NothingToResolve, AccountRequired, AccountNotResolvable: refused.
    """
    if not reconciliation.in_suspense:
        if reconciliation.status is not ReconciliationStatus.EXPECTED:
            raise NothingToResolve(reconciliation_id=reconciliation.reconciliation_id)
        return (
            ExpectationWaived(
                reason=command.reason,
                waived_by=command.resolved_by,
                requested_at=command.requested_at,
            ),
        )
    if not command.account:
        raise AccountRequired(
            reconciliation_id=reconciliation.reconciliation_id,
            in_suspense=reconciliation.in_suspense,
        )
    merchant_id = owner_of_resolvable(command.account)
    if not _is_resolvable(command, reconciliation.currency, merchant_id):
        raise AccountNotResolvable(account=command.account)
    return (
        ResolutionProposed(
            account=command.account,
            merchant_id=merchant_id,
            amount=reconciliation.in_suspense,
            reason=command.reason,
            proposed_by=command.resolved_by,
            requested_at=command.requested_at,
        ),
    )


def decide_approval(
    reconciliation: Reconciliation, command: DecideResolution
) -> tuple[ReconciliationEvent, ...]:
    """Agree with a proposed resolution.

    Raises:
        ResolutionNotProposed, ResolutionSamePerson, ResolutionOutdated: refused.
    """
    proposal = _decidable(reconciliation, command)
    if proposal.amount != reconciliation.in_suspense:
        raise ResolutionOutdated(proposed=proposal.amount, in_suspense=reconciliation.in_suspense)
    return (ResolutionApproved(approved_by=command.decided_by, requested_at=command.requested_at),)


def decide_rejection(
    reconciliation: Reconciliation, command: DecideResolution
) -> tuple[ReconciliationEvent, ...]:
    """Do not agree with a proposed resolution.

    Raises:
        ResolutionNotProposed, ResolutionSamePerson: refused.
    """
    _decidable(reconciliation, command)
    return (ResolutionRejected(rejected_by=command.decided_by, requested_at=command.requested_at),)


def owner_of_resolvable(account: str) -> str:
    """Return whose account it is where it is a merchant's; empty otherwise."""
    parts = account.split(":")
    is_merchants = parts[:2] == ["liabilities", "merchant"] and len(parts) == _OWNED_PARTS
    return parts[2] if is_merchants else ""


_OWNED_PARTS: Final = 4


def _is_resolvable(command: ResolveDifference, currency: str, merchant_id: str) -> bool:
    allowed = {fees_account(currency)}
    allowed |= {processor_account(name, currency) for name in command.processors}
    if merchant_id:
        allowed.add(merchant_account(merchant_id, currency))
    return command.account in allowed


def _decidable(reconciliation: Reconciliation, command: DecideResolution) -> Proposal:
    proposal = reconciliation.proposal
    if proposal is None:
        raise ResolutionNotProposed(reconciliation_id=reconciliation.reconciliation_id)
    if proposal.proposed_by == command.decided_by:
        raise ResolutionSamePerson(reconciliation_id=reconciliation.reconciliation_id)
    return proposal


# --- evolve


def fold_reconciliation(events: Iterable[ReconciliationEvent]) -> Reconciliation | None:
    """Return the reconciliation that events made; None where there are none."""
    found: Reconciliation | None = None
    for event in events:
        found = evolve(found, event)
    return found


def evolve(before: Reconciliation | None, event: ReconciliationEvent) -> Reconciliation:
    """Return the reconciliation after an event.

    Raises:
        InvariantBroken: the event cannot be the first.
    """
    match event:
        case PayoutExpected():
            return _expected(before, event)
        case BankLineRecorded():
            return _recorded(before, event)
        case _:
            pass
    if before is None:
        raise InvariantBroken(f"{event.type} before both sides of it")
    match event:
        case ExpectationWaived():
            return replace(before, is_waived=True, reason=event.reason, decided_by=event.waived_by)
        case ResolutionProposed():
            proposal = Proposal(
                account=event.account,
                merchant_id=event.merchant_id,
                amount=event.amount,
                reason=event.reason,
                proposed_by=event.proposed_by,
            )
            return replace(before, proposal=proposal)
        case ResolutionApproved():
            return _approved(before, event)
        case ResolutionRejected():
            return replace(before, proposal=None)


def _expected(before: Reconciliation | None, event: PayoutExpected) -> Reconciliation:
    known = before or Reconciliation(
        reconciliation_id=event.reconciliation_id,
        settlement_id=event.settlement_id,
        currency=event.currency,
    )
    if known.seq > event.seq:
        return known
    return replace(
        known,
        merchant_id=event.merchant_id,
        batch_number=event.batch_number,
        expected=event.amount,
        due_at=event.due_at,
        seq=event.seq,
    )


def _recorded(before: Reconciliation | None, event: BankLineRecorded) -> Reconciliation:
    known = before or Reconciliation(
        reconciliation_id=event.reconciliation_id,
        settlement_id=event.settlement_id,
        currency=event.currency,
    )
    return replace(
        known,
        received=known.received - event.amount,
        line_count=known.line_count + 1,
        tolerance=event.tolerance,
        reference=event.reference,
        why=event.why,
        content_hash=event.content_hash,
    )


def _approved(before: Reconciliation, event: ResolutionApproved) -> Reconciliation:
    if before.proposal is None:
        raise InvariantBroken("a resolution was approved that nobody proposed")
    return replace(
        before,
        resolved=before.resolved + before.proposal.amount,
        reason=before.proposal.reason,
        decided_by=event.approved_by,
        proposal=None,
    )


# --- what moves


def legs_of(
    before: Reconciliation | None, event: ReconciliationEvent
) -> tuple[tuple[Posting, ...], str]:
    """Return the legs of an event, and the merchant whose account moves (empty where none does).

    The bank's account follows what the bank says; suspense, or for what is tolerated our fees, take the other
    side. A resolution moves what suspense holds to where it belongs.
    """
    after = evolve(before, event)
    if isinstance(event, ResolutionApproved) and before is not None and before.proposal is not None:
        proposal = before.proposal
        leg = _leg(after, RESOLUTION_LEG, proposal.account, proposal.amount, event.requested_at)
        suspense = reconciliation_account(after.currency)
        return _against(leg, suspense), proposal.merchant_id
    bank = bank_account(after.currency)
    held = after.in_suspense - (before.in_suspense if before else 0)
    tolerated = after.tolerated - (before.tolerated if before else 0)
    at = event.requested_at
    return (
        *_against(
            _leg(after, DIFFERENCE_LEG, reconciliation_account(after.currency), held, at), bank
        ),
        *_against(_leg(after, TOLERANCE_LEG, fees_account(after.currency), tolerated, at), bank),
    ), ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    name: str
    account: str
    amount: int
    currency: str
    subject_id: str
    reference: str
    available_on: int


def _leg(after: Reconciliation, name: str, account: str, amount: int, at: int) -> _Leg:
    return _Leg(
        name=name,
        account=account,
        amount=amount,
        currency=after.currency,
        subject_id=after.reconciliation_id,
        reference=(after.batch_number or after.reference)[:REFERENCE_CHARACTERS_MAX],
        available_on=at,
    )


def _against(leg: _Leg, other: str) -> tuple[Posting, ...]:
    """Return the posting that debits a leg's account with its amount, or credits it with a negative one."""
    if not leg.amount:
        return ()
    debit, credit = (leg.account, other) if leg.amount > 0 else (other, leg.account)
    return (
        Posting(
            leg=leg.name,
            debit_account=debit,
            credit_account=credit,
            amount=Money(amount=abs(leg.amount), currency=leg.currency),
            kind=KIND,
            available_on=leg.available_on,
            subject_id=leg.subject_id,
            reference=leg.reference,
        ),
    )
