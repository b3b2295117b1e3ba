"""A key as its row: what authentication and lists read, and how it is shown.

The row is written behind a decision and before its operation finishes; so it is no read model that may
lag, but what is in force.
"""

from fintech_dbclient import Value
from fintech_kernel.canonical import Json
from fintech_kernel.contracts.writes import Write

from fintech_merchants.domain.keys import ApiKey, KeyStatus, status_at
from fintech_merchants.infrastructure import key_queries
from fintech_merchants.infrastructure.key_queries import KeyFilter, KeyRow


def key_write(key: ApiKey, seq: int) -> Write:
    """Return the write of a key as it is at position ``seq`` of its stream."""
    row = key_row(key, seq)
    return Write(
        statement=key_queries.upsert_key(row),
        confirm=key_queries.key_by_id(row.merchant_id, row.key_id),
        expected=(row.columns(),),
    )


def key_row(key: ApiKey, seq: int) -> KeyRow:
    """Return a key as its row."""
    return KeyRow(
        key_id=key.key_id,
        merchant_id=key.merchant_id,
        name=key.name,
        digest=key.digest,
        last_four=key.last_four,
        scopes=" ".join(key.scopes),
        status=key.status.value,
        revoked_because=key.revoked_because,
        rotated_from=key.rotated_from,
        rotated_to=key.rotated_to,
        expires_at=key.ends_at,
        created_at=key.created_at,
        updated_at=key.updated_at,
        seq=seq,
    )


def key_view(row: KeyRow, *, now: int) -> dict[str, Json]:
    """Return a key as JSON, as of a time. Times are UTC milliseconds."""
    status = status_at(KeyStatus(row.status), row.expires_at, now)
    return {
        "key_id": row.key_id,
        "merchant_id": row.merchant_id,
        "name": row.name,
        "last_four": row.last_four,
        "scopes": row.scopes.split(),
        "status": status.value,
        "revoked_because": row.revoked_because or None,
        "rotated_from": row.rotated_from or None,
        "rotated_to": row.rotated_to or None,
        "expires_at": row.expires_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def used_key_view(row: KeyRow, last_used_at: Value, *, now: int) -> dict[str, Json]:
    """Return a key as JSON, and when it was last used, as far as that was written down."""
    return {**key_view(row, now=now), "last_used_at": last_used_at}


def filter_of(status: KeyStatus, now: int) -> KeyFilter:
    """Return which stored rows have a status at a time; the inverse of ``status_at``."""
    match status:
        case KeyStatus.REVOKED:
            return KeyFilter(statuses=(status.value,))
        case KeyStatus.EXPIRED:
            living = (KeyStatus.ACTIVE.value, KeyStatus.EXPIRING.value)
            return KeyFilter(statuses=living, expires_until=now)
        case KeyStatus.ACTIVE | KeyStatus.EXPIRING:
            return KeyFilter(statuses=(status.value,), expires_after=now)
