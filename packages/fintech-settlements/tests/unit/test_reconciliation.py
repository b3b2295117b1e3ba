"""Both sides of a payout as a model: whatever comes, in whatever order, suspense holds what is left."""

import pytest
from fintech_settlements.domain import reconciliation as model
from fintech_settlements.domain.reconciliation import (
    DecideResolution,
    ReconciliationStatus,
    ResolveDifference,
    fold_reconciliation,
    legs_of,
)
from fintech_settlements.domain.reconciliation_errors import (
    AccountNotResolvable,
    AccountRequired,
    NothingToResolve,
    ResolutionNotProposed,
    ResolutionOutdated,
    ResolutionSamePerson,
)
from fintech_settlements.domain.reconciliation_events import BankLineRecorded, PayoutExpected
from hypothesis import given
from hypothesis import strategies as st

BANK, SUSPENSE, FEES = "assets:bank:KES", "suspense:reconciliation:KES", "income:fees:KES"


def expected(amount: int, *, seq: int = 1) -> PayoutExpected:
    return PayoutExpected(
        reconciliation_id="rec_1",
        settlement_id="stl_1",
        merchant_id="mer_1",
        batch_number="STL1",
        currency="KES",
        amount=amount,
        due_at=100,
        seq=seq,
        requested_at=1,
    )


def line(amount: int, *, tolerance: int = 0, settlement_id: str = "stl_1") -> BankLineRecorded:
    return BankLineRecorded(
        reconciliation_id="rec_1",
        settlement_id=settlement_id,
        line_key="k",
        content_hash="h",
        bank_account="main",
        bank_id="",
        booked_on="2026-11-30",
        amount=amount,
        currency="KES",
        reference="STL1",
        why="" if settlement_id else "no_batch_number",
        tolerance=tolerance,
        recorded_by="ann",
        requested_at=1,
    )


def resolve(account: str = FEES) -> ResolveDifference:
    return ResolveDifference(
        reconciliation_id="rec_1",
        account=account,
        reason="agreed",
        processors=("p",),
        resolved_by="ann",
        requested_at=2,
    )


def decision(by: str) -> DecideResolution:
    return DecideResolution(reconciliation_id="rec_1", decided_by=by, requested_at=3)


def books(events) -> dict[str, int]:
    """Return debits less credits of each account that events moved."""
    sums: dict[str, int] = {}
    before = None
    for event in events:
        legs, _ = legs_of(before, event)
        for leg in legs:
            sums[leg.debit_account] = sums.get(leg.debit_account, 0) + leg.amount.amount
            sums[leg.credit_account] = sums.get(leg.credit_account, 0) - leg.amount.amount
        before = model.evolve(before, event)
    return {account: amount for account, amount in sums.items() if amount}


@pytest.mark.parametrize(
    ("events", "status", "moved"),
    [
        ([expected(100)], "expected", {}),
        ([expected(100), line(-100)], "matched", {}),
        ([line(-100), expected(100)], "matched", {}),
        ([line(-100)], "over", {BANK: -100, SUSPENSE: 100}),
        ([expected(100), line(-130)], "over", {BANK: -30, SUSPENSE: 30}),
        ([expected(100), line(-70)], "under", {BANK: 30, SUSPENSE: -30}),
        ([expected(100), line(-70), line(-30)], "matched", {}),
        ([expected(100), line(-100), line(-100)], "over", {BANK: -100, SUSPENSE: 100}),
        ([expected(100), line(-100), line(100), expected(0, seq=2)], "matched", {}),
        ([expected(100), line(-100), expected(0, seq=2)], "over", {BANK: -100, SUSPENSE: 100}),
        ([expected(0, seq=2), expected(100), line(-100), line(100)], "matched", {}),
        ([expected(100), line(-102, tolerance=2)], "matched", {BANK: -2, FEES: 2}),
        ([expected(100), line(-103, tolerance=2)], "over", {BANK: -3, SUSPENSE: 3}),
        ([expected(100), line(-102, tolerance=2), line(-5, tolerance=2)], "over", {BANK: -7, SUSPENSE: 7}),
        ([line(-50, settlement_id="")], "unknown", {BANK: -50, SUSPENSE: 50}),
        ([line(50, settlement_id="")], "unknown", {BANK: 50, SUSPENSE: -50}),
    ],
)  # fmt: skip
def test_what_both_sides_say_and_what_moves(events, status, moved):
    found = fold_reconciliation(events)
    assert found is not None
    assert found.status.value == status
    assert books(events) == moved
    assert moved.get(SUSPENSE, 0) == found.in_suspense


@given(
    events=st.lists(
        st.one_of(
            st.builds(expected, st.integers(min_value=0, max_value=50), seq=st.integers(1, 4)),
            st.builds(
                line,
                st.integers(min_value=-60, max_value=60).filter(bool),
                tolerance=st.integers(min_value=0, max_value=5),
            ),
        ),
        min_size=1,
        max_size=8,
    ),
    resolves=st.integers(min_value=0, max_value=2),
)
def test_suspense_is_always_what_nobody_explained_and_the_bank_follows_the_bank(events, resolves):
    events = list(events)
    for _ in range(resolves):
        found = fold_reconciliation(events)
        assert found is not None
        if found.in_suspense:
            events += model.decide_resolution(found, resolve())
            proposed = fold_reconciliation(events)
            assert proposed is not None
            events += model.decide_approval(proposed, decision("ben"))
    found = fold_reconciliation(events)
    assert found is not None
    sums = books(events)
    assert sums.get(SUSPENSE, 0) == found.in_suspense
    assert sums.get(BANK, 0) == -found.difference
    assert sum(sums.values()) == 0


def test_an_expected_line_is_missing_once_it_is_due():
    found = fold_reconciliation([expected(100)])
    assert found is not None
    assert found.status_at(100) is ReconciliationStatus.EXPECTED
    assert found.status_at(101) is ReconciliationStatus.MISSING


def test_a_difference_is_explained_by_two_people_and_moves_out_of_suspense():
    events = [expected(100), line(-130)]
    events += model.decide_resolution(fold_reconciliation(events), resolve())
    proposed = fold_reconciliation(events)
    assert proposed.proposal.amount == 30
    with pytest.raises(ResolutionSamePerson):
        model.decide_approval(proposed, decision("ann"))
    with pytest.raises(ResolutionSamePerson):
        model.decide_rejection(proposed, decision("ann"))
    events += model.decide_approval(proposed, decision("ben"))
    done = fold_reconciliation(events)
    assert (done.status, done.in_suspense, done.decided_by) == ("resolved", 0, "ben")
    assert books(events) == {BANK: -30, FEES: 30}
    with pytest.raises(ResolutionNotProposed):
        model.decide_approval(done, decision("cleo"))
    with pytest.raises(NothingToResolve):
        model.decide_resolution(done, resolve())


def test_what_came_too_much_goes_to_the_merchant_whose_it_is():
    account = "liabilities:merchant:mer_2:KES"
    events = [line(50, settlement_id="")]
    events += model.decide_resolution(fold_reconciliation(events), resolve(account))
    before = fold_reconciliation(events)
    (approved,) = model.decide_approval(before, decision("ben"))
    _, merchant_id = legs_of(before, approved)
    assert merchant_id == "mer_2"
    assert books([*events, approved]) == {BANK: 50, account: -50}


def test_a_resolution_of_another_difference_is_outdated():
    events = [expected(100), line(-130)]
    events += model.decide_resolution(fold_reconciliation(events), resolve())
    events.append(line(-5))
    with pytest.raises(ResolutionOutdated):
        model.decide_approval(fold_reconciliation(events), decision("ben"))
    events += model.decide_rejection(fold_reconciliation(events), decision("ben"))
    assert fold_reconciliation(events).proposal is None


def test_a_line_that_will_not_come_is_waived_by_one_person_since_nothing_moves():
    events = [expected(100)]
    events += model.decide_resolution(fold_reconciliation(events), resolve(""))
    found = fold_reconciliation(events)
    assert found.status_at(10_000) is ReconciliationStatus.RESOLVED
    assert books(events) == {}
    with pytest.raises(NothingToResolve):
        model.decide_resolution(found, resolve(""))
    assert fold_reconciliation([*events, line(-100)]).status is ReconciliationStatus.MATCHED


@pytest.mark.parametrize(
    "account",
    [
        "assets:bank:KES",
        "suspense:reconciliation:KES",
        "assets:processor:q:KES",
        "income:fees:USD",
        "liabilities:settlement:stl_1:KES",
        "liabilities:merchant:mer_1:USD",
    ],
)
def test_a_difference_does_not_belong_everywhere(account):
    with pytest.raises(AccountNotResolvable):
        model.decide_resolution(fold_reconciliation([line(-5)]), resolve(account))
    with pytest.raises(AccountRequired):
        model.decide_resolution(fold_reconciliation([line(-5)]), resolve(""))
