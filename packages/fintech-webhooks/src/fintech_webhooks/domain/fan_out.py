"""Fan-out: an event becomes one delivery per endpoint that wants it.

An event handler of the kernel's: called at least once for each entry, in order within a stream. Called
again it finds what stands, by key, and adds what is missing.
"""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Database, UniqueViolation
from fintech_kernel.clock import Clock
from fintech_kernel.domain.journal import Entry
from fintech_kernel.identifiers import Identifiers

from fintech_webhooks.domain.messages import Catalog, DeliveryState, delivery_to, message_of
from fintech_webhooks.domain.model import EndpointStatus, wants
from fintech_webhooks.infrastructure import delivery_queries, queries
from fintech_webhooks.infrastructure.delivery_queries import DeliveryRow
from fintech_webhooks.infrastructure.queries import EndpointRow

ATTEMPTS_MAX: Final = 100
"""Of one entry, an hour apart in the end: what fails here is our database, and no event is lost by it."""

STANDING: Final = (EndpointStatus.ENABLED.value, EndpointStatus.DISABLED.value)


class FanOut:
    """Makes deliveries. ``endpoints_max`` is how many endpoints a merchant has at most."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        catalog: Catalog,
        endpoints_max: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._catalog = catalog
        self._endpoints_read_max = 2 * endpoints_max
        """Creations that race can exceed the limit: all of theirs are served."""

    async def handle(self, entry: Entry) -> None:
        """Make the deliveries of an event; what is not declared public is nobody's."""
        event = self._catalog.find(entry.type)
        if event is None or not entry.merchant_id:
            return
        endpoints = await self._endpoints(entry)
        if not endpoints:
            return
        message = message_of(entry, event)
        now = self._clock.now_milliseconds()
        rows = [
            delivery_to(
                endpoint.endpoint_id,
                message,
                stream_id=entry.stream_id,
                seq=entry.seq,
                state=(
                    DeliveryState.PENDING
                    if endpoint.status == EndpointStatus.ENABLED.value
                    else DeliveryState.SKIPPED
                ),
                nonce=self._identifiers.nonce(),
                now=now,
            )
            for endpoint in endpoints
        ]
        try:
            await self._database.execute(delivery_queries.insert_message(message))
        except UniqueViolation:
            await self._insert_missing(rows)
            return
        try:
            await self._database.execute(delivery_queries.insert_deliveries(rows))
        except UniqueViolation:
            await self._insert_missing(rows)

    async def _endpoints(self, entry: Entry) -> list[EndpointRow]:
        """Return the endpoints that want an event; a disabled one gets it noted, for later."""
        found = await self._database.execute(
            queries.endpoints_page(
                entry.merchant_id, statuses=STANDING, before=None, limit=self._endpoints_read_max
            )
        )
        rows = (EndpointRow.from_row(row) for row in found.rows)
        return [row for row in rows if wants(row.events.split(), entry.type)]

    async def _insert_missing(self, rows: Sequence[DeliveryRow]) -> None:
        """Some may stand already (an earlier call, or our own lost reply): insert them singly."""
        for row in rows:
            try:
                await self._database.execute(delivery_queries.insert_deliveries([row]))
            except UniqueViolation:
                continue
