"""What a command, or a rail's answer, leads to: pure functions from a settlement to events.

A ``Refusal`` that is raised here is recorded like an acceptance. Only a rail's answers have one step
whose key all of them share (``<operation>:pay``, then ``:final``); people's decisions have keys of their
own, and the settlement's state keeps two of them from both counting.
"""

from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.ledger import CARRYOVER, ClaimedLines
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.errors import InvariantBroken

from fintech_settlements.domain.commands import (
    ApproveSettlement,
    CancelSettlement,
    ConfirmPayout,
    CreateSettlement,
    DueLine,
    FailPayout,
    PaySettlement,
    RecoverPayout,
    ReturnPayout,
)
from fintech_settlements.domain.errors import (
    BankAccountUnsuitable,
    CutoffInFuture,
    FailureNeedsSecondPerson,
    FailureTooEarly,
    MerchantHeld,
    NothingDue,
    NothingToRecover,
    RailUnsuitable,
    SecondPersonRequired,
    SettlementNotApproved,
    SettlementNotCancelable,
    SettlementNotOpen,
    SettlementNotPaid,
    SettlementNotPaying,
)
from fintech_settlements.domain.events import (
    CloseReason,
    FailureRequested,
    PaidAfterFailure,
    PayoutAnswered,
    PayoutContradicted,
    PayoutOpened,
    PayoutStarted,
    SettlementApproved,
    SettlementCanceled,
    SettlementClosed,
    SettlementEvent,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
    SettlementReturned,
)
from fintech_settlements.domain.model import Settlement, SettlementStatus, is_payable

HELD_STATUSES: Final = frozenset({MerchantStatus.PENDING, MerchantStatus.SUSPENDED})
"""Merchants under review or suspended. A closed merchant is still paid what it is owed."""

DUE_LINES_LOOKED_AT: Final = 2
"""How many due lines a creation looks at: two tell a lone carry-over from a set worth claiming."""

CLOCKS_APART_SECONDS: Final = 900
"""How far the clocks of processes may be apart where a payout is given up."""

GIVEN_UP: Final = "given_up"
"""Our failure code of a payout that two people gave up."""


def may_send(capabilities: RailCapabilities, *, started_at: int, now: int) -> bool:
    """Whether a payout may (still) be sent under its key; times are UTC milliseconds.

    A call that leaves now may arrive ``in_flight_limit`` later, and the rail must still know the key
    then; the first call cannot have been sent before ``started_at``.
    """
    sure_seconds = capabilities.key_retention_seconds - capabilities.in_flight_limit_seconds
    return now < started_at + sure_seconds * MILLISECONDS_PER_SECOND


def is_definite(answer: PayoutAnswer) -> bool:
    """Whether an answer is final."""
    return answer.outcome in {Outcome.APPROVED, Outcome.DECLINED}


# --- creation


def check_creation(command: CreateSettlement) -> None:
    """Judge a creation on its frozen inputs, before anything is claimed: after that it can only close.

    Raises:
        CutoffInFuture, MerchantHeld, NothingDue: the refusals of a creation.
    """
    if command.cutoff > command.requested_at:
        raise CutoffInFuture(cutoff=command.cutoff)
    _require_not_held(command.merchant_id, command.merchant_status)
    if not command.due or would_only_carry_again(command.due, command.minimum):
        raise NothingDue(merchant_id=command.merchant_id, currency=command.currency)


def would_only_carry_again(due: tuple[DueLine, ...], minimum: int) -> bool:
    """Whether all that is due is a carry-over that would be carried over again."""
    if len(due) != 1:
        return False
    (lone,) = due
    return lone.kind == CARRYOVER and not is_payable(lone.amount, minimum)


def decide_creation(
    command: CreateSettlement, claimed: ClaimedLines, lines_hash: str = ""
) -> tuple[SettlementEvent, ...]:
    """Return what a creation and its claimed lines lead to: a settlement, closed where nothing is paid."""
    opened = SettlementOpened(
        settlement_id=command.settlement_id,
        merchant_id=command.merchant_id,
        currency=command.currency,
        cutoff=command.cutoff,
        minimum=command.minimum,
        batch_number=command.batch_number,
        total=claimed.total,
        line_count=claimed.count,
        opened_by=command.opened_by,
        requested_at=command.requested_at,
        lines_hash=lines_hash,
    )
    if claimed.total == 0:
        return (opened, SettlementClosed(reason=CloseReason.ZERO, carried=0))
    if not is_payable(claimed.total, command.minimum):
        return (
            opened,
            SettlementClosed(reason=CloseReason.CARRIED_FORWARD, carried=claimed.total),
        )
    return (opened,)


# --- before the payout


def decide_approval(
    settlement: Settlement, command: ApproveSettlement
) -> tuple[SettlementEvent, ...]:
    """Approve an open settlement.

    Raises:
        SettlementNotOpen: it is not.
    """
    if settlement.status is not SettlementStatus.OPEN:
        raise SettlementNotOpen(settlement_id=settlement.settlement_id, status=settlement.status)
    return (SettlementApproved(approved_by=command.approved_by),)


def decide_cancel(settlement: Settlement, command: CancelSettlement) -> tuple[SettlementEvent, ...]:
    """Give up a settlement whose payout was not started.

    Raises:
        SettlementNotCancelable: it was started, or the settlement has ended.
    """
    if settlement.status not in {SettlementStatus.OPEN, SettlementStatus.APPROVED}:
        raise SettlementNotCancelable(
            settlement_id=settlement.settlement_id, status=settlement.status
        )
    return (SettlementCanceled(canceled_by=command.canceled_by),)


def decide_payment(settlement: Settlement, command: PaySettlement) -> tuple[SettlementEvent, ...]:
    """Start the one payout of an approved settlement.

    Raises:
        SettlementNotApproved: it is not approved, or its payout was started before.
        MerchantHeld: the merchant is under review or suspended by now.
        SecondPersonRequired: it is above the limit and who approved it wants to pay it.
        RailUnsuitable, BankAccountUnsuitable: the rail cannot pay this.
    """
    if settlement.status is not SettlementStatus.APPROVED:
        raise SettlementNotApproved(
            settlement_id=settlement.settlement_id, status=settlement.status
        )
    _require_not_held(settlement.merchant_id, command.merchant_status)
    is_large = settlement.total > command.two_people_above
    if is_large and command.paid_by == settlement.approved_by:
        raise SecondPersonRequired(
            settlement_id=settlement.settlement_id, limit=command.two_people_above
        )
    if command.rail_currencies and settlement.currency not in command.rail_currencies:
        raise RailUnsuitable(rail=command.rail, currency=settlement.currency)
    if command.rail_account_kinds and command.bank_account_kind not in command.rail_account_kinds:
        raise BankAccountUnsuitable(rail=command.rail, merchant_id=settlement.merchant_id)
    return (
        PayoutStarted(
            rail=command.rail,
            amount=settlement.moved,
            paid_by=command.paid_by,
            requested_at=command.requested_at,
            bank_account_id=command.bank_account_id,
        ),
    )


# --- the payout's outcome


def decide_outcome(
    settlement: Settlement,
    answer: PayoutAnswer,
    *,
    operation_id: str,
    opened_at: int,
    answered_by_people: bool,
) -> tuple[SettlementEvent, ...]:
    """Return what the first answer of a payout leads to; without a definite one its outcome is open."""
    if not is_definite(answer):
        return (
            PayoutOpened(
                operation_id=operation_id,
                opened_at=opened_at,
                answered_by_people=answered_by_people,
            ),
        )
    return decide_answer(settlement, answer)


def decide_answer(settlement: Settlement, answer: PayoutAnswer) -> tuple[SettlementEvent, ...]:
    """Return what the rail's definite answer leads to, whatever people said of the payout meanwhile.

    Raises:
        InvariantBroken: no payout was started, or the answer is not definite.
    """
    if not is_definite(answer):
        raise InvariantBroken(f"{answer.outcome} is no definite answer of a rail")
    is_paid = answer.outcome is Outcome.APPROVED
    reference = answer.rail_reference
    match settlement.status:
        case SettlementStatus.PAYING if is_paid:
            return (SettlementPaid(rail_reference=reference),)
        case SettlementStatus.PAYING:
            return (SettlementFailed(failure_code=answer.failure_code, rail_reference=reference),)
        case SettlementStatus.FAILED if is_paid:
            return (PaidAfterFailure(rail_reference=reference),)
        case SettlementStatus.PAID if not is_paid:
            code = answer.failure_code
            return (PayoutContradicted(failure_code=code, rail_reference=reference),)
        case SettlementStatus.PAID | SettlementStatus.FAILED | SettlementStatus.RETURNED:
            return (PayoutAnswered(outcome=answer.outcome, rail_reference=reference),)
        case _:
            raise InvariantBroken(f"settlement {settlement.settlement_id} was never being paid")


def decide_confirmation(
    settlement: Settlement, command: ConfirmPayout
) -> tuple[SettlementEvent, ...]:
    """Take somebody's word that a payout of unknown outcome was done.

    Raises:
        SettlementNotPaying: no payout waits for its outcome.
    """
    _require_open_outcome(settlement)
    return (
        SettlementPaid(rail_reference=command.bank_reference, confirmed_by=command.confirmed_by),
    )


def decide_failure(settlement: Settlement, command: FailPayout) -> tuple[SettlementEvent, ...]:
    """Give a payout of unknown outcome up: the first person asks for it, another agrees later.

    From the request on nothing is sent again; what was sent before can be paid for as long as the rail's
    in-flight limit. Only behind that the second person may agree.

    Raises:
        SettlementNotPaying: no payout waits for its outcome.
        FailureNeedsSecondPerson: who asked for it wants to agree.
        FailureTooEarly: what was sent may still be paid.
    """
    _require_open_outcome(settlement)
    if settlement.failure_approvable_at is None:
        sent_by = (
            settlement.payout_started_at if command.answered_by_people else command.requested_at
        )
        seconds = command.in_flight_limit_seconds + CLOCKS_APART_SECONDS
        return (
            FailureRequested(
                requested_by=command.failed_by,
                reason=command.reason,
                approvable_at=sent_by + seconds * MILLISECONDS_PER_SECOND,
            ),
        )
    if command.failed_by == settlement.failure_requested_by:
        raise FailureNeedsSecondPerson(settlement_id=settlement.settlement_id)
    if command.requested_at < settlement.failure_approvable_at:
        raise FailureTooEarly(
            settlement_id=settlement.settlement_id,
            approvable_at=settlement.failure_approvable_at,
        )
    return (
        SettlementFailed(failure_code=GIVEN_UP, rail_reference="", failed_by=command.failed_by),
    )


def decide_return(settlement: Settlement, command: ReturnPayout) -> tuple[SettlementEvent, ...]:
    """Take back what was paid, once.

    Raises:
        SettlementNotPaid: nothing is out that could come back.
    """
    if not settlement.is_out:
        raise SettlementNotPaid(settlement_id=settlement.settlement_id, status=settlement.status)
    return (
        SettlementReturned(
            return_code=command.return_code,
            reference=command.reference,
            recorded_by=command.recorded_by,
        ),
    )


def decide_recovery(settlement: Settlement, command: RecoverPayout) -> tuple[SettlementEvent, ...]:
    """Let the merchant owe what the rail paid after it had refused to.

    Raises:
        NothingToRecover: that is recorded already.
    """
    if settlement.status is not SettlementStatus.FAILED or settlement.paid_after_failure:
        raise NothingToRecover(settlement_id=settlement.settlement_id, status=settlement.status)
    return (PaidAfterFailure(rail_reference=command.answer.rail_reference),)


# --- small parts


def _require_not_held(merchant_id: str, status: MerchantStatus) -> None:
    if status in HELD_STATUSES:
        raise MerchantHeld(merchant_id=merchant_id, status=status)


def _require_open_outcome(settlement: Settlement) -> None:
    if not settlement.is_outcome_open:
        raise SettlementNotPaying(settlement_id=settlement.settlement_id, status=settlement.status)
