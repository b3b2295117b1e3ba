"""What a call to the database leaves behind for logs, metrics and traces.

One record per HTTP request, so that a test can count round trips. It holds the names of
statements, never their text and never a parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class CallOutcome(StrEnum):
    """How one HTTP request ended."""

    ANSWERED = "answered"
    """The engine answered; single statements may have failed."""
    NOT_APPLIED = "not_applied"
    """Nothing of it was run."""
    UNKNOWN = "unknown"
    """It may or may not have been run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One HTTP request.

    Attributes:
        endpoint: ``execute``, ``batch`` or ``health``.
        engine: what the service calls itself; empty until it was asked.
        names: the names of the statements, in the order sent.
        sequences: how many callers shared the request.
        failed: how many statements the engine did not apply.
        rows: rows returned, all statements together.
        attempt: 1 for a first attempt; with several callers the highest of theirs.
        duration_seconds: from sending to the parsed reply.
        outcome: how it ended.
        detail: what went wrong, for logs; empty when answered. No SQL, no parameter.
        request_ids: of the callers that have one, in order.
        slow: it took longer than the client's ``slow_call_seconds``.
    """

    endpoint: str
    engine: str
    names: tuple[str, ...]
    sequences: int
    failed: int
    rows: int
    attempt: int
    duration_seconds: float
    outcome: CallOutcome
    detail: str
    request_ids: tuple[str, ...]
    slow: bool


OnCall: TypeAlias = Callable[[CallRecord], None]
"""Told of every HTTP request when it ended. Must be quick; what it raises is logged and dropped."""
