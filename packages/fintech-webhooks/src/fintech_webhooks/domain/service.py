"""Endpoints: what merchants ask for, with every input of a decision read before the claim and frozen.

How operations run is told in ``workflows``; how messages reach endpoints in ``fan_out`` and ``courier``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fintech_dbclient import Database
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.actors import Actor, job_actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import InvalidRequest, NotFound
from fintech_kernel.identifiers import Identifiers

from fintech_webhooks.domain.commands import (
    ChangeEndpoint,
    CreateEndpoint,
    DisableEndpoint,
    EnableEndpoint,
    Redeliver,
    RemoveEndpoint,
    Repeated,
    RotateSecret,
    SendPing,
    UpdateEndpoint,
)
from fintech_webhooks.domain.egress import EgressPolicy, UrlRefused
from fintech_webhooks.domain.events import DisableReason
from fintech_webhooks.domain.messages import ENDED, Catalog, DeliveryState
from fintech_webhooks.domain.model import EndpointStatus, wants
from fintech_webhooks.domain.ownership import check_merchant
from fintech_webhooks.domain.projection import endpoint_view
from fintech_webhooks.domain.secrets import DrawnSecret, SigningSecrets
from fintech_webhooks.infrastructure import delivery_queries, queries
from fintech_webhooks.infrastructure.delivery_queries import DeliveryRow
from fintech_webhooks.infrastructure.queries import EndpointRow

CREATE: Final = "webhooks.create"
UPDATE: Final = "webhooks.update"
ROTATE: Final = "webhooks.rotate_secret"
ENABLE: Final = "webhooks.enable"
DISABLE: Final = "webhooks.disable"
REMOVE: Final = "webhooks.remove"
SEND_PING: Final = "webhooks.ping"
REDELIVER: Final = "webhooks.redeliver"

ENDPOINT_PREFIX: Final = "whe"
PING_PREFIX: Final = "whp"
REDELIVERY_PREFIX: Final = "whr"

REDELIVERIES_MAX: Final = 200
"""Deliveries that one request makes again; whoever wants more asks again from the last one's time."""

_ACTOR: Final = job_actor("webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The outcome of an operation that took a secret; ``secret`` only where this request's stands."""

    answer: Answer
    secret: str | None = field(repr=False)


class Webhooks:
    """The use cases of endpoints."""

    def __init__(
        self,
        *,
        operations: Operations,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        secrets: SigningSecrets,
        policy: EgressPolicy,
        catalog: Catalog,
        merchants: MerchantDirectory | None,
        endpoints_max: int,
    ) -> None:
        self._operations = operations
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._secrets = secrets
        self._policy = policy
        self._catalog = catalog
        self._merchants = merchants
        self._endpoints_max = endpoints_max

    @property
    def catalog(self) -> Catalog:
        """The events that merchants are told of."""
        return self._catalog

    async def create(
        self,
        merchant_id: str,
        *,
        url: str,
        events: Sequence[str],
        description: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Issued:
        """Make an endpoint.

        Raises:
            NotFound: there is no such merchant for this principal.
            InvalidRequest: a URL that is not called, or events that nobody declares.
        """
        await check_merchant(self._merchants, merchant_id, actor)
        self._check_url(url)
        self._check_events(events)
        drawn = self._secrets.draw(merchant_id)
        command = CreateEndpoint(
            merchant_id=merchant_id,
            endpoint_id=self._identifiers.new(ENDPOINT_PREFIX),
            url=url,
            events=tuple(events),
            description=description,
            secret=drawn.sealed,
            endpoints_standing=await self._count(merchant_id),
            endpoints_max=self._endpoints_max,
            requested_at=self._clock.now_milliseconds(),
        )
        return _issued(await self._run(CREATE, command, actor, call), drawn)

    async def update(
        self,
        merchant_id: str,
        endpoint_id: str,
        *,
        url: str | None,
        events: Sequence[str] | None,
        description: str | None,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Change what is not None; from the answer on it counts for events and attempts alike.

        Raises:
            NotFound: there is no such endpoint for this principal.
            InvalidRequest: as ``create``.
        """
        await self._endpoint(merchant_id, endpoint_id, actor)
        if url is not None:
            self._check_url(url)
        if events is not None:
            self._check_events(events)
        command = UpdateEndpoint(
            merchant_id=merchant_id,
            endpoint_id=endpoint_id,
            url=url,
            events=None if events is None else tuple(events),
            description=description,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(UPDATE, command, actor, call)

    async def rotate_secret(
        self,
        merchant_id: str,
        endpoint_id: str,
        *,
        overlap_seconds: int,
        actor: Actor,
        call: IdempotentCall,
    ) -> Issued:
        """Sign with a new secret; the one before signs beside it for a while.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        await self._endpoint(merchant_id, endpoint_id, actor)
        drawn = self._secrets.draw(merchant_id)
        command = RotateSecret(
            merchant_id=merchant_id,
            endpoint_id=endpoint_id,
            secret=drawn.sealed,
            overlap_milliseconds=overlap_seconds * MILLISECONDS_PER_SECOND,
            requested_at=self._clock.now_milliseconds(),
        )
        return _issued(await self._run(ROTATE, command, actor, call), drawn)

    async def enable(
        self, merchant_id: str, endpoint_id: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Send to an endpoint again; what it missed is sent on request.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        await self._endpoint(merchant_id, endpoint_id, actor)
        command = EnableEndpoint(
            merchant_id=merchant_id,
            endpoint_id=endpoint_id,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(ENABLE, command, actor, call)

    async def disable(
        self, merchant_id: str, endpoint_id: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Send nothing to an endpoint until it is enabled.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        await self._endpoint(merchant_id, endpoint_id, actor)
        command = DisableEndpoint(
            merchant_id=merchant_id,
            endpoint_id=endpoint_id,
            reason=DisableReason.REQUESTED,
            in_use_since=None,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(DISABLE, command, actor, call)

    async def disable_failing(self, endpoint: EndpointRow, reason: DisableReason) -> None:
        """Disable an endpoint as it was seen to fail: once, whichever process sees it.

        Raises:
            TryAgainLater: whether it happened is not known yet.
        """
        command = DisableEndpoint(
            merchant_id=endpoint.merchant_id,
            endpoint_id=endpoint.endpoint_id,
            reason=reason,
            in_use_since=endpoint.in_use_since,
            requested_at=self._clock.now_milliseconds(),
        )
        await self._operations.run(
            OperationCall(
                kind=DISABLE,
                merchant_id=endpoint.merchant_id,
                actor=_ACTOR,
                key=f"webhooks:{reason}:{endpoint.endpoint_id}:{endpoint.in_use_since}",
                command=to_json(command),
            )
        )

    async def remove(
        self, merchant_id: str, endpoint_id: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Give an endpoint up for ever.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        await self._endpoint(merchant_id, endpoint_id, actor)
        command = RemoveEndpoint(
            merchant_id=merchant_id,
            endpoint_id=endpoint_id,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(REMOVE, command, actor, call)

    async def ping(
        self, merchant_id: str, endpoint_id: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Send a test message, once, to an endpoint that may be disabled.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        endpoint = await self._endpoint(merchant_id, endpoint_id, actor)
        command = SendPing(
            merchant_id=merchant_id,
            endpoint_id=endpoint_id,
            endpoint_status=endpoint.status,
            ping_id=self._identifiers.new(PING_PREFIX),
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(SEND_PING, command, actor, call)

    async def redeliver(
        self, merchant_id: str, delivery_id: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Make one delivery again, with the same message.

        Raises:
            NotFound: there is no such delivery for this principal.
        """
        if not actor.may_see(merchant_id):
            raise NotFound
        found = await self._database.execute(
            delivery_queries.delivery_by_id(merchant_id, delivery_id)
        )
        if not found.rows:
            raise NotFound
        row = DeliveryRow.from_row(found.rows[0])
        endpoint = await self._endpoint(merchant_id, row.endpoint_id, actor)
        under_way = row.state == DeliveryState.PENDING.value
        return await self._redeliver(
            endpoint, [row], under_way=under_way, more=False, actor=actor, call=call
        )

    async def redeliver_since(
        self,
        merchant_id: str,
        endpoint_id: str,
        *,
        since: int,
        state: DeliveryState | None,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Make deliveries of events from a time on again, each message once, oldest first.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        endpoint = await self._endpoint(merchant_id, endpoint_id, actor)
        states = ENDED if state is None else (state,)
        found = await self._database.execute(
            delivery_queries.deliveries_since(
                merchant_id,
                endpoint_id,
                since=since,
                states=[one.value for one in states],
                limit=REDELIVERIES_MAX + 1,
            )
        )
        rows = [DeliveryRow.from_row(row) for row in found.rows]
        once = {row.message_id: row for row in rows[:REDELIVERIES_MAX]}
        return await self._redeliver(
            endpoint,
            list(once.values()),
            under_way=False,
            more=len(rows) > REDELIVERIES_MAX,
            actor=actor,
            call=call,
        )

    async def get(self, merchant_id: str, endpoint_id: str, *, actor: Actor) -> Mapping[str, Any]:
        """Return an endpoint as a view.

        Raises:
            NotFound: there is no such endpoint for this principal.
        """
        return endpoint_view(await self._endpoint(merchant_id, endpoint_id, actor))

    async def page(
        self,
        merchant_id: str,
        *,
        actor: Actor,
        status: EndpointStatus | None,
        before: str | None,
        limit: int,
    ) -> Sequence[Mapping[str, Any]]:
        """Return a merchant's endpoints newest first, as views.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await check_merchant(self._merchants, merchant_id, actor)
        statuses = list(EndpointStatus) if status is None else [status]
        found = await self._database.execute(
            queries.endpoints_page(
                merchant_id,
                statuses=[one.value for one in statuses],
                before=before,
                limit=limit,
            )
        )
        return [endpoint_view(EndpointRow.from_row(row)) for row in found.rows]

    async def _redeliver(
        self,
        endpoint: EndpointRow,
        rows: Sequence[DeliveryRow],
        *,
        under_way: bool,
        more: bool,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        command = Redeliver(
            merchant_id=endpoint.merchant_id,
            endpoint_id=endpoint.endpoint_id,
            endpoint_status=endpoint.status,
            redelivery_id=self._identifiers.new(REDELIVERY_PREFIX),
            deliveries=tuple(
                Repeated(
                    delivery_id=row.delivery_id,
                    message_id=row.message_id,
                    stream_id=row.stream_id,
                    seq=row.seq,
                    type=row.type,
                )
                for row in rows
            ),
            under_way=under_way,
            more=more,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(REDELIVER, command, actor, call)

    async def _endpoint(self, merchant_id: str, endpoint_id: str, actor: Actor) -> EndpointRow:
        if not actor.may_see(merchant_id):
            raise NotFound
        found = await self._database.execute(queries.endpoint_by_id(merchant_id, endpoint_id))
        if not found.rows:
            raise NotFound
        return EndpointRow.from_row(found.rows[0])

    def _check_url(self, url: str) -> None:
        try:
            self._policy.destination(url)
        except UrlRefused as refused:
            raise InvalidRequest("/url", refused.rule) from None

    def _check_events(self, events: Sequence[str]) -> None:
        names = [event.name for event in self._catalog.events]
        for index, one in enumerate(events):
            if not any(wants([one], name) for name in names):
                raise InvalidRequest(
                    f"/events/{index}",
                    "must be an event of GET /v1/webhooks/event-types, or a family such as payment.*",
                )

    async def _count(self, merchant_id: str) -> int:
        found = await self._database.execute(
            queries.endpoints_counted(merchant_id, removed=EndpointStatus.REMOVED.value)
        )
        return int(str(found.rows[0]["counted"]))

    async def _run(
        self,
        kind: str,
        command: CreateEndpoint | ChangeEndpoint | SendPing | Redeliver,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=command.merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )


def _issued(answer: Answer, drawn: DrawnSecret) -> Issued:
    """Hand the secret over where the one that stands is of this very request's draw."""
    is_ours = answer.result.get("secret_id") == drawn.sealed.secret_id
    return Issued(answer=answer, secret=drawn.secret if is_ours else None)
