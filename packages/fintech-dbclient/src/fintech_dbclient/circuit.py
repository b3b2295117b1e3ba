"""A circuit breaker: when the service cannot be reached, say so at once instead of queueing.

Only connection-level failures count (refused, reset, no reply in time): a service that answers,
even with an error, is there.
"""

from collections.abc import Callable


class CircuitBreaker:
    """Closed, open, or half open with one probe out.

    Args:
        failures_max: consecutive failures that open it.
        open_seconds: how long it stays open before one request may probe.
        clock: seconds, monotonic (``loop.time``).
    """

    def __init__(
        self, *, failures_max: int, open_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._failures_max = failures_max
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether a request must not be sent now."""
        if self._failures < self._failures_max:
            return False
        return self._is_probing or self._clock() < self._open_until

    @property
    def seconds_until_probe(self) -> float:
        """Seconds until a request may probe; 0 where one may be sent now."""
        return max(0.0, self._open_until - self._clock()) if self.is_open else 0.0

    def admit(self) -> bool:
        """Whether a request may be sent; every admitted one must be reported as ended."""
        if self.is_open:
            return False
        self._is_probing = self._failures >= self._failures_max
        return True

    def answered(self) -> None:
        """A request was answered, with whatever."""
        self._failures = 0
        self._is_probing = False

    def failed(self) -> None:
        """A request met no service, or lost it."""
        self._failures += 1
        self._is_probing = False
        if self._failures >= self._failures_max:
            self._open_until = self._clock() + self._open_seconds

    def abandoned(self) -> None:
        """A request was cancelled: it says nothing about the service."""
        self._is_probing = False
