"""What a period's close waits for here: payouts that the bank owes, differences, open settlements."""

from collections.abc import Sequence

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.closing import ClosePeriod, Obstacle

from fintech_settlements.infrastructure import reconciliation_queries as queries


class SettlementsCheck:
    """Looks at what is open, by status."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def check(self, period: ClosePeriod) -> Sequence[Obstacle]:
        """Return an obstacle for each kind of what is open."""
        overdue, differences, unended = await self._database.run(
            [
                queries.overdue(now=self._clock.now_milliseconds()),
                queries.open_by_status(),
                queries.unended(before=period.ends_at),
            ]
        )
        found = [
            Obstacle(
                code="payouts_missing",
                subject=str(row["currency"]),
                detail=f"the bank owes the lines of {row['found']} payouts: import them, or resolve what"
                " is missing",
            )
            for row in overdue.unwrap().rows
        ]
        found += [
            Obstacle(
                code="differences_open",
                subject=str(row["currency"]),
                detail=f"{row['found']} reconciliations are {row['status']}: explain them",
            )
            for row in differences.unwrap().rows
        ]
        found += [
            Obstacle(
                code="settlements_open",
                subject=str(row["status"]),
                detail=f"{row['found']} settlements of the period are {row['status']}: pay or cancel them",
            )
            for row in unended.unwrap().rows
        ]
        return found
