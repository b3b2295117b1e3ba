"""SQL of retention: finished operations lose request and result, and nothing else."""

from collections.abc import Sequence

from fintech_dbclient import Statement
from fintech_dbclient.statements import repeated


def expired_operations(*, until: int, limit: int) -> Statement:
    """Read finished operations that still have what retention takes, oldest first."""
    return Statement(
        name="operations.expired",
        sql="SELECT operation_id FROM operations WHERE blanked = 0 AND finished_at <= ?"
        " ORDER BY finished_at LIMIT ?",
        params=(until, limit),
    )


def blank_operations(done_nonces: Sequence[str]) -> Statement:
    """Blank operations by the nonce that only finished ones have."""
    return Statement(
        name="operations.blank",
        sql="UPDATE operations SET request = '', result = NULL, blanked = 1 WHERE nonce IN ("
        + repeated("?", len(done_nonces))
        + ")",
        params=tuple(done_nonces),
    )
