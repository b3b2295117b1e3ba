"""The decider: what may happen to a settlement, and what never can."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fintech_kernel.contracts.ledger import CARRYOVER, ClaimedLines
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.errors import InvariantBroken, Refusal
from fintech_settlements.domain import model
from fintech_settlements.domain.errors import (
    CutoffInFuture,
    MerchantHeld,
    NothingDue,
    SecondPersonRequired,
    SettlementNotApproved,
    SettlementNotCancelable,
    SettlementNotOpen,
)
from fintech_settlements.domain.events import PayoutStarted, SettlementOpened, SettlementPaid
from fintech_settlements.domain.model import (
    TRANSITIONS,
    ApproveSettlement,
    CancelSettlement,
    CreateSettlement,
    DueLine,
    PaySettlement,
    SettlementStatus,
)
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
    return model.fold(model.decide_creation(creation(minimum=minimum), claimed))


def after(settlement, events):
    for event in events:
        settlement = model.evolve(settlement, event)
    return settlement


def approve(by: str = "ann") -> ApproveSettlement:
    return ApproveSettlement(**ID, approved_by=by)


def pay(by: str = "ben", *, limit: int = 10**15) -> PaySettlement:
    return PaySettlement(**ID, rail="sandbox", two_people_above=limit, paid_by=by, requested_at=NOW)


def cancel() -> CancelSettlement:
    return CancelSettlement(**ID, canceled_by="ann")


def approved(total: int, *, by: str = "ann"):
    settlement = opened(total)
    return after(settlement, model.decide_approval(settlement, approve(by)))


def test_a_cutoff_of_now_is_taken_and_a_millisecond_later_is_refused():
    model.check_creation(creation(cutoff=NOW))
    with pytest.raises(CutoffInFuture):
        model.check_creation(creation(cutoff=NOW + 1))


@pytest.mark.parametrize("status", MerchantStatus)
def test_merchants_under_review_or_suspended_are_held(status):
    command = creation(merchant_status=status)
    if status in {MerchantStatus.PENDING, MerchantStatus.SUSPENDED}:
        with pytest.raises(MerchantHeld):
            model.check_creation(command)
    else:
        model.check_creation(command)


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
        model.check_creation(command)
    else:
        with pytest.raises(NothingDue):
            model.check_creation(command)


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
    model.decide_payment(at_limit, pay("ann", limit=1_000))
    with pytest.raises(SecondPersonRequired):
        model.decide_payment(above, pay("ann", limit=1_000))
    model.decide_payment(above, pay("ben", limit=1_000))


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN])
def test_an_answer_that_is_not_definite_decides_nothing(outcome):
    paying = approved(1_000)
    paying = after(paying, model.decide_payment(paying, pay()))
    with pytest.raises(InvariantBroken):
        model.decide_payout(paying, PayoutAnswer(outcome=outcome))


def test_an_answer_without_a_payout_under_way_breaks_an_invariant():
    with pytest.raises(InvariantBroken):
        model.decide_payout(approved(1_000), PayoutAnswer(outcome=Outcome.APPROVED))


def test_events_out_of_order_break_an_invariant():
    first = model.decide_creation(creation(), ClaimedLines(count=1, total=5))
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
        SettlementStatus.PAID,
        SettlementStatus.FAILED,
        SettlementStatus.CANCELED,
        SettlementStatus.CLOSED,
    }


@pytest.mark.parametrize(
    ("elapsed", "is_sent"), [(0, True), (539_999, True), (540_000, False), (10**9, False)]
)
def test_a_payout_is_sent_only_while_the_rail_surely_knows_its_key_on_arrival(elapsed, is_sent):
    capabilities = RailCapabilities(key_retention_seconds=600, in_flight_limit_seconds=60)
    assert model.may_send(capabilities, started_at=NOW, now=NOW + elapsed) is is_sent


def test_a_batch_number_fits_a_bank_reference():
    number = model.batch_number_of("stl_01k9qq3v5kf7wsc0d3jz8y2m4t")
    assert number == "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T"
    assert len(number) <= 35


STEPS = ("approve", "pay_by_ann", "pay_by_ben", "cancel", "rail_pays", "rail_refuses")


def decide(settlement, step):
    match step:
        case "approve":
            return model.decide_approval(settlement, approve())
        case "pay_by_ann":
            return model.decide_payment(settlement, pay("ann", limit=1_000))
        case "pay_by_ben":
            return model.decide_payment(settlement, pay("ben", limit=1_000))
        case "cancel":
            return model.decide_cancel(settlement, cancel())
        case "rail_pays":
            return model.decide_payout(settlement, PayoutAnswer(outcome=Outcome.APPROVED))
        case _:
            return model.decide_payout(
                settlement, PayoutAnswer(outcome=Outcome.DECLINED, failure_code="closed")
            )


@given(
    total=st.integers(min_value=-(10**12), max_value=10**12),
    minimum=st.integers(min_value=0, max_value=10**6),
    steps=st.lists(st.sampled_from(STEPS), max_size=12),
)
def test_whatever_is_asked_a_settlement_moves_along_its_transitions_and_pays_at_most_once(
    total, minimum, steps
):
    settlement = opened(total, minimum=minimum)
    events = []
    for step in steps:
        try:
            decided = decide(settlement, step)
        except (Refusal, InvariantBroken) as reason:
            assert isinstance(reason, Refusal) or step.startswith("rail_")  # noqa: PT017 - one of two kinds
            continue
        before = settlement
        settlement = after(settlement, decided)
        events += decided
        assert settlement.status in TRANSITIONS[before.status]
        assert (settlement.total, settlement.line_count) == (before.total, before.line_count)
    assert sum(isinstance(event, PayoutStarted) for event in events) <= 1
    assert not any(isinstance(event, SettlementOpened) for event in events)
    if settlement.status is SettlementStatus.PAID:
        assert settlement.total >= max(minimum, 1)
        assert settlement.total <= 1_000 or settlement.paid_by != settlement.approved_by


@pytest.mark.parametrize("status", SettlementStatus)
def test_each_command_is_refused_in_every_other_state(status):
    settlement = replace(opened(500), status=status)
    for decide_command, command, refusal, allowed in (
        (model.decide_approval, approve(), SettlementNotOpen, {"open"}),
        (model.decide_payment, pay(), SettlementNotApproved, {"approved"}),
        (model.decide_cancel, cancel(), SettlementNotCancelable, {"open", "approved"}),
    ):
        if status in allowed:
            assert decide_command(settlement, command)
        else:
            with pytest.raises(refusal):
                decide_command(settlement, command)


def test_the_picture_in_the_readme_is_the_table_of_transitions():
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^ {4}(\w+) --> (\w+)$", readme, re.MULTILINE))
    assert drawn == {(before, after) for before, ways in TRANSITIONS.items() for after in ways}
