"""All SQL of loyalty. The merchant is the key, or an argument of the query."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from fintech_dbclient import Row, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsRow:
    """Points of one event; fields stand in the order of the columns."""

    entry_id: str
    merchant_id: str
    customer_id: str
    payment_id: str
    points: int
    occurred_at: int


def insert_points(row: PointsRow) -> Statement:
    """Write the points of an event, unless they are there already."""
    return Statement(
        name="loyalty.points.insert",
        sql="INSERT INTO loyalty_points"
        " (entry_id, merchant_id, customer_id, payment_id, points, occurred_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        params=astuple(row),
    )


def points_earned(merchant_id: str, customer_id: str) -> Statement:
    """Sum a customer's points; ``earned_of`` reads the answer."""
    return Statement(
        name="loyalty.points.earned",
        sql="SELECT COALESCE(CAST(SUM(points) AS BIGINT), 0) AS earned FROM loyalty_points"
        " WHERE merchant_id = ? AND customer_id = ?",
        params=(merchant_id, customer_id),
    )


def earned_of(rows: Sequence[Row]) -> int:
    """Return the sum that ``points_earned`` read."""
    return int(str(rows[0]["earned"]))


def probe() -> Statement:
    """Look up a row that is never there: whether the table can be read, for the health check."""
    return Statement(
        name="loyalty.points.probe",
        sql="SELECT points FROM loyalty_points WHERE entry_id = ?",
        params=("",),
    )
