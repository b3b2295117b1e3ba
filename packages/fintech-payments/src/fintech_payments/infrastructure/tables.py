"""Tables of payments: a key row per reference, a read model for lists with its pairs, sandboxes' books."""

from typing import Final

from fintech_dbclient import Migration

REFERENCES: Final = Migration(
    number=1,
    name="references",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS payments_references (
            reference_key TEXT NOT NULL PRIMARY KEY,
            operation_id TEXT NOT NULL,
            payment_id TEXT NOT NULL,
            amount BIGINT NOT NULL,
            currency TEXT NOT NULL)
        """,
    ),
)

PAYMENTS: Final = Migration(
    number=2,
    name="payments",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS payments_payments (
            payment_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            status TEXT NOT NULL,
            currency TEXT NOT NULL,
            reference TEXT NOT NULL,
            outcomes_open BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            data TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_payments_merchant
        ON payments_payments (merchant_id, payment_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_payments_open
        ON payments_payments (outcomes_open, payment_id)
        """,
    ),
)

SANDBOX: Final = Migration(
    number=3,
    name="sandbox",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS payments_sandbox_calls (
            call_key TEXT NOT NULL PRIMARY KEY,
            payment_id TEXT NOT NULL,
            effect TEXT NOT NULL,
            amount BIGINT NOT NULL,
            currency TEXT NOT NULL,
            token TEXT NOT NULL,
            outcome TEXT NOT NULL,
            decline_code TEXT NOT NULL,
            recorded_at BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_sandbox_calls_payment
        ON payments_sandbox_calls (payment_id)
        """,
    ),
)

SANDBOX_CALLBACKS: Final = Migration(
    number=4,
    name="sandbox_callbacks",
    statements=(
        "ALTER TABLE payments_sandbox_calls ADD COLUMN processor TEXT NOT NULL DEFAULT 'sandbox'",
        "ALTER TABLE payments_sandbox_calls ADD COLUMN answers_at BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE payments_sandbox_calls ADD COLUMN told BIGINT NOT NULL DEFAULT 1",
        """
        CREATE INDEX IF NOT EXISTS payments_sandbox_calls_told
        ON payments_sandbox_calls (told, answers_at)
        """,
    ),
)

DUE: Final = Migration(
    number=5,
    name="due",
    statements=(
        "ALTER TABLE payments_payments ADD COLUMN expires_at BIGINT",
        "ALTER TABLE payments_payments ADD COLUMN next_ask_at BIGINT",
        """
        CREATE INDEX IF NOT EXISTS payments_payments_expires
        ON payments_payments (expires_at, payment_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_payments_next_ask
        ON payments_payments (next_ask_at, payment_id)
        """,
        """
        UPDATE payments_payments SET next_ask_at = created_at
        WHERE outcomes_open = 1 AND next_ask_at IS NULL
        """,
    ),
)
"""Times of the jobs, null where nothing is due: what is left of an authorization to release, and an open
outcome to ask about."""

FILTERS: Final = Migration(
    number=6,
    name="filters",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS payments_metadata (
            pair_key TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            payment_id TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_metadata_of_merchant
        ON payments_metadata (merchant_id, name, value, payment_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_metadata_pair
        ON payments_metadata (name, value, payment_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_payments_status
        ON payments_payments (merchant_id, status, payment_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_payments_currency
        ON payments_payments (merchant_id, currency, payment_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS payments_payments_reference
        ON payments_payments (merchant_id, reference, payment_id)
        """,
    ),
)
"""What lists are narrowed by: each index has the order of the list, so that no page sorts or searches."""

MIGRATIONS: Final = (REFERENCES, PAYMENTS, SANDBOX, SANDBOX_CALLBACKS, DUE, FILTERS)
