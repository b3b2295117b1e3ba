"""An adjustment is proposed by one person and decided by another, once."""

import pytest
from fintech_kernel.contracts.accounts import (
    bank_account,
    fees_account,
    merchant_account,
    settlement_account,
)
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money
from fintech_ledger.domain.decisions import (
    TRANSITIONS,
    Adjustment,
    AdjustmentStatus,
    ApproveAdjustment,
    ProposeAdjustment,
    RejectAdjustment,
    decide_approval,
    decide_proposal,
    decide_rejection,
    evolve,
    fold_adjustment,
    legs_of,
)
from fintech_ledger.domain.errors import (
    AccountNotAdjustable,
    AdjustmentNotProposed,
    SamePerson,
    TwoMerchants,
)

BANK = bank_account("KES")
SUSPENSE = "suspense:reconciliation:KES"
MERCHANT = merchant_account("mer_1", "KES")


def proposal(debit: str = SUSPENSE, credit: str = BANK, **changes) -> ProposeAdjustment:
    given = {
        "adjustment_id": "adj_1",
        "debit_account": debit,
        "credit_account": credit,
        "amount": Money(amount=1_200, currency="KES"),
        "reason": "bank fee",
        "reference": "statement-11",
        "proposed_by": "ann",
        "requested_at": 5,
    }
    return ProposeAdjustment(**(given | changes))


def proposed(**changes) -> Adjustment:
    return fold_adjustment(decide_proposal(proposal(**changes)))


def approve(by: str = "ben") -> ApproveAdjustment:
    return ApproveAdjustment(adjustment_id="adj_1", approved_by=by, requested_at=9)


def reject(by: str = "ben") -> RejectAdjustment:
    return RejectAdjustment(adjustment_id="adj_1", rejected_by=by, requested_at=9)


def decided(adjustment: Adjustment, events) -> Adjustment:
    for event in events:
        adjustment = evolve(adjustment, event)
    return adjustment


def test_a_proposal_moves_nothing():
    adjustment = proposed()

    assert adjustment.status is AdjustmentStatus.PROPOSED
    assert legs_of(adjustment) == ()


def test_an_approval_by_another_person_moves_the_amount_once():
    adjustment = decided(proposed(), decide_approval(proposed(), approve()))

    (leg,) = legs_of(adjustment)
    assert (leg.debit_account, leg.credit_account, leg.amount.amount) == (SUSPENSE, BANK, 1_200)
    assert (leg.kind, leg.subject_id, leg.available_on) == ("Adjustment", "adj_1", 9)
    assert adjustment.decided_by == "ben"


def test_a_rejection_moves_nothing():
    adjustment = decided(proposed(), decide_rejection(proposed(), reject()))

    assert adjustment.status is AdjustmentStatus.REJECTED
    assert legs_of(adjustment) == ()


@pytest.mark.parametrize(
    ("decide", "command"), [(decide_approval, approve), (decide_rejection, reject)]
)
def test_who_proposed_decides_nothing(decide, command):
    with pytest.raises(SamePerson):
        decide(proposed(), command("ann"))


@pytest.mark.parametrize("first", [decide_approval, decide_rejection])
@pytest.mark.parametrize("second", [decide_approval, decide_rejection])
def test_what_is_decided_stays_decided(first, second):
    commands = {decide_approval: approve, decide_rejection: reject}
    adjustment = decided(proposed(), first(proposed(), commands[first]()))

    with pytest.raises(AdjustmentNotProposed):
        second(adjustment, commands[second]("cleo"))


@pytest.mark.parametrize(
    ("debit", "credit"),
    [
        ("cash:KES", BANK),
        (SUSPENSE, "assets:bank:EUR"),
        (BANK, BANK),
        (settlement_account("stl_1", "KES"), BANK),
        (BANK, "liabilities:disputes:pay_1:KES"),
    ],
)
def test_accounts_that_cannot_be_adjusted_are_refused(debit, credit):
    with pytest.raises(AccountNotAdjustable):
        decide_proposal(proposal(debit, credit))


def test_money_does_not_move_from_one_merchant_to_another_at_once():
    with pytest.raises(TwoMerchants):
        decide_proposal(proposal(MERCHANT, merchant_account("mer_2", "KES")))


def test_an_adjustment_names_the_merchant_whose_account_moves():
    assert proposed(debit=MERCHANT, credit=fees_account("KES")).merchant_id == "mer_1"
    assert proposed().merchant_id == ""


def test_events_out_of_order_are_no_adjustment():
    (event,) = decide_approval(proposed(), approve())

    with pytest.raises(InvariantBroken):
        fold_adjustment([])
    with pytest.raises(InvariantBroken):
        fold_adjustment([event])
    with pytest.raises(InvariantBroken):
        fold_adjustment([*decide_proposal(proposal()), event, event])
    with pytest.raises(InvariantBroken):
        fold_adjustment([*decide_proposal(proposal()), *decide_proposal(proposal())])


def test_every_state_has_its_transitions():
    assert TRANSITIONS.keys() == set(AdjustmentStatus)
