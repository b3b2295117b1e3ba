"""When a processor is asked again what became of a call: soon, then ever more rarely. Pure.

Whoever has an open outcome asks at once; these are the questions behind that one. What the processor
keeps calling pending is asked about daily for as long as it does; of what was abandoned it is asked for
``ABANDONED_DAYS``, since a call may come to light that we gave up.
"""

from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_DAY, MILLISECONDS_PER_SECOND

from fintech_payments.domain.model import OpenOutcome, Payment

EARLY_SECONDS: Final = (15, *range(30, 301, 30), 3_600)
"""The first questions, counted from when the outcome was open: most are answered within minutes of an
outage's end, so these come each half minute. Daily ones follow."""

ABANDONED_DAYS: Final = 7
"""For how many days the processor is asked about what was abandoned."""


def next_ask_at(payment: Payment, *, after: int) -> int | None:
    """Return when the payment's processor is to be asked next, later than ``after`` (milliseconds)."""
    times = [
        *(_next_of_open(outcome, after) for outcome in payment.open_outcomes),
        *(_next_of_abandoned(outcome, after) for outcome in payment.abandoned_outcomes),
    ]
    return min((time for time in times if time is not None), default=None)


def _next_of_open(outcome: OpenOutcome, after: int) -> int:
    early = (outcome.opened_at + seconds * MILLISECONDS_PER_SECOND for seconds in EARLY_SECONDS)
    return next((time for time in early if time > after), _daily(outcome.opened_at, after))


def _next_of_abandoned(outcome: OpenOutcome, after: int) -> int | None:
    time = _daily(outcome.opened_at, after)
    is_over = time > outcome.opened_at + ABANDONED_DAYS * MILLISECONDS_PER_DAY
    return None if is_over else time


def _daily(since: int, after: int) -> int:
    days = max(0, after - since) // MILLISECONDS_PER_DAY + 1
    return since + days * MILLISECONDS_PER_DAY
