"""When a merchant is settled: its schedule, on the business days of a country.

The settlement day of a schedule that falls on a weekend or a public holiday is the next business day. A
settlement's cutoff is the midnight that begins its day, where the deployment's clocks hang. Holidays are
those of the library ``holidays``, which people maintain for that.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from fintech_kernel.contracts.merchants import SettlementInterval, SettlementSchedule, Weekday
from fintech_kernel.errors import FintechError, InvariantBroken

if TYPE_CHECKING:
    from holidays import HolidayBase

LOOKED_BACK_DAYS: Final = 93
"""A month, and the longest row of days without business that is believed, with room."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKDAYS: Final = tuple(Weekday)


class HolidaysUnknown(FintechError):
    """Nobody knows a country's holidays."""


class BusinessDays:
    """Which days are business days; without a country every day is.

    Raises:
        HolidaysUnknown: the library knows no holidays of this country.
    """

    def __init__(self, country: str) -> None:
        self._holidays: HolidayBase | None = None
        if country:
            from holidays import country_holidays

            try:
                self._holidays = country_holidays(country)
            except NotImplementedError:  # the library's word for a country that it does not know
                raise HolidaysUnknown(country) from None

    def __call__(self, day: date) -> bool:
        """Whether banks work on a day."""
        return self._holidays is None or self._holidays.is_working_day(day)


def last_cutoff(
    schedule: SettlementSchedule,
    *,
    at: int,
    zone: tzinfo,
    is_business_day: Callable[[date], bool],
) -> int:
    """Return the cutoff of the last settlement day that had begun ``at`` (UTC milliseconds).

    Raises:
        InvariantBroken: there was none for months: no calendar looks like that.
    """
    today = (_EPOCH + timedelta(milliseconds=at)).astimezone(zone).date()
    for days in range(LOOKED_BACK_DAYS):
        nominal = today - timedelta(days=days)
        if not _is_due_on(schedule, nominal):
            continue
        day = _next_business_day(nominal, is_business_day)
        if day <= today:
            midnight = datetime.combine(day, time(), zone)
            return (midnight - _EPOCH) // timedelta(milliseconds=1)
    raise InvariantBroken("no settlement day for months")


def _is_due_on(schedule: SettlementSchedule, day: date) -> bool:
    match schedule.interval:
        case SettlementInterval.DAILY:
            return True
        case SettlementInterval.WEEKLY:
            return _WEEKDAYS[day.weekday()] is schedule.weekday
        case SettlementInterval.MONTHLY:
            return day.day == schedule.day_of_month


def _next_business_day(day: date, is_business_day: Callable[[date], bool]) -> date:
    for days in range(LOOKED_BACK_DAYS):
        candidate = day + timedelta(days=days)
        if is_business_day(candidate):
            return candidate
    raise InvariantBroken("no business day for months")
