"""When a rail is asked again what became of a payout: soon, then ever more rarely. Pure.

Whoever starts a payout asks at once; these are the questions behind that. Where people said what became
of it, the rail is asked for ``SETTLED_DAYS`` more: it may yet contradict them. A rail that is answered by
people is not asked.
"""

from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_DAY, MILLISECONDS_PER_SECOND

from fintech_settlements.domain.model import Settlement

EARLY_SECONDS: Final = (15, *range(30, 301, 30), 3_600)
"""The first questions, counted from when the payout was asked for. Daily ones follow."""

SETTLED_DAYS: Final = 7
"""For how many days the rail is asked about what people confirmed or gave up."""


def next_ask_at(settlement: Settlement, *, after: int) -> int | None:
    """Return when the settlement's rail is to be asked next, later than ``after`` (milliseconds)."""
    payout = settlement.payout
    if payout is None or payout.is_answered or payout.answered_by_people:
        return None
    days = max(0, after - payout.opened_at) // MILLISECONDS_PER_DAY + 1
    daily = payout.opened_at + days * MILLISECONDS_PER_DAY
    if not settlement.is_outcome_open:
        return daily if days <= SETTLED_DAYS else None
    early = (payout.opened_at + seconds * MILLISECONDS_PER_SECOND for seconds in EARLY_SECONDS)
    return next((time for time in early if time > after), daily)
