"""The decider: what may happen to a settlement, and what never can."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fintech_kernel.contracts.ledger import CARRYOVER, ClaimedLines
from fintech_kernel.contracts.merchants import BankAccountKind, MerchantStatus
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.errors import InvariantBroken, Refusal
from fintech_settlements.domain import decisions, model
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
from fintech_settlements.domain.diagram import state_diagram
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
    FailureRequested,
    PaidAfterFailure,
    PayoutAnswered,
    PayoutContradicted,
    PayoutOpened,
    PayoutStarted,
    SettlementOpened,
    SettlementPaid,
    SettlementReturned,
)
from fintech_settlements.domain.model import TRANSITIONS, SettlementStatus
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_760_000_000_000
ID = {"settlement_id": "stl_1", "merchant_id": "mer_1"}
SETTLED = DueLine(kind="Settled", amount=1_000)


def creation(**values) -> CreateSettlement:
    given_values = {
        **ID,
        "merchant_status": MerchantStatus.ACTIVE,
        "currency": "KES",
        "cutoff": NOW,
        "minimum": 0,
        "batch_number": "STL1",
        "chunk_size": 500,
        "due": (SETTLED,),
        "opened_by": "ann",
        "requested_at": NOW,
    }
    return CreateSettlement(**(given_values | values))


def opened(total: int, *, minimum: int = 0):
    claimed = ClaimedLines(count=3, total=total)
    return model.fold(decisions.decide_creation(creation(minimum=minimum), claimed))


def after(settlement, events):
    for event in events:
        settlement = model.evolve(settlement, event)
    return settlement


def approve(by: str = "ann") -> ApproveSettlement:
    return ApproveSettlement(**ID, approved_by=by)


def pay(by: str = "ben", *, limit: int = 10**15, **values) -> PaySettlement:
    return PaySettlement(
        **ID, rail="sandbox", two_people_above=limit, paid_by=by, requested_at=NOW, **values
    )


def cancel() -> CancelSettlement:
    return CancelSettlement(**ID, canceled_by="ann")


def approved(total: int, *, by: str = "ann"):
    settlement = opened(total)
    return after(settlement, decisions.decide_approval(settlement, approve(by)))


def paying(total: int = 1_000):
    settlement = approved(total)
    return after(settlement, decisions.decide_payment(settlement, pay()))


def waiting(*, answered_by_people: bool = False):
    """Return a settlement whose payout has no outcome yet."""
    settlement = paying()
    decided = decisions.decide_outcome(
        settlement,
        PayoutAnswer(outcome=Outcome.UNKNOWN),
        operation_id="op_1",
        opened_at=NOW,
        answered_by_people=answered_by_people,
    )
    return after(settlement, decided)


PAID = PayoutAnswer(outcome=Outcome.APPROVED, rail_reference="r-1")
REFUSED = PayoutAnswer(outcome=Outcome.DECLINED, failure_code="account_closed")


def confirm() -> ConfirmPayout:
    return ConfirmPayout(**ID, bank_reference="FT1", confirmed_by="ann")


def fail(by: str = "ann", *, at: int = NOW, limit: int = 60, people: bool = False) -> FailPayout:
    return FailPayout(
        **ID,
        operation_id="op_1",
        reason="no such order",
        failed_by=by,
        in_flight_limit_seconds=limit,
        answered_by_people=people,
        answer=None,
        requested_at=at,
    )


def give_back() -> ReturnPayout:
    return ReturnPayout(**ID, return_code="account_closed", reference="FT2", recorded_by="ann")


def recover() -> RecoverPayout:
    return RecoverPayout(**ID, answer=PAID)


def failed_by_people():
    settlement = waiting()
    settlement = after(settlement, decisions.decide_failure(settlement, fail("ann")))
    late = settlement.failure_approvable_at
    return after(settlement, decisions.decide_failure(settlement, fail("ben", at=late)))


def test_a_cutoff_of_now_is_taken_and_a_millisecond_later_is_refused():
    decisions.check_creation(creation(cutoff=NOW))
    with pytest.raises(CutoffInFuture):
        decisions.check_creation(creation(cutoff=NOW + 1))


@pytest.mark.parametrize("status", MerchantStatus)
def test_merchants_under_review_or_suspended_are_held(status):
    command = creation(merchant_status=status)
    if status in {MerchantStatus.PENDING, MerchantStatus.SUSPENDED}:
        with pytest.raises(MerchantHeld):
            decisions.check_creation(command)
    else:
        decisions.check_creation(command)


@pytest.mark.parametrize(
    ("due", "minimum", "is_started"),
    [
        ((), 0, False),
        ((DueLine(kind=CARRYOVER, amount=-400),), 0, False),
        ((DueLine(kind=CARRYOVER, amount=99),), 100, False),
        ((DueLine(kind=CARRYOVER, amount=100),), 100, True),
        ((DueLine(kind=CARRYOVER, amount=-400), SETTLED), 0, True),
        ((SETTLED,), 5_000, True),
    ],
)
def test_a_set_that_would_only_be_carried_again_is_not_started(due, minimum, is_started):
    command = creation(due=due, minimum=minimum)
    if is_started:
        decisions.check_creation(command)
    else:
        with pytest.raises(NothingDue):
            decisions.check_creation(command)


@pytest.mark.parametrize(
    ("total", "minimum", "status", "carried"),
    [
        (0, 0, SettlementStatus.CLOSED, 0),
        (-1, 0, SettlementStatus.CLOSED, -1),
        (1, 0, SettlementStatus.OPEN, 0),
        (99, 100, SettlementStatus.CLOSED, 99),
        (100, 100, SettlementStatus.OPEN, 0),
    ],
)
def test_only_what_is_worth_a_payout_stays_open(total, minimum, status, carried):
    settlement = opened(total, minimum=minimum)
    assert (settlement.status, settlement.carried) == (status, carried)


def test_the_limit_itself_needs_one_person_and_one_unit_more_needs_two():
    at_limit, above = approved(1_000, by="ann"), approved(1_001, by="ann")
    decisions.decide_payment(at_limit, pay("ann", limit=1_000))
    with pytest.raises(SecondPersonRequired):
        decisions.decide_payment(above, pay("ann", limit=1_000))
    decisions.decide_payment(above, pay("ben", limit=1_000))


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_an_answer_that_is_not_definite_decides_nothing(outcome):
    with pytest.raises(InvariantBroken):
        decisions.decide_answer(paying(), PayoutAnswer(outcome=outcome))


@pytest.mark.parametrize("status", [MerchantStatus.PENDING, MerchantStatus.SUSPENDED])
def test_nothing_is_paid_to_a_merchant_that_is_held_meanwhile(status):
    with pytest.raises(MerchantHeld):
        decisions.decide_payment(approved(1_000), pay(merchant_status=status))


def test_a_rail_pays_its_currencies_to_its_kinds_of_accounts_only():
    settlement = approved(1_000)
    with pytest.raises(RailUnsuitable):
        decisions.decide_payment(settlement, pay(rail_currencies=("EUR",)))
    iban = {"rail_account_kinds": (BankAccountKind.IBAN,)}
    for kind in (None, BankAccountKind.MOBILE_WALLET):
        with pytest.raises(BankAccountUnsuitable):
            decisions.decide_payment(settlement, pay(**iban, bank_account_kind=kind))
    decisions.decide_payment(settlement, pay(**iban, bank_account_kind=BankAccountKind.IBAN))


def test_giving_up_takes_two_people_and_the_time_that_a_call_may_be_under_way():
    settlement = waiting()
    settlement = after(settlement, decisions.decide_failure(settlement, fail("ann", at=NOW + 7)))
    due = NOW + 7 + (60 + decisions.CLOCKS_APART_SECONDS) * 1_000
    assert settlement.failure_approvable_at == due
    with pytest.raises(FailureNeedsSecondPerson):
        decisions.decide_failure(settlement, fail("ann", at=due))
    with pytest.raises(FailureTooEarly):
        decisions.decide_failure(settlement, fail("ben", at=due - 1))
    settlement = after(settlement, decisions.decide_failure(settlement, fail("ben", at=due)))
    assert (settlement.status, settlement.failure_code) == (SettlementStatus.FAILED, "given_up")
    assert (settlement.failure_requested_by, settlement.failed_by) == ("ann", "ben")


def test_where_people_answer_the_time_runs_from_when_the_payout_was_started():
    settlement = waiting(answered_by_people=True)
    decided = decisions.decide_failure(settlement, fail("ann", at=NOW + 10**9, people=True))
    (requested,) = decided
    assert requested.approvable_at == NOW + (60 + decisions.CLOCKS_APART_SECONDS) * 1_000


def test_a_payout_that_is_being_sent_is_neither_confirmed_nor_given_up():
    for decide_command, command in (
        (decisions.decide_confirmation, confirm()),
        (decisions.decide_failure, fail()),
    ):
        with pytest.raises(SettlementNotPaying):
            decide_command(paying(), command)
        assert decide_command(waiting(), command)


@pytest.mark.parametrize(
    ("before", "answer", "event", "status"),
    [
        (waiting, PAID, SettlementPaid, "paid"),
        (failed_by_people, PAID, PaidAfterFailure, "failed"),
        (failed_by_people, REFUSED, PayoutAnswered, "failed"),
    ],
)
def test_what_the_rail_says_behind_people(before, answer, event, status):
    settlement = before()
    decided = decisions.decide_answer(settlement, answer)
    settlement = after(settlement, decided)
    assert [type(one) for one in decided] == [event]
    assert (settlement.status, settlement.payout.is_answered) == (status, True)


@pytest.mark.parametrize(
    ("answer", "event"), [(PAID, PayoutAnswered), (REFUSED, PayoutContradicted)]
)
def test_what_the_rail_says_of_what_somebody_confirmed(answer, event):
    settlement = waiting()
    settlement = after(settlement, decisions.decide_confirmation(settlement, confirm()))
    assert not settlement.payout.is_answered
    decided = decisions.decide_answer(settlement, answer)
    settlement = after(settlement, decided)
    assert [type(one) for one in decided] == [event]
    assert (settlement.status, settlement.rail_reference) == (SettlementStatus.PAID, "FT1")


def test_what_was_paid_comes_back_once():
    settlement = after(paying(), decisions.decide_answer(paying(), PAID))
    settlement = after(settlement, decisions.decide_return(settlement, give_back()))
    assert (settlement.status, settlement.return_code) == ("returned", "account_closed")
    with pytest.raises(SettlementNotPaid):
        decisions.decide_return(settlement, give_back())


def test_what_was_paid_after_its_failure_is_owed_once_and_may_come_back():
    settlement = failed_by_people()
    with pytest.raises(SettlementNotPaid):
        decisions.decide_return(settlement, give_back())
    settlement = after(settlement, decisions.decide_recovery(settlement, recover()))
    with pytest.raises(NothingToRecover):
        decisions.decide_recovery(settlement, recover())
    settlement = after(settlement, decisions.decide_return(settlement, give_back()))
    assert (settlement.status, settlement.is_out) == (SettlementStatus.FAILED, False)


def test_an_answer_without_a_payout_under_way_breaks_an_invariant():
    with pytest.raises(InvariantBroken):
        decisions.decide_answer(approved(1_000), PayoutAnswer(outcome=Outcome.APPROVED))


def test_events_out_of_order_break_an_invariant():
    first = decisions.decide_creation(creation(), ClaimedLines(count=1, total=5))
    with pytest.raises(InvariantBroken):
        model.fold([*first, *first])
    with pytest.raises(InvariantBroken):
        model.fold([*first, SettlementPaid(rail_reference="r")])
    with pytest.raises(InvariantBroken):
        model.fold([SettlementPaid(rail_reference="r")])
    with pytest.raises(InvariantBroken):
        model.fold([])


def test_every_state_is_reachable_and_no_end_has_a_way_on():
    reachable = {SettlementStatus.OPEN}.union(*TRANSITIONS.values())
    ends = {status for status, following in TRANSITIONS.items() if not following}
    assert reachable == set(SettlementStatus)
    assert ends == {
        SettlementStatus.RETURNED,
        SettlementStatus.FAILED,
        SettlementStatus.CANCELED,
        SettlementStatus.CLOSED,
    }


@pytest.mark.parametrize(
    ("elapsed", "is_sent"), [(0, True), (539_999, True), (540_000, False), (10**9, False)]
)
def test_a_payout_is_sent_only_while_the_rail_surely_knows_its_key_on_arrival(elapsed, is_sent):
    capabilities = RailCapabilities(key_retention_seconds=600, in_flight_limit_seconds=60)
    assert decisions.may_send(capabilities, started_at=NOW, now=NOW + elapsed) is is_sent


def test_a_batch_number_fits_a_bank_reference():
    number = model.batch_number_of("stl_01k9qq3v5kf7wsc0d3jz8y2m4t")
    assert number == "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T"
    assert len(number) <= 35


SILENT = PayoutAnswer(outcome=Outcome.UNKNOWN)
LATER = NOW + 10**9

STEPS = {
    "approve": lambda one: decisions.decide_approval(one, approve()),
    "pay_by_ann": lambda one: decisions.decide_payment(one, pay("ann", limit=1_000)),
    "pay_by_ben": lambda one: decisions.decide_payment(one, pay("ben", limit=1_000)),
    "cancel": lambda one: decisions.decide_cancel(one, cancel()),
    "rail_pays": lambda one: decisions.decide_answer(one, PAID),
    "rail_refuses": lambda one: decisions.decide_answer(one, REFUSED),
    "rail_is_silent": lambda one: decisions.decide_outcome(
        one, SILENT, operation_id="op_1", opened_at=NOW, answered_by_people=False
    ),
    "confirm": lambda one: decisions.decide_confirmation(one, confirm()),
    "fail_by_ann": lambda one: decisions.decide_failure(one, fail("ann", at=LATER)),
    "fail_by_ben": lambda one: decisions.decide_failure(one, fail("ben", at=LATER * 2)),
    "return": lambda one: decisions.decide_return(one, give_back()),
    "recover": lambda one: decisions.decide_recovery(one, recover()),
}


@given(
    total=st.integers(min_value=-(10**12), max_value=10**12),
    minimum=st.integers(min_value=0, max_value=10**6),
    steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=14),
)
def test_whatever_is_asked_a_settlement_moves_along_its_transitions_and_pays_at_most_once(
    total, minimum, steps
):
    settlement = opened(total, minimum=minimum)
    events = []
    for step in steps:
        try:
            decided = STEPS[step](settlement)
        except (Refusal, InvariantBroken) as reason:
            assert isinstance(reason, Refusal) or step.startswith("rail_")  # noqa: PT017 - one of two kinds
            continue
        before = settlement
        try:
            settlement = after(settlement, decided)
        except InvariantBroken:
            assert step.startswith("rail_")  # it says what a rail cannot say in this state
            continue
        events += decided
        assert settlement.status in TRANSITIONS[before.status] | {before.status}
        assert (settlement.total, settlement.line_count) == (before.total, before.line_count)
    assert sum(isinstance(event, PayoutStarted) for event in events) <= 1
    assert not any(isinstance(event, SettlementOpened) for event in events)
    for kind in (
        SettlementPaid,
        PaidAfterFailure,
        SettlementReturned,
        PayoutOpened,
        FailureRequested,
    ):
        assert sum(isinstance(event, kind) for event in events) <= 1
    out = sum(isinstance(event, SettlementPaid | PaidAfterFailure) for event in events)
    assert out <= 1
    if settlement.status is SettlementStatus.PAID:
        assert settlement.total >= max(minimum, 1)
        assert settlement.total <= 1_000 or settlement.paid_by != settlement.approved_by


@pytest.mark.parametrize("status", SettlementStatus)
def test_each_command_is_refused_in_every_other_state(status):
    settlement = replace(opened(500), status=status)
    for decide_command, command, refusal, allowed in (
        (decisions.decide_approval, approve(), SettlementNotOpen, {"open"}),
        (decisions.decide_payment, pay(), SettlementNotApproved, {"approved"}),
        (decisions.decide_cancel, cancel(), SettlementNotCancelable, {"open", "approved"}),
    ):
        if status in allowed:
            assert decide_command(settlement, command)
        else:
            with pytest.raises(refusal):
                decide_command(settlement, command)


PAGES = [
    Path(__file__).parents[2] / "README.md",
    Path(__file__).parents[4] / "docs" / "settlements.md",
]


@pytest.mark.parametrize("page", PAGES, ids=["README", "docs/settlements.md"])
def test_the_picture_of_states_is_drawn_from_the_table_of_transitions(page):
    text = page.read_text(encoding="utf-8")
    drawn = re.findall(r"```mermaid\n(stateDiagram-v2\n.*?)\n```", text, re.DOTALL)
    assert drawn == [state_diagram()]
