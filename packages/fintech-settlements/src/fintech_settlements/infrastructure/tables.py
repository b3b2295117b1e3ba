"""The tables of settlements. Streams live in the kernel's journal, lines and transfers in the ledger.

``settlements_owners`` is written once per settlement and says whose it is: platform staff name a
settlement by its id alone, and a stream's id begins with the merchant. ``settlements_settlements`` is
the read model of lists: a copy of what the streams say. ``settlements_sandbox_payouts`` are the
sandbox rail's own books: nothing of ours reads them but the rail.
"""

from typing import Final

from fintech_dbclient import Migration

OWNERS: Final = Migration(
    number=1,
    name="owners",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS settlements_owners (
            settlement_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL)
        """,
    ),
)

SETTLEMENTS: Final = Migration(
    number=2,
    name="settlements",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS settlements_settlements (
            settlement_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            status TEXT NOT NULL,
            currency TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            data TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_settlements_merchant
            ON settlements_settlements (merchant_id, settlement_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_settlements_status
            ON settlements_settlements (status, settlement_id)
        """,
    ),
)

SANDBOX: Final = Migration(
    number=3,
    name="sandbox",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS settlements_sandbox_payouts (
            payout_key TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 1000000000000000),
            currency TEXT NOT NULL,
            batch_number TEXT NOT NULL,
            outcome TEXT NOT NULL,
            failure_code TEXT NOT NULL,
            rail_reference TEXT NOT NULL,
            recorded_at BIGINT NOT NULL)
        """,
    ),
)

MIGRATIONS: Final = (OWNERS, SETTLEMENTS, SANDBOX)
