"""The ledger's tables. Append-only: no row is ever deleted, and nothing but hints is ever changed.

One transfer row is one debit and one credit of one amount, so an unbalanced entry cannot be written;
corrections are new transfers. A settlement line is a transfer that a settlement claimed, a fold line one
that a fold took into balances; their keys are the transfer's id, so there is one of each at most.
``is_unclaimed`` and ``is_unfolded`` are hints that spare a look at history: lines are the truth.
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

FOLDS: Final = Migration(
    number=3,
    name="folds",
    statements=(
        "ALTER TABLE ledger_transfers ADD COLUMN is_unfolded BIGINT NOT NULL DEFAULT 1",
        "ALTER TABLE ledger_transfers ADD COLUMN is_unclaimed BIGINT NOT NULL DEFAULT 1",
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_unfolded
            ON ledger_transfers (is_unfolded, merchant_id, transfer_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_unclaimed
            ON ledger_transfers (is_unclaimed, merchant_id, available_on)
        """,
        """
        CREATE TABLE IF NOT EXISTS ledger_folds (
            fold BIGINT NOT NULL PRIMARY KEY CHECK (fold > 0),
            cutoff BIGINT NOT NULL,
            period TEXT NOT NULL,
            closed_until BIGINT NOT NULL,
            size BIGINT NOT NULL CHECK (size > 0))
        """,
        "CREATE INDEX IF NOT EXISTS ledger_folds_period ON ledger_folds (period, fold)",
        """
        CREATE TABLE IF NOT EXISTS ledger_fold_lines (
            entry_key TEXT NOT NULL PRIMARY KEY,
            fold BIGINT NOT NULL,
            marker BIGINT NOT NULL CHECK (marker IN (0, 1)),
            prior_period BIGINT NOT NULL CHECK (prior_period IN (0, 1)))
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_fold_lines_fold ON ledger_fold_lines (fold, entry_key)
        """,
        """
        CREATE TABLE IF NOT EXISTS ledger_balances (
            balance_key TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL,
            fold BIGINT NOT NULL,
            currency TEXT NOT NULL,
            is_first BIGINT NOT NULL CHECK (is_first IN (0, 1)),
            debits BIGINT NOT NULL,
            credits BIGINT NOT NULL,
            in_settlement BIGINT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS ledger_balances_account ON ledger_balances (account, fold)",
        "CREATE INDEX IF NOT EXISTS ledger_balances_first ON ledger_balances (is_first, account)",
        "CREATE INDEX IF NOT EXISTS ledger_balances_fold ON ledger_balances (fold, account)",
        """
        CREATE TABLE IF NOT EXISTS ledger_fold_records (
            fold BIGINT NOT NULL PRIMARY KEY,
            line_count BIGINT NOT NULL,
            totals TEXT NOT NULL,
            recorded_at BIGINT NOT NULL)
        """,
    ),
)

ADJUSTMENTS: Final = Migration(
    number=4,
    name="adjustments",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS ledger_adjustments (
            adjustment_id TEXT NOT NULL PRIMARY KEY,
            status TEXT NOT NULL,
            seq BIGINT NOT NULL,
            data TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS ledger_adjustments_status
            ON ledger_adjustments (status, adjustment_id)
        """,
    ),
)

LATE_LINES: Final = Migration(
    number=5,
    name="late_lines",
    statements=(
        """
        CREATE INDEX IF NOT EXISTS ledger_fold_lines_prior
            ON ledger_fold_lines (prior_period, fold)
        """,
    ),
)

UNCLAIMED_IN_ORDER: Final = Migration(
    number=6,
    name="unclaimed in order",
    statements=(
        """
        CREATE INDEX IF NOT EXISTS ledger_transfers_unclaimed_in_order
            ON ledger_transfers (is_unclaimed, merchant_id, transfer_id)
        """,
    ),
)
"""Chunks are claimed in the order of transfers: without it each sorts all that are left."""

MIGRATIONS: Final = (
    TRANSFERS,
    SETTLEMENT_LINES,
    FOLDS,
    ADJUSTMENTS,
    LATE_LINES,
    UNCLAIMED_IN_ORDER,
)
