"""The tables of webhooks: endpoints, their sealed secrets, messages, deliveries, attempts.

The truth about an endpoint is its stream; its row is written before an operation on it ends, so that
sending can go by it. Messages, deliveries and attempts are written once by keys that follow from the event
and the endpoint. Nothing is deleted.
"""

from typing import Final

from fintech_dbclient import Migration

WEBHOOKS: Final = Migration(
    number=1,
    name="webhooks",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS webhooks_endpoints (
            endpoint_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            url TEXT NOT NULL,
            events TEXT NOT NULL,
            description TEXT NOT NULL,
            status TEXT NOT NULL,
            disabled_because TEXT NOT NULL,
            secret_id TEXT NOT NULL,
            previous_secret_id TEXT NOT NULL,
            previous_until BIGINT NOT NULL,
            in_use_since BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            seq BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS webhooks_endpoints_merchant
            ON webhooks_endpoints (merchant_id, endpoint_id)
        """,
        """
        CREATE TABLE IF NOT EXISTS webhooks_secrets (
            secret_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            endpoint_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            sealed TEXT NOT NULL,
            created_at BIGINT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS webhooks_secrets_key ON webhooks_secrets (key_id, secret_id)",
        """
        CREATE TABLE IF NOT EXISTS webhooks_messages (
            message_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            type TEXT NOT NULL,
            body TEXT NOT NULL,
            created_at BIGINT NOT NULL)
        """,
        """
        CREATE TABLE IF NOT EXISTS webhooks_deliveries (
            delivery_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            endpoint_id TEXT NOT NULL,
            message_id TEXT NOT NULL,
            stream_id TEXT NOT NULL,
            seq BIGINT NOT NULL,
            type TEXT NOT NULL,
            repeats TEXT NOT NULL,
            state TEXT NOT NULL,
            nonce TEXT NOT NULL,
            lease_until BIGINT NOT NULL,
            attempts BIGINT NOT NULL,
            next_run_at BIGINT NOT NULL,
            last_status BIGINT NOT NULL,
            last_error TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS webhooks_deliveries_due ON webhooks_deliveries (state, next_run_at)",
        """
        CREATE INDEX IF NOT EXISTS webhooks_deliveries_endpoint
            ON webhooks_deliveries (endpoint_id, state, next_run_at)
        """,
        """
        CREATE INDEX IF NOT EXISTS webhooks_deliveries_object
            ON webhooks_deliveries (endpoint_id, stream_id, seq)
        """,
        """
        CREATE INDEX IF NOT EXISTS webhooks_deliveries_log
            ON webhooks_deliveries (merchant_id, delivery_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS webhooks_deliveries_time
            ON webhooks_deliveries (endpoint_id, created_at, delivery_id)
        """,
        "CREATE INDEX IF NOT EXISTS webhooks_deliveries_nonce ON webhooks_deliveries (nonce)",
        """
        CREATE TABLE IF NOT EXISTS webhooks_attempts (
            attempt_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            endpoint_id TEXT NOT NULL,
            delivery_id TEXT NOT NULL,
            number BIGINT NOT NULL,
            started_at BIGINT NOT NULL,
            duration_milliseconds BIGINT NOT NULL,
            status BIGINT NOT NULL,
            error TEXT NOT NULL,
            succeeded BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS webhooks_attempts_endpoint
            ON webhooks_attempts (endpoint_id, started_at)
        """,
        """
        CREATE INDEX IF NOT EXISTS webhooks_attempts_delivery
            ON webhooks_attempts (delivery_id, number)
        """,
    ),
)

MIGRATIONS: Final = (WEBHOOKS,)
