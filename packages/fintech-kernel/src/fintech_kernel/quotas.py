"""Quotas: so many requests in so long, counted over a window that slides.

Two counters per key, of this window and of the one before, whose weight shrinks as this one grows: the
estimate that Cloudflare and others use. A count costs the same however many keys there are, and nothing
is swept. Counting is per process. What does not live here: who a key stands for, which is the web's.
"""

import re
from dataclasses import dataclass
from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock

KEYS_MAX: Final = 100_000
"""Keys of one window, some 20 MB. Keys beyond share one quota: memory is bounded, and no limit is evaded."""

_BEYOND: Final = ""
"""The key that keys beyond ``KEYS_MAX`` share; no real one is empty."""

_OFF: Final = frozenset({"off", "0"})
_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3_600}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """At most ``count`` in any ``seconds``."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is left of a quota.

    ``wait_seconds`` is the time until this window ends or, when exceeded, until one more is allowed.
    """

    is_exceeded: bool
    remaining: int
    wait_seconds: int


def read_quota(text: str) -> Quota | None:
    """Return what ``600/minute`` says; None for ``off`` and ``0``.

    Raises:
        ValueError: it is written otherwise.
    """
    if text in _OFF:
        return None
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError("must look like 600/minute (second, minute, hour), or be off")
    return Quota(count=int(written[1]), seconds=_SECONDS[written[2]])


class QuotaCounter:
    """Counts the keys of one quota."""

    def __init__(self, quota: Quota, clock: Clock, *, keys_max: int = KEYS_MAX) -> None:
        self.quota: Final = quota
        self._clock = clock
        self._keys_max = keys_max
        self._length = quota.seconds * MILLISECONDS_PER_SECOND
        self._window = 0
        self._counts: dict[str, int] = {}
        self._counts_before: dict[str, int] = {}

    def take(self, key: str) -> Standing:
        """Count one more, unless the quota is used up: what is refused is not counted."""
        return self._look(key, taken=1)

    def look(self, key: str) -> Standing:
        """Say whether one more would be refused, and count nothing."""
        return self._look(key, taken=0)

    def _look(self, key: str, *, taken: int) -> Standing:
        passed = self._turn()
        if key not in self._counts and len(self._counts) >= self._keys_max:
            key = _BEYOND
        before, here = self._counts_before.get(key, 0), self._counts.get(key, 0)
        used = before * (self._length - passed) // self._length + here
        if used >= self.quota.count:
            wait = _whole_seconds(self._until_one_is_free(before, here) - passed)
            return Standing(is_exceeded=True, remaining=0, wait_seconds=wait)
        if taken:
            self._counts[key] = here + taken
        return Standing(
            is_exceeded=False,
            remaining=self.quota.count - used - taken,
            wait_seconds=_whole_seconds(self._length - passed),
        )

    def _turn(self) -> int:
        """Move to the window of now; return the milliseconds that it has lasted."""
        window, passed = divmod(self._clock.now_milliseconds(), self._length)
        if window != self._window:
            follows = window == self._window + 1
            self._counts_before = self._counts if follows else {}
            self._counts = {}
            self._window = window
        return passed

    def _until_one_is_free(self, before: int, here: int) -> int:
        """Return the millisecond of this window at which one more is allowed."""
        free = self.quota.count - here
        if free <= 0:
            return self._length + 1
        return self._length - self._length * free // before + 1


def _whole_seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // MILLISECONDS_PER_SECOND))
