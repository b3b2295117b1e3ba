"""What can go wrong at a call, and the plans that say at which.

Calls are numbered as they are sent. A plan is a function of the number and the port, so that the same
plan on the same seed is the same schedule.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol


class Port(StrEnum):
    """What a call goes to."""

    DATABASE = "database"
    PROCESSOR = "processor"
    RAIL = "rail"
    RECEIVER = "receiver"


class Fault(StrEnum):
    """What happens to a call."""

    LOST_BEFORE = "lost before it was applied"
    LOST_AFTER = "applied, reply lost"
    TWICE = "delivered twice"
    LATE = "given up by the sender, arrives up to hours later"
    SLOW = "slow, perhaps slower than the sender waits"
    REFUSED = "refused unread"
    TORN = "cut off between two statements"
    STALE = "its SELECT read an older state than its INSERT met"
    KILLED_BEFORE = "sender killed before the call"
    KILLED_AFTER = "sender killed after it was applied"
    DOWN_BEFORE = "service down from here, for a while"
    DOWN_AFTER = "applied, then service down for a while"
    CLOCK = "sender's clock jumps by up to ten minutes"
    PENDING = "answered 'pending', decided later"
    SILENT = "applied, no answer about this key for a long while"
    OUTAGE = "applied, then every process is gone for longer than keys are remembered"


FAULTS_OF_PORT: Final[Mapping[Port, tuple[Fault, ...]]] = {
    Port.DATABASE: (
        Fault.LOST_BEFORE,
        Fault.LOST_AFTER,
        Fault.TWICE,
        Fault.LATE,
        Fault.SLOW,
        Fault.REFUSED,
        Fault.TORN,
        Fault.STALE,
        Fault.KILLED_BEFORE,
        Fault.KILLED_AFTER,
        Fault.DOWN_BEFORE,
        Fault.DOWN_AFTER,
        Fault.CLOCK,
    ),
    Port.PROCESSOR: (
        Fault.LOST_BEFORE,
        Fault.LOST_AFTER,
        Fault.TWICE,
        Fault.LATE,
        Fault.SLOW,
        Fault.KILLED_BEFORE,
        Fault.KILLED_AFTER,
        Fault.PENDING,
        Fault.SILENT,
        Fault.OUTAGE,
    ),
    Port.RAIL: (
        Fault.LOST_BEFORE,
        Fault.LOST_AFTER,
        Fault.TWICE,
        Fault.LATE,
        Fault.SLOW,
        Fault.KILLED_BEFORE,
        Fault.KILLED_AFTER,
        Fault.PENDING,
        Fault.SILENT,
        Fault.OUTAGE,
    ),
    Port.RECEIVER: (
        Fault.LOST_BEFORE,
        Fault.LOST_AFTER,
        Fault.TWICE,
        Fault.LATE,
        Fault.SLOW,
        Fault.KILLED_BEFORE,
        Fault.KILLED_AFTER,
        Fault.DOWN_BEFORE,
        Fault.DOWN_AFTER,
        Fault.OUTAGE,
    ),
}
"""The faults that a call to each port can suffer."""

RARE: Final = frozenset({Fault.DOWN_BEFORE, Fault.DOWN_AFTER, Fault.OUTAGE})
"""Faults that stop everything for a while: drawn less often, or nothing else would be seen."""

RARE_SHARE: Final = 0.15


class Plan(Protocol):
    """Says which fault a call suffers, or None."""

    def fault(self, number: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault of call ``number``, one of the ``possible``."""
        ...


@dataclass(frozen=True, slots=True)
class FixedPlan:
    """Faults by number of call; one that the call cannot suffer is none."""

    faults: Mapping[int, Fault] = field(default_factory=dict[int, Fault])

    def fault(self, number: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault of call ``number``."""
        fault = self.faults.get(number)
        return fault if fault in possible else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomPlan:
    """Each call suffers a fault with probability ``rate``, drawn from the seed and its number alone."""

    seed: int
    rate: float

    def fault(self, number: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault of call ``number``."""
        draw = random.Random(self.seed * 1_000_003 + number)  # noqa: S311 - a schedule, not a secret
        if draw.random() >= self.rate:
            return None
        return draw_fault(draw, possible)


def draw_fault(draw: random.Random, faults: Sequence[Fault]) -> Fault:
    """Draw one of these faults, rare ones rarely."""
    fault = faults[int(draw.random() * len(faults))]
    if fault in RARE and draw.random() >= RARE_SHARE:
        return Fault.LOST_AFTER
    return fault


NO_FAULTS: Final = FixedPlan()
