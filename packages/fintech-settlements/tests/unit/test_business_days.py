"""When a merchant is settled."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from fintech_kernel.contracts.merchants import SettlementInterval, SettlementSchedule, Weekday
from fintech_kernel.errors import InvariantBroken
from fintech_settlements.domain.business_days import BusinessDays, HolidaysUnknown, last_cutoff
from hypothesis import given
from hypothesis import strategies as st

NAIROBI = ZoneInfo("Africa/Nairobi")
DAILY = SettlementSchedule()
MONDAYS = SettlementSchedule(interval=SettlementInterval.WEEKLY, weekday=Weekday.MONDAY)
FIRSTS = SettlementSchedule(interval=SettlementInterval.MONTHLY, day_of_month=1)
FRIDAYS = SettlementSchedule(interval=SettlementInterval.WEEKLY, weekday=Weekday.FRIDAY)

KENYA = BusinessDays("KE")


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000


def cutoff(schedule, at: str, *, zone=NAIROBI, days=KENYA) -> str:
    found = last_cutoff(schedule, at=milliseconds(at), zone=zone, is_business_day=days)
    return datetime.fromtimestamp(found / 1_000, zone).isoformat()


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        # Thursday 2025-10-09; Friday 10-10 is Mazingira Day, Monday 10-20 Mashujaa Day
        (DAILY, "2025-10-09T08:00:00+03:00", "2025-10-09T00:00:00+03:00"),
        (DAILY, "2025-10-10T08:00:00+03:00", "2025-10-09T00:00:00+03:00"),
        (DAILY, "2025-10-12T23:59:00+03:00", "2025-10-09T00:00:00+03:00"),
        (DAILY, "2025-10-13T00:00:00+03:00", "2025-10-13T00:00:00+03:00"),
        (MONDAYS, "2025-10-19T08:00:00+03:00", "2025-10-13T00:00:00+03:00"),
        (MONDAYS, "2025-10-20T08:00:00+03:00", "2025-10-13T00:00:00+03:00"),
        (MONDAYS, "2025-10-21T08:00:00+03:00", "2025-10-21T00:00:00+03:00"),
        (MONDAYS, "2025-10-26T08:00:00+03:00", "2025-10-21T00:00:00+03:00"),
        (FRIDAYS, "2025-10-13T08:00:00+03:00", "2025-10-13T00:00:00+03:00"),
        # the first of November 2025 is a Saturday
        (FIRSTS, "2025-11-02T08:00:00+03:00", "2025-10-01T00:00:00+03:00"),
        (FIRSTS, "2025-11-03T08:00:00+03:00", "2025-11-03T00:00:00+03:00"),
    ],
)
def test_the_last_settlement_day_that_has_begun(schedule, at, expected):
    assert cutoff(schedule, at) == expected


def test_without_a_country_every_day_is_a_business_day():
    sunday = "2025-10-12T08:00:00+00:00"
    assert cutoff(DAILY, sunday, zone=UTC, days=BusinessDays("")) == "2025-10-12T00:00:00+00:00"


def test_midnight_is_where_the_deployment_is():
    at = "2025-10-08T22:00:00+00:00"  # one in the morning of the ninth in Nairobi
    assert cutoff(DAILY, at, zone=UTC) == "2025-10-08T00:00:00+00:00"
    assert cutoff(DAILY, at) == "2025-10-09T00:00:00+03:00"


def test_a_country_whose_holidays_nobody_knows_is_an_error():
    with pytest.raises(HolidaysUnknown):
        BusinessDays("XX")


def test_a_calendar_without_business_days_is_not_believed():
    with pytest.raises(InvariantBroken):
        cutoff(DAILY, "2025-10-09T08:00:00+03:00", days=lambda _day: False)


@given(
    schedule=st.sampled_from([DAILY, MONDAYS, FIRSTS, FRIDAYS]),
    day=st.dates(min_value=date(2024, 1, 1), max_value=date(2028, 12, 31)),
    later=st.integers(min_value=0, max_value=90 * 86_400_000),
)
def test_settlement_days_are_business_days_and_never_go_back(schedule, day, later):
    at = milliseconds(f"{day}T12:00:00+03:00")
    first = last_cutoff(schedule, at=at, zone=NAIROBI, is_business_day=KENYA)
    second = last_cutoff(schedule, at=at + later, zone=NAIROBI, is_business_day=KENYA)
    assert first <= at
    assert first <= second
    assert KENYA(datetime.fromtimestamp(first / 1_000, NAIROBI).date())
