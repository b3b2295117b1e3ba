"""The tables of settlements. Streams live in the kernel's journal, lines and transfers in the ledger.

``settlements_owners`` is written once per settlement and says whose it is: platform staff name a
settlement by its id alone, and a stream's id begins with the merchant. ``settlements_settlements`` is
the read model of lists: a copy of what the streams say. ``settlements_sandbox_payouts`` and
``settlements_payout_orders`` are the built-in rails' own books: nothing of ours reads them but the rails,
and who writes files of orders; a line of a file is written once. ``settlements_runs`` are the runs that
were asked for. ``settlements_reconciliations`` is the read model of what the bank and our books say; it is
the platform's.
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

QUESTIONS: Final = Migration(
    number=4,
    name="questions",
    statements=(
        "ALTER TABLE settlements_settlements ADD COLUMN next_ask_at BIGINT",
        """
        CREATE INDEX IF NOT EXISTS settlements_settlements_next_ask
            ON settlements_settlements (next_ask_at, settlement_id)
        """,
    ),
)
"""When a payout's rail is asked again; null where it is not."""

LETTERS: Final = Migration(
    number=5,
    name="letters",
    statements=(
        "ALTER TABLE settlements_sandbox_payouts ADD COLUMN definite_at BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE settlements_sandbox_payouts ADD COLUMN letters_left BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE settlements_sandbox_payouts ADD COLUMN next_letter_at BIGINT NOT NULL DEFAULT 0",
        """
        CREATE INDEX IF NOT EXISTS settlements_sandbox_payouts_letters
            ON settlements_sandbox_payouts (letters_left, next_letter_at)
        """,
    ),
)
"""When the sandbox's answer is definite, and how many callbacks it has yet to send."""

ORDERS: Final = Migration(
    number=6,
    name="orders",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS settlements_payout_orders (
            payout_key TEXT NOT NULL PRIMARY KEY,
            rail TEXT NOT NULL,
            merchant_id TEXT NOT NULL,
            bank_account_id TEXT NOT NULL,
            amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 1000000000000000),
            currency TEXT NOT NULL,
            batch_number TEXT NOT NULL UNIQUE,
            recorded_at BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_payout_orders_rail
            ON settlements_payout_orders (rail, recorded_at)
        """,
        """
        CREATE TABLE IF NOT EXISTS settlements_payout_file_lines (
            payout_key TEXT NOT NULL PRIMARY KEY,
            file_id TEXT NOT NULL,
            recorded_at BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_payout_file_lines_file
            ON settlements_payout_file_lines (file_id, payout_key)
        """,
    ),
)

RUNS: Final = Migration(
    number=7,
    name="runs",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS settlements_runs (
            run_id TEXT NOT NULL PRIMARY KEY,
            cutoff BIGINT NOT NULL,
            requested_by TEXT NOT NULL,
            requested_at BIGINT NOT NULL,
            status TEXT NOT NULL,
            accounts BIGINT NOT NULL,
            opened BIGINT NOT NULL,
            skipped BIGINT NOT NULL,
            finished_at BIGINT)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_runs_status
            ON settlements_runs (status, run_id)
        """,
    ),
)

RECONCILIATIONS: Final = Migration(
    number=8,
    name="reconciliations",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS settlements_reconciliations (
            reconciliation_id TEXT NOT NULL PRIMARY KEY,
            settlement_id TEXT NOT NULL,
            currency TEXT NOT NULL,
            status TEXT NOT NULL,
            due_at BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            data TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_reconciliations_status
            ON settlements_reconciliations (status, reconciliation_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS settlements_reconciliations_due
            ON settlements_reconciliations (status, due_at)
        """,
    ),
)

MIGRATIONS: Final = (
    OWNERS,
    SETTLEMENTS,
    SANDBOX,
    QUESTIONS,
    LETTERS,
    ORDERS,
    RUNS,
    RECONCILIATIONS,
)
