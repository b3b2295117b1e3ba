"""The read model of merchants: what lists are served from. The truth is each merchant's stream."""

from typing import Final

from fintech_dbclient import Migration

MERCHANTS: Final = Migration(
    number=1,
    name="merchants",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS merchants_merchants (
            merchant_id TEXT NOT NULL PRIMARY KEY,
            status TEXT NOT NULL,
            name TEXT NOT NULL,
            currencies TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            data TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS merchants_merchants_status
            ON merchants_merchants (status, merchant_id)
        """,
    ),
)

MIGRATIONS: Final = (MERCHANTS,)
