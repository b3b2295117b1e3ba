"""What is folded next, and what a set of transfers makes of balances: pure and the same for everybody."""

import pytest
from fintech_kernel.contracts.accounts import (
    bank_account,
    fees_account,
    merchant_account,
    processor_account,
    settlement_account,
)
from fintech_kernel.errors import InvariantBroken
from fintech_ledger.domain.folds import (
    BEFORE_ALL,
    Fold,
    FoldedTransfer,
    Total,
    Want,
    balances_behind,
    due_period,
    fold_cutoff,
    next_fold,
    period_end,
    period_ending,
    summed,
    totals_behind,
    totals_of_text,
    totals_text,
    touched_accounts,
)
from hypothesis import given
from hypothesis import strategies as st

DAY = 86_400_000
END = period_end("2026-11-21")

MERCHANT = merchant_account("mer_1", "KES")
PROCESSOR = processor_account("sandbox", "KES")
SETTLING = settlement_account("stl_1", "KES")


def fold(number: int, *, cutoff: int, lines: int | None, period: str = "", until: int = 0) -> Fold:
    return Fold(
        fold=number, cutoff=cutoff, period=period, closed_until=until, size=3, line_count=lines
    )


def transfer(debit: str, credit: str, amount: int, *, merchant_id: str = "mer_1") -> FoldedTransfer:
    return FoldedTransfer(
        transfer_id="op_1:leg",
        merchant_id=merchant_id,
        debit_account=debit,
        credit_account=credit,
        amount=amount,
        currency="KES",
    )


# --- which fold comes next


def test_the_first_fold_is_number_one():
    first = next_fold(BEFORE_ALL, Want(cutoff=END), size=250)

    assert first == Fold(fold=1, cutoff=END, period="", closed_until=0, size=250)


def test_a_full_fold_is_followed_by_one_with_its_cutoff_whatever_is_wanted():
    under_way = fold(4, cutoff=END, lines=3, period="2026-11-21", until=END - DAY)

    found = next_fold(under_way, Want(cutoff=END + DAY, period="2026-11-22"), size=250)

    assert found is not None
    assert (found.fold, found.cutoff, found.period) == (5, END, "2026-11-21")
    assert found.closed_until == END - DAY


def test_a_fold_that_is_not_full_ends_what_was_wanted():
    done = fold(4, cutoff=END, lines=2, period="2026-11-21")

    assert next_fold(done, Want(cutoff=END, period="2026-11-21"), size=3) is None
    assert next_fold(done, Want(cutoff=END), size=3) is None


def test_folding_up_to_a_moment_closes_no_period_that_ends_with_it():
    folded = fold(4, cutoff=END, lines=0)

    close = next_fold(folded, Want(cutoff=END, period="2026-11-21"), size=3)

    assert close is not None
    assert (close.fold, close.cutoff, close.period) == (5, END, "2026-11-21")


def test_cutoffs_never_go_back():
    assert next_fold(fold(4, cutoff=END, lines=0), Want(cutoff=END - 1), size=3) is None


def test_behind_a_close_what_was_recorded_before_its_end_is_of_a_prior_period():
    close = fold(4, cutoff=END, lines=2, period="2026-11-21", until=END - DAY)

    found = next_fold(close, Want(cutoff=END + 5), size=3)

    assert found is not None
    assert found.closed_until == END


# --- periods


def test_a_period_is_a_day_and_ends_at_midnight():
    assert period_end("1970-01-01") == DAY
    assert period_ending(DAY) == "1970-01-01"
    assert period_ending(2 * DAY - 1) == "1970-01-01"


@pytest.mark.parametrize("text", ["2026-2-30", "2026-11-1", "20261101", "tomorrow", ""])
def test_what_is_no_date_in_our_form_is_no_period(text):
    with pytest.raises(ValueError, match=r"day|time data"):
        period_end(text)


@given(st.integers(min_value=0, max_value=40_000))
def test_a_period_is_named_by_its_end(days):
    assert period_end(period_ending((days + 1) * DAY)) == (days + 1) * DAY


def test_without_any_close_the_last_day_that_ended_is_due():
    assert due_period(BEFORE_ALL, now=END + 5, grace=5) == "2026-11-21"
    assert due_period(BEFORE_ALL, now=END + 4, grace=5) == "2026-11-20"


def test_days_are_closed_one_by_one_when_their_grace_is_over():
    close = fold(4, cutoff=END, lines=2, period="2026-11-21")

    assert due_period(close, now=END + DAY + 4, grace=5) is None
    assert due_period(close, now=END + DAY + 5, grace=5) == "2026-11-22"
    assert due_period(close, now=END + 9 * DAY, grace=5) == "2026-11-22"


def test_nothing_is_folded_beyond_a_day_that_is_not_closed():
    close = fold(4, cutoff=END, lines=2, period="2026-11-21")

    assert fold_cutoff(close, now=END + 7) == END + 7
    assert fold_cutoff(close, now=END + DAY + 7) == END + DAY
    assert fold_cutoff(BEFORE_ALL, now=END + 7) == END + 7


# --- balances


def test_both_sides_of_a_transfer_are_folded():
    made = balances_behind({}, [transfer(PROCESSOR, MERCHANT, 100)])

    assert [(one.account, one.is_first, one.debits, one.credits) for one in made] == [
        (PROCESSOR, True, 100, 0),
        (MERCHANT, True, 0, 100),
    ]


def test_balances_go_on_from_those_before():
    (processor, merchant) = balances_behind({}, [transfer(PROCESSOR, MERCHANT, 100)])

    made = balances_behind(
        {processor.account: processor, merchant.account: merchant},
        [transfer(PROCESSOR, MERCHANT, 20), transfer(MERCHANT, fees_account("KES"), 3)],
    )

    assert [(one.account, one.is_first, one.debits, one.credits) for one in made] == [
        (PROCESSOR, False, 120, 0),
        (fees_account("KES"), True, 0, 3),
        (MERCHANT, False, 3, 120),
    ]


def test_what_settlements_take_and_pay_stands_with_the_merchants_account():
    taken = transfer(MERCHANT, SETTLING, 97)
    paid = transfer(SETTLING, bank_account("KES"), 97)

    (*_, after) = balances_behind({}, [taken])[:1]
    both = {one.account: one for one in balances_behind({}, [taken, paid])}

    assert after.in_settlement == 97
    assert both[MERCHANT].in_settlement == 0
    assert both[SETTLING].in_settlement == 0


def test_a_payout_touches_the_account_of_its_merchant_too():
    assert touched_accounts([transfer(SETTLING, bank_account("KES"), 97)]) == (
        bank_account("KES"),
        MERCHANT,
        SETTLING,
    )


def test_an_account_outside_the_chart_cannot_be_folded():
    with pytest.raises(InvariantBroken):
        totals_behind([], [transfer("cash:KES", MERCHANT, 1)])


TRANSFERS = st.lists(
    st.builds(
        transfer,
        st.sampled_from([PROCESSOR, MERCHANT, SETTLING]),
        st.sampled_from([bank_account("KES"), fees_account("KES")]),
        st.integers(min_value=1, max_value=10**15),
    ),
    max_size=20,
)


@given(TRANSFERS, st.integers(min_value=0, max_value=20))
def test_where_a_set_is_cut_makes_no_difference(transfers, at):
    first = balances_behind({}, transfers[:at])
    before = {one.account: one for one in first}
    cut = before | {one.account: one for one in balances_behind(before, transfers[at:])}
    whole = {one.account: one for one in balances_behind({}, transfers)}

    assert {name: (one.debits, one.credits, one.in_settlement) for name, one in cut.items()} == {
        name: (one.debits, one.credits, one.in_settlement) for name, one in whole.items()
    }


@given(TRANSFERS)
def test_totals_balance_and_survive_being_stored(transfers):
    totals = totals_behind([], transfers)

    assert sum(one.debits for one in totals) == sum(one.credits for one in totals)
    assert totals_of_text(totals_text(totals)) == totals


def test_totals_of_one_group_and_currency_are_one():
    one = Total(currency="KES", group="assets:bank", debits=1, credits=2)

    assert summed([one, one]) == (one.plus(one),)
