"""Months as a model: where they begin and end, and in which order they are closed."""

import pytest
from fintech_kernel.clock import MILLISECONDS_PER_DAY
from fintech_ledger.domain.errors import PeriodAlreadyClosed, PeriodNotReady, PeriodOutOfOrder
from fintech_ledger.domain.folds import period_end
from fintech_ledger.domain.periods import (
    ClosePeriodCommand,
    check_ready,
    decide_close,
    last_day,
    month,
)
from hypothesis import given
from hypothesis import strategies as st

months = st.builds(
    "{:04}-{:02}".format,
    st.integers(min_value=1970, max_value=9998),
    st.integers(min_value=1, max_value=12),
)


def command(period: str, *reasons: str) -> ClosePeriodCommand:
    return ClosePeriodCommand(
        period=period,
        until=month(period).ends_at,
        last_day=last_day(month(period)),
        reasons=reasons,
        closed_by="ann",
        requested_at=1,
    )


def closed(periods, period: str, *, fold: int):
    return decide_close(periods, command(period), fold=fold, totals_hash="h")


@given(name=months)
def test_a_month_ends_with_its_last_day_and_where_the_next_begins(name):
    period = month(name)
    assert last_day(period).startswith(name)
    assert period_end(last_day(period)) == period.ends_at
    assert 28 <= (period.ends_at - period.begins_at) / MILLISECONDS_PER_DAY <= 31
    year, number = int(name[:4]), int(name[5:])
    following = f"{year + number // 12:04}-{number % 12 + 1:02}"
    assert month(following).begins_at == period.ends_at


@pytest.mark.parametrize(
    "name", ["2026-13", "2026-1", "2026-11-30", "x", "", "0000-01", "\uff12026-11"]
)
def test_what_is_no_month_is_refused(name):
    with pytest.raises(ValueError, match=r"."):
        month(name)


def test_each_period_begins_behind_the_fold_of_the_one_before():
    first = closed([], "2026-09", fold=7)
    second = closed([first], "2026-11", fold=12)
    assert [(one.behind_fold, one.fold) for one in (first, second)] == [(0, 7), (7, 12)]


def test_a_period_is_closed_once_and_in_order():
    first = closed([], "2026-10", fold=7)
    with pytest.raises(PeriodAlreadyClosed):
        closed([first], "2026-10", fold=7)
    with pytest.raises(PeriodOutOfOrder):
        closed([first], "2026-09", fold=7)


def test_every_reason_is_told():
    check_ready(command("2026-11"))
    with pytest.raises(PeriodNotReady) as refused:
        check_ready(command("2026-11", "one", "two"))
    assert refused.value.facts == {"period": "2026-11", "reasons": ("one", "two")}
