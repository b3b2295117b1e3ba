"""SQL of what a close waits for. All of it looks at what is not done yet, never at history."""

from fintech_dbclient import Statement


def running_operations(*, before: int) -> Statement:
    """Count running operations that were claimed before a moment, by kind."""
    return Statement(
        name="operations.running_before",
        sql="SELECT kind, COUNT(*) AS operations FROM operations"
        " WHERE state = 'running' AND created_at < ? GROUP BY kind ORDER BY kind",
        params=(before,),
    )


def undelivered(*, before: int) -> Statement:
    """Count deliveries of entries from before a moment that are pending or dead, by handler."""
    return Statement(
        name="deliveries.undelivered_before",
        sql="SELECT d.handler AS handler, d.state AS state, COUNT(*) AS deliveries FROM deliveries d"
        " JOIN journal j ON j.entry_id = d.entry_id"
        " WHERE d.state IN ('pending', 'dead') AND j.occurred_at < ?"
        " GROUP BY d.handler, d.state ORDER BY d.handler, d.state",
        params=(before,),
    )


def undispatched(*, before: int) -> Statement:
    """Read whether an entry from before a moment waits to be dispatched."""
    return Statement(
        name="journal.undispatched_before",
        sql="SELECT entry_id FROM journal WHERE dispatched = 0 AND occurred_at < ? LIMIT 1",
        params=(before,),
    )


def unsealed(*, before: int) -> Statement:
    """Read whether an entry from before a moment waits for its position in the log."""
    return Statement(
        name="journal.unsealed_before",
        sql="SELECT entry_id FROM journal WHERE sealed = 0 AND occurred_at < ? LIMIT 1",
        params=(before,),
    )
