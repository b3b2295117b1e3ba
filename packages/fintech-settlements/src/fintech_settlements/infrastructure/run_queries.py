"""SQL of runs over all merchants. They are the platform's."""

from typing import Final

from fintech_dbclient import Statement

_COLUMNS: Final = (
    "run_id, cutoff, requested_by, requested_at, status, accounts, opened, skipped, finished_at"
)


def insert_run(*, run_id: str, cutoff: int, requested_by: str, requested_at: int) -> Statement:
    """Write a run that was asked for, once."""
    return Statement(
        name="settlements.runs.insert",
        sql="INSERT INTO settlements_runs (" + _COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params=(run_id, cutoff, requested_by, requested_at, "requested", 0, 0, 0, None),
    )


def run_by_id(run_id: str) -> Statement:
    """Read a run."""
    return Statement(
        name="settlements.runs.by_id",
        sql="SELECT " + _COLUMNS + " FROM settlements_runs WHERE run_id = ?",
        params=(run_id,),
    )


def runs_before(*, before: str | None, limit: int) -> Statement:
    """Read runs, the newest first, behind the id ``before``."""
    if before is None:
        return Statement(
            name="settlements.runs.newest",
            sql="SELECT " + _COLUMNS + " FROM settlements_runs ORDER BY run_id DESC LIMIT ?",
            params=(limit,),
        )
    return Statement(
        name="settlements.runs.before",
        sql="SELECT " + _COLUMNS + " FROM settlements_runs WHERE run_id < ?"
        " ORDER BY run_id DESC LIMIT ?",
        params=(before, limit),
    )


def requested_runs(*, limit: int) -> Statement:
    """Read runs that are not done, the oldest first."""
    return Statement(
        name="settlements.runs.requested",
        sql="SELECT " + _COLUMNS + " FROM settlements_runs WHERE status = ?"
        " ORDER BY run_id LIMIT ?",
        params=("requested", limit),
    )


def finish_run(
    *, run_id: str, accounts: int, opened: int, skipped: int, finished_at: int
) -> Statement:
    """Note that a run is done; who comes later changes nothing."""
    return Statement(
        name="settlements.runs.finish",
        sql="UPDATE settlements_runs SET status = ?, accounts = ?, opened = ?, skipped = ?,"
        " finished_at = ? WHERE run_id = ? AND status = ?",
        params=("finished", accounts, opened, skipped, finished_at, run_id, "requested"),
    )
