"""What a settlement moves always adds up, whatever its total."""

from collections import Counter

from fintech_kernel.contracts.accounts import bank_account, merchant_account, settlement_account
from fintech_kernel.contracts.ledger import CARRYOVER
from fintech_settlements.domain import model
from fintech_settlements.domain.events import (
    CloseReason,
    PaidAfterFailure,
    SettlementCanceled,
    SettlementClosed,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
    SettlementReturned,
)
from fintech_settlements.domain.postings import PAYOUT_FAILED, RECEIVABLE, legs_of
from hypothesis import given
from hypothesis import strategies as st

MERCHANT = merchant_account("mer_1", "KES")
OWN = settlement_account("stl_1", "KES")
BANK = bank_account("KES")
CUTOFF = 1_760_000_000_000

totals = st.integers(min_value=-(10**15), max_value=10**15)
minimums = st.integers(min_value=0, max_value=10**6)


def opened(total: int, minimum: int = 0) -> SettlementOpened:
    return SettlementOpened(
        settlement_id="stl_1",
        merchant_id="mer_1",
        currency="KES",
        cutoff=CUTOFF,
        minimum=minimum,
        batch_number="STL1",
        total=total,
        line_count=1,
        opened_by="ann",
        requested_at=CUTOFF + 5,
    )


def moved(*decisions) -> Counter:
    """Return what accounts gained (credits less debits) by decisions on one settlement."""
    settlement = model.fold([decisions[0][0]])
    balances: Counter = Counter()
    for decision in decisions:
        for leg in legs_of(settlement, decision):
            assert leg.amount.amount > 0
            assert leg.available_on == CUTOFF
            balances[leg.debit_account] -= leg.amount.amount
            balances[leg.credit_account] += leg.amount.amount
    return balances


@given(total=totals.filter(bool))
def test_the_own_transfer_nets_the_claimed_lines_to_zero(total):
    balances = moved((opened(total),))
    assert balances[MERCHANT] == -total
    assert balances[OWN] == total


@given(total=totals.filter(bool), minimum=minimums)
def test_a_carry_over_leaves_the_merchant_with_what_it_had(total, minimum):
    closed = SettlementClosed(reason=CloseReason.CARRIED_FORWARD, carried=total)
    decision = (opened(total, minimum), closed)
    balances = moved(decision)
    assert (balances[MERCHANT], balances[OWN]) == (0, 0)
    legs = legs_of(model.fold([decision[0]]), decision)
    assert [(leg.leg, leg.kind) for leg in legs] == [("settle", "Settlement"), ("carry", CARRYOVER)]


@given(total=st.integers(min_value=1, max_value=10**15))
def test_a_payout_moves_the_total_to_the_bank_and_nothing_stays(total):
    balances = moved((opened(total),), (SettlementPaid(rail_reference="r"),))
    assert (balances[OWN], balances[BANK]) == (0, total)


@given(total=st.integers(min_value=1, max_value=10**15))
def test_failure_and_cancellation_give_everything_back_in_one_transfer(total):
    for ending in (
        SettlementFailed(failure_code="closed", rail_reference=""),
        SettlementCanceled(canceled_by="ann"),
    ):
        balances = moved((opened(total),), (ending,))
        assert (balances[MERCHANT], balances[OWN]) == (0, 0)
        (leg,) = legs_of(model.fold([opened(total)]), (ending,))
        assert (leg.kind, leg.reference) == (PAYOUT_FAILED, "STL1")


@given(total=st.integers(min_value=1, max_value=10**15))
def test_what_comes_back_is_the_merchants_again_in_one_transfer(total):
    returned = SettlementReturned(return_code="closed", reference="FT2", recorded_by="ann")
    balances = moved((opened(total),), (SettlementPaid(rail_reference="r"),), (returned,))
    assert (balances[MERCHANT], balances[OWN], balances[BANK]) == (0, 0, 0)
    (leg,) = legs_of(model.fold([opened(total)]), (returned,))
    assert leg.kind == PAYOUT_FAILED


@given(total=st.integers(min_value=1, max_value=10**15))
def test_what_is_paid_after_a_failure_is_owed_by_the_merchant(total):
    failed = SettlementFailed(failure_code="given_up", rail_reference="", failed_by="ben")
    late = PaidAfterFailure(rail_reference="r")
    balances = moved((opened(total),), (failed,), (late,))
    assert (balances[MERCHANT], balances[OWN], balances[BANK]) == (-total, 0, total)
    (leg,) = legs_of(model.fold([opened(total)]), (late,))
    assert leg.kind == RECEIVABLE


def test_a_total_of_zero_moves_nothing():
    closed = SettlementClosed(reason=CloseReason.ZERO, carried=0)
    assert legs_of(model.fold([opened(0)]), (opened(0), closed)) == ()
