"""The table of loyalty: points that were earned or taken back, one row for each event about money."""

from typing import Final

from fintech_dbclient import Migration

POINTS: Final = Migration(
    number=1,
    name="points",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS loyalty_points (
            entry_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            customer_id TEXT NOT NULL,
            payment_id TEXT NOT NULL,
            points BIGINT NOT NULL CHECK (points <> 0),
            occurred_at BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS loyalty_points_customer
            ON loyalty_points (merchant_id, customer_id)
        """,
    ),
)

MIGRATIONS: Final = (POINTS,)
