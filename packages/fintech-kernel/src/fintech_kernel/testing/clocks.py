"""A clock that stands still until it is told to move."""

from typing import Final

START: Final = 1_760_000_000_000
"""Where frozen clocks start: 2025-10-09T08:53:20Z."""


class FrozenClock:
    """Implements ``fintech_kernel.clock.Clock``."""

    def __init__(self, now_milliseconds: int = START) -> None:
        self._now = now_milliseconds

    def now_milliseconds(self) -> int:
        """Return the time it was set to."""
        return self._now

    def advance(self, *, seconds: float = 0, days: int = 0) -> None:
        """Move on."""
        self._now += int(seconds * 1_000) + days * 86_400_000
