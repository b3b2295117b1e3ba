"""The kernel's tables. Money and time are BIGINT (minor units, UTC milliseconds), the rest TEXT.

Nothing here is ever deleted, and no UPDATE touches a key.
"""

from typing import Final

from fintech_dbclient import Migration

OPERATIONS: Final = Migration(
    number=1,
    name="operations",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS operations (
            operation_id TEXT NOT NULL PRIMARY KEY,
            kind TEXT NOT NULL,
            version BIGINT NOT NULL,
            merchant_id TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            request TEXT NOT NULL,
            state TEXT NOT NULL,
            nonce TEXT NOT NULL,
            lease_until BIGINT NOT NULL,
            attempts BIGINT NOT NULL,
            next_run_at BIGINT NOT NULL,
            result TEXT,
            created_at BIGINT NOT NULL,
            finished_at BIGINT)
        """,
        "CREATE INDEX IF NOT EXISTS operations_nonce ON operations (nonce)",
        "CREATE INDEX IF NOT EXISTS operations_state ON operations (state, next_run_at)",
    ),
)

JOURNAL: Final = Migration(
    number=2,
    name="journal",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS journal (
            entry_id TEXT NOT NULL PRIMARY KEY,
            step_key TEXT NOT NULL UNIQUE,
            stream_id TEXT NOT NULL,
            seq BIGINT NOT NULL,
            type TEXT NOT NULL,
            data TEXT NOT NULL,
            actor TEXT NOT NULL,
            request_id TEXT NOT NULL,
            occurred_at BIGINT NOT NULL,
            previous_hash TEXT NOT NULL,
            hash TEXT NOT NULL,
            dispatched BIGINT NOT NULL DEFAULT 0,
            sealed BIGINT NOT NULL DEFAULT 0)
        """,
        "CREATE INDEX IF NOT EXISTS journal_stream ON journal (stream_id, seq)",
        "CREATE INDEX IF NOT EXISTS journal_dispatched ON journal (dispatched, occurred_at)",
    ),
)

EVENTS: Final = Migration(
    number=3,
    name="events",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS handlers (
            handler TEXT NOT NULL PRIMARY KEY,
            event TEXT NOT NULL)
        """,
        """
        CREATE TABLE IF NOT EXISTS deliveries (
            delivery_id TEXT NOT NULL PRIMARY KEY,
            entry_id TEXT NOT NULL,
            stream_id TEXT NOT NULL,
            seq BIGINT NOT NULL,
            handler TEXT NOT NULL,
            state TEXT NOT NULL,
            nonce TEXT NOT NULL,
            lease_until BIGINT NOT NULL,
            attempts BIGINT NOT NULL,
            next_run_at BIGINT NOT NULL,
            error TEXT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS deliveries_state ON deliveries (state, next_run_at)",
        "CREATE INDEX IF NOT EXISTS deliveries_stream ON deliveries (stream_id, handler, seq)",
        "CREATE INDEX IF NOT EXISTS deliveries_nonce ON deliveries (nonce)",
    ),
)

AUDIT: Final = Migration(
    number=4,
    name="audit",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS audit_log (
            position BIGINT NOT NULL PRIMARY KEY,
            entry_id TEXT NOT NULL UNIQUE,
            leaf_hash TEXT NOT NULL,
            merchant_id TEXT NOT NULL,
            stream_id TEXT NOT NULL,
            type TEXT NOT NULL,
            subject TEXT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS audit_log_merchant ON audit_log (merchant_id, position)",
        "CREATE INDEX IF NOT EXISTS audit_log_stream ON audit_log (stream_id, position)",
        "CREATE INDEX IF NOT EXISTS audit_log_type ON audit_log (type, position)",
        "CREATE INDEX IF NOT EXISTS audit_log_subject ON audit_log (subject, position)",
        """
        CREATE TABLE IF NOT EXISTS audit_nodes (
            node_id BIGINT NOT NULL PRIMARY KEY,
            hash TEXT NOT NULL)
        """,
        """
        CREATE TABLE IF NOT EXISTS tree_heads (
            tree_size BIGINT NOT NULL PRIMARY KEY,
            root_hash TEXT NOT NULL,
            signed_at BIGINT NOT NULL,
            note TEXT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS journal_sealed ON journal (sealed, occurred_at)",
    ),
)

RETENTION: Final = Migration(
    number=5,
    name="retention",
    statements=(
        "ALTER TABLE operations ADD COLUMN blanked BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX IF NOT EXISTS operations_blanked ON operations (blanked, finished_at)",
    ),
)

REVOCATIONS: Final = Migration(
    number=6,
    name="revocations",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS revocations (
            revocation_key TEXT NOT NULL PRIMARY KEY,
            revocation_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            value TEXT NOT NULL,
            reason TEXT NOT NULL,
            revoked_at BIGINT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS revocations_id ON revocations (revocation_id)",
    ),
)

MIGRATIONS: Final = (OPERATIONS, JOURNAL, EVENTS, AUDIT, RETENTION, REVOCATIONS)
