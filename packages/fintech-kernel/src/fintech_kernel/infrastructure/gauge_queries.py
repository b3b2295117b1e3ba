"""SQL of the kernel's gauges: what waits, never what was.

Each reads a bounded number of rows of an index that holds them together, so that its cost does not grow
with history.
"""

from fintech_dbclient import Statement


def running_operations(limit: int) -> Statement:
    """Read when running operations began, those first that recovery will look at first."""
    return Statement(
        name="gauges.operations",
        sql="SELECT kind, created_at FROM operations WHERE state = 'running'"
        " ORDER BY next_run_at LIMIT ?",
        params=(limit,),
    )


def undispatched(limit: int) -> Statement:
    """Read when entries that are not dispatched yet were written, oldest first."""
    return Statement(
        name="gauges.undispatched",
        sql="SELECT occurred_at FROM journal WHERE dispatched = 0 ORDER BY occurred_at LIMIT ?",
        params=(limit,),
    )


def unsealed(limit: int) -> Statement:
    """Read when entries that are not sealed yet were written, oldest first."""
    return Statement(
        name="gauges.unsealed",
        sql="SELECT occurred_at FROM journal WHERE sealed = 0 ORDER BY occurred_at LIMIT ?",
        params=(limit,),
    )


def pending_deliveries(limit: int) -> Statement:
    """Read when pending deliveries are due, the longest overdue first."""
    return Statement(
        name="gauges.pending",
        sql="SELECT handler, next_run_at FROM deliveries WHERE state = 'pending'"
        " ORDER BY next_run_at LIMIT ?",
        params=(limit,),
    )


def dead_letters(limit: int) -> Statement:
    """Read whose deliveries are dead, the longest dead first."""
    return Statement(
        name="gauges.dead",
        sql="SELECT handler FROM deliveries WHERE state = 'dead' ORDER BY next_run_at LIMIT ?",
        params=(limit,),
    )
