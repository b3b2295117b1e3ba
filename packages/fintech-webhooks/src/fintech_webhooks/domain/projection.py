"""An endpoint as its row: what sending and lists go by, and how it is shown.

The row is written behind a decision and before its operation finishes; so what was acknowledged counts for
every event and every attempt after it.
"""

from fintech_kernel.canonical import Json
from fintech_kernel.contracts.writes import Write

from fintech_webhooks.domain.model import Endpoint
from fintech_webhooks.infrastructure import queries
from fintech_webhooks.infrastructure.queries import EndpointRow


def endpoint_write(endpoint: Endpoint, seq: int) -> Write:
    """Return the write of an endpoint as it is at position ``seq`` of its stream."""
    row = endpoint_row(endpoint, seq)
    return Write(
        statement=queries.upsert_endpoint(row),
        confirm=queries.endpoint_by_id(row.merchant_id, row.endpoint_id),
        expected=(row.columns(),),
    )


def endpoint_row(endpoint: Endpoint, seq: int) -> EndpointRow:
    """Return an endpoint as its row."""
    return EndpointRow(
        endpoint_id=endpoint.endpoint_id,
        merchant_id=endpoint.merchant_id,
        url=endpoint.url,
        events=" ".join(endpoint.events),
        description=endpoint.description,
        status=endpoint.status.value,
        disabled_because=endpoint.disabled_because,
        secret_id=endpoint.secret_id,
        previous_secret_id=endpoint.previous_secret_id,
        previous_until=endpoint.previous_until,
        in_use_since=endpoint.in_use_since,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
        seq=seq,
    )


def endpoint_view(row: EndpointRow) -> dict[str, Json]:
    """Return an endpoint as JSON. Times are UTC milliseconds."""
    return {
        "endpoint_id": row.endpoint_id,
        "merchant_id": row.merchant_id,
        "url": row.url,
        "events": row.events.split(),
        "description": row.description,
        "status": row.status,
        "disabled_because": row.disabled_because or None,
        "secret_id": row.secret_id,
        "previous_secret_until": row.previous_until if row.previous_secret_id else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
