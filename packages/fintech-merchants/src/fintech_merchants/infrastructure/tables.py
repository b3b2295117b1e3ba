"""The tables of merchants: what lists are served from, sealed bank accounts, API keys.

The truth about a merchant or a key is its stream; a key's row is written before an operation on it ends, so
that authentication can go by it. Nothing is deleted: a pair of metadata counts while its version is
the merchant's, and a bank account stays when another takes its place.
"""

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

ONBOARDING: Final = Migration(
    number=2,
    name="onboarding",
    statements=(
        "ALTER TABLE merchants_merchants ADD COLUMN verification TEXT NOT NULL DEFAULT 'unverified'",
        "ALTER TABLE merchants_merchants ADD COLUMN metadata_version BIGINT NOT NULL DEFAULT 0",
        """
        CREATE INDEX IF NOT EXISTS merchants_merchants_verification
            ON merchants_merchants (verification, merchant_id)
        """,
        """
        CREATE INDEX IF NOT EXISTS merchants_merchants_created
            ON merchants_merchants (created_at, merchant_id)
        """,
        """
        CREATE TABLE IF NOT EXISTS merchants_currencies (
            currency_key TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            currency TEXT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS merchants_currencies_currency
            ON merchants_currencies (currency, merchant_id)
        """,
        """
        CREATE TABLE IF NOT EXISTS merchants_metadata (
            pair_key TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            version BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS merchants_metadata_pair
            ON merchants_metadata (name, value, merchant_id)
        """,
        """
        CREATE TABLE IF NOT EXISTS merchants_bank_accounts (
            account_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            country TEXT NOT NULL,
            bank_code TEXT NOT NULL,
            masked TEXT NOT NULL,
            key_id TEXT NOT NULL,
            sealed TEXT NOT NULL,
            created_at BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS merchants_bank_accounts_key
            ON merchants_bank_accounts (key_id, account_id)
        """,
    ),
)

API_KEYS: Final = Migration(
    number=3,
    name="api keys",
    statements=(
        """
        CREATE TABLE IF NOT EXISTS merchants_api_keys (
            key_id TEXT NOT NULL PRIMARY KEY,
            merchant_id TEXT NOT NULL,
            name TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            last_four TEXT NOT NULL,
            scopes TEXT NOT NULL,
            status TEXT NOT NULL,
            revoked_because TEXT NOT NULL,
            rotated_from TEXT NOT NULL,
            rotated_to TEXT NOT NULL,
            expires_at BIGINT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            last_used_at BIGINT,
            seq BIGINT NOT NULL)
        """,
        """
        CREATE INDEX IF NOT EXISTS merchants_api_keys_merchant
            ON merchants_api_keys (merchant_id, key_id)
        """,
    ),
)

MIGRATIONS: Final = (MERCHANTS, ONBOARDING, API_KEYS)
