"""How long to wait before sending again: full jitter, as in AWS's "Exponential Backoff And Jitter".

A delay is uniform between nothing and a ceiling that doubles per attempt. Callers whose shared
request failed thus come back spread out, not as one wave.
"""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays between attempts.

    Attributes:
        base_seconds: the ceiling before the second attempt.
        max_seconds: the ceiling that is never exceeded.
        attempts_max: attempts in total; the caller's deadline usually ends them sooner.
        random: where jitter comes from.
    """

    random: Random
    base_seconds: float = 0.025
    max_seconds: float = 1.0
    attempts_max: int = 20

    def delay_seconds(self, attempts: int) -> float:
        """Seconds to wait after this many attempts (1 or more)."""
        doublings = min(attempts - 1, 30)
        return self.random.uniform(0.0, min(self.max_seconds, self.base_seconds * 2**doublings))
