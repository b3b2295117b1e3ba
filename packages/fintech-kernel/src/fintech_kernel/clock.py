"""Time as a dependency: UTC milliseconds since the epoch, as the database stores them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

MILLISECONDS_PER_SECOND = 1_000
MILLISECONDS_PER_DAY = 86_400_000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds_of(moment: datetime) -> int:
    """Return an aware time as UTC milliseconds, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class Clock(Protocol):
    """Tells the time of day. Efficiency may rest on it (leases, schedules); safety never does."""

    def now_milliseconds(self) -> int:
        """Return UTC milliseconds since 1970-01-01."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_milliseconds(self) -> int:
        """Return UTC milliseconds since 1970-01-01."""
        return time.time_ns() // 1_000_000
