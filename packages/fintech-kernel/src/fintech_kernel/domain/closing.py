"""Whether a period may be closed: every plugin's checks, and the kernel's own.

They look and change nothing. A check that fails or hangs is an obstacle itself: what nobody could look at
is not known to be in order.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from fintech_dbclient import Database, DatabaseError
from loguru import logger

from fintech_kernel.contracts.closing import ClosePeriod, Obstacle
from fintech_kernel.hooks import CloseCheck
from fintech_kernel.infrastructure import closing_queries as queries

CHECK_FAILED: Final = "check_failed"

OBSTACLES_MAX: Final = 100
"""Obstacles that are told at once: they stand in one request and one answer."""


class CloseChecks:
    """All checks, run one after another in the order of their names."""

    def __init__(self) -> None:
        self._checks: tuple[CloseCheck, ...] = ()
        self._forget: Callable[[], None] = lambda: None

    def use(
        self, checks: Sequence[CloseCheck], *, forget: Callable[[], None] | None = None
    ) -> None:
        """Take the checks of everything that is installed; ``forget`` ends what they remember."""
        self._checks = tuple(sorted(checks, key=lambda check: check.name))
        self._forget = forget or self._forget

    @property
    def checks(self) -> tuple[CloseCheck, ...]:
        """The checks, by name."""
        return self._checks

    def forget(self) -> None:
        """End what this process remembers of earlier looks, as a process that starts does."""
        self._forget()

    async def obstacles(self, period: ClosePeriod) -> tuple[Obstacle, ...]:
        """Return why a period cannot be closed yet; empty where nothing is in the way.

        Raises:
            DatabaseError: the database did not answer: nothing is said about the period.
        """
        found: list[Obstacle] = []
        for check in self._checks:
            found.extend(await _run(check, period))
        return tuple(found[:OBSTACLES_MAX])


async def _run(check: CloseCheck, period: ClosePeriod) -> Sequence[Obstacle]:
    try:
        async with asyncio.timeout(check.timeout_seconds):
            return await check.check(period)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's check may raise anything: nobody looked then
        logger.warning("close check failed", check=check.name, reason=type(error).__name__)
        return [
            Obstacle(
                code=CHECK_FAILED,
                subject=check.name,
                detail=f"the check {check.name} could not look: ask again, and read the log if it stays",
            )
        ]


class OperationsCheck:
    """Operations of the period that run still, and its events that somebody has not taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, period: ClosePeriod) -> Sequence[Obstacle]:
        """Return an obstacle for each kind of operation, for each handler, and for what waits."""
        running, undelivered, undispatched = await self._database.run(
            [
                queries.running_operations(before=period.ends_at),
                queries.undelivered(before=period.ends_at),
                queries.undispatched(before=period.ends_at),
            ]
        )
        found = [
            Obstacle(
                code="operations_unfinished",
                subject=str(row["kind"]),
                detail=f"{row['operations']} operations {row['kind']} of the period run still: recovery"
                " ends them",
            )
            for row in running.unwrap().rows
        ]
        found += [
            Obstacle(
                code="events_undelivered",
                subject=str(row["handler"]),
                detail=f"{row['deliveries']} events of the period are {row['state']} at {row['handler']}:"
                " wait, or `fintech events retry` what is dead",
            )
            for row in undelivered.unwrap().rows
        ]
        if undispatched.unwrap().rows:
            found.append(
                Obstacle(
                    code="events_undelivered",
                    detail="events of the period wait to be dispatched: wait",
                )
            )
        return found
