"""The ledger's tables. Append-only: no row is ever changed or deleted, corrections are new transfers.

One transfer row is one debit and one credit of one amount, so an unbalanced entry cannot be written.
A line is a transfer that a settlement claimed; its key is the transfer's id, so there is one at most.
"""

from typing import Final

from fintech_dbclient import Migration

TRANSFERS: Final = Migration(
    number=1,
    name="transfers",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS ledger_transfers (
            transfer_id TEXT NOT NULL PRIMARY KEY,
            operation_id TEXT NOT NULL,
            merchant_id TEXT NOT NULL,
            debit_account TEXT NOT NULL,
            credit_account TEXT NOT NULL,
            amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 1000000000000000),
            currency TEXT NOT NULL,
            kind TEXT NOT NULL,
            available_on BIGINT NOT NULL,
            subject_id TEXT NOT NULL,
            reference TEXT NOT NULL,
            recorded_at BIGINT NOT NULL,
            CHECK (debit_account <> credit_account))
        """,
        "CREATE INDEX IF NOT EXISTS ledger_transfers_operation ON ledger_transfers (operation_id)",
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_debit
            ON ledger_transfers (debit_account, available_on)
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_credit
            ON ledger_transfers (credit_account, available_on)
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_merchant
            ON ledger_transfers (merchant_id, recorded_at, transfer_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_recorded
            ON ledger_transfers (recorded_at, transfer_id)
        """,
        "CREATE INDEX IF NOT EXISTS ledger_transfers_subject ON ledger_transfers (subject_id)",
    ),
)

SETTLEMENT_LINES: Final = Migration(
    number=2,
    name="settlement_lines",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS ledger_settlement_lines (
            line_key TEXT NOT NULL PRIMARY KEY,
            settlement_id TEXT NOT NULL,
            merchant_id TEXT NOT NULL,
            chunk BIGINT NOT NULL,
            marker BIGINT NOT NULL CHECK (marker IN (0, 1)),
            amount BIGINT NOT NULL
                CHECK (amount >= -1000000000000000 AND amount <= 1000000000000000))
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_settlement_lines_chunk
            ON ledger_settlement_lines (settlement_id, chunk)
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_settlement_lines_key
            ON ledger_settlement_lines (settlement_id, line_key)
        """,
    ),
)

MIGRATIONS: Final = (TRANSFERS, SETTLEMENT_LINES)
