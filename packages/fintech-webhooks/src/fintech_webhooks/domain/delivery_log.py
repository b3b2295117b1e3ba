"""The delivery log: what was sent whither, and what came of each attempt."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Database
from fintech_kernel.canonical import Json
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import NotFound

from fintech_webhooks.domain.messages import DeliveryState
from fintech_webhooks.domain.ownership import check_merchant
from fintech_webhooks.infrastructure import delivery_queries
from fintech_webhooks.infrastructure.delivery_queries import AttemptRow, DeliveryRow, MessageRow

ATTEMPTS_SHOWN_MAX: Final = 200


class DeliveryLog:
    """Reads deliveries."""

    def __init__(self, *, database: Database, merchants: MerchantDirectory | None) -> None:
        self._database = database
        self._merchants = merchants

    async def get(self, merchant_id: str, delivery_id: str, *, actor: Actor) -> Mapping[str, Any]:
        """Return a delivery with its body and attempts, as a view.

        Raises:
            NotFound: there is no such delivery for this principal.
        """
        if not actor.may_see(merchant_id):
            raise NotFound
        found, attempts = await self._database.run(
            [
                delivery_queries.delivery_by_id(merchant_id, delivery_id),
                delivery_queries.attempts_of_delivery(
                    merchant_id, delivery_id, limit=ATTEMPTS_SHOWN_MAX
                ),
            ]
        )
        if not found.unwrap().rows:
            raise NotFound
        row = DeliveryRow.from_row(found.unwrap().rows[0])
        message = await self._database.execute(
            delivery_queries.message_by_id(merchant_id, row.message_id)
        )
        return {
            **delivery_view(row),
            "body": MessageRow.from_row(message.rows[0]).body,
            "attempt_log": [
                _attempt_view(AttemptRow.from_row(one)) for one in attempts.unwrap().rows
            ],
        }

    async def page(
        self,
        merchant_id: str,
        *,
        actor: Actor,
        endpoint_id: str | None,
        state: DeliveryState | None,
        before: str | None,
        limit: int,
    ) -> Sequence[Mapping[str, Any]]:
        """Return a merchant's deliveries newest first, as views.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await check_merchant(self._merchants, merchant_id, actor)
        found = await self._database.execute(
            delivery_queries.deliveries_page(
                merchant_id,
                endpoint_id=endpoint_id,
                state=state.value if state else None,
                before=before,
                limit=limit,
            )
        )
        return [delivery_view(DeliveryRow.from_row(row)) for row in found.rows]


def delivery_view(row: DeliveryRow) -> dict[str, Json]:
    """Return a delivery as JSON. Times are UTC milliseconds."""
    is_pending = row.state == DeliveryState.PENDING.value
    return {
        "delivery_id": row.delivery_id,
        "merchant_id": row.merchant_id,
        "endpoint_id": row.endpoint_id,
        "message_id": row.message_id,
        "type": row.type,
        "object_id": row.stream_id.partition("/")[2],
        "sequence": row.seq,
        "repeats": row.repeats or None,
        "status": row.state,
        "attempts": row.attempts,
        "last_response_status": row.last_status or None,
        "last_error": row.last_error or None,
        "next_attempt_at": row.next_run_at if is_pending else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _attempt_view(row: AttemptRow) -> dict[str, Json]:
    return {
        "number": row.number,
        "started_at": row.started_at,
        "duration_milliseconds": row.duration_milliseconds,
        "response_status": row.status or None,
        "error": row.error or None,
        "succeeded": bool(row.succeeded),
    }
