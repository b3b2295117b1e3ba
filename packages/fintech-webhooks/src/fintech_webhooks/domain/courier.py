"""The courier: a job that sends what is due, any number of processes at once.

A delivery is leased by nonce, sent, and settled. Endpoints have slots of their own, and none waits for
another: while a slow one keeps its slots, the pass goes on looking for what is due elsewhere. A process
that dies leaves a lease that ends, and the delivery is sent again: at least once, under the same id.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from random import Random
from typing import Final, Protocol

from fintech_dbclient import Database, DatabaseError
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.errors import TryAgainLater
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.security.sealed_fields import SealingKeyUnknown
from loguru import logger

from fintech_webhooks.domain.egress import EgressPolicy, UrlRefused
from fintech_webhooks.domain.events import DisableReason
from fintech_webhooks.domain.messages import PING_SEQ, DeliveryState
from fintech_webhooks.domain.model import EndpointStatus
from fintech_webhooks.domain.secrets import SigningSecrets
from fintech_webhooks.domain.service import Webhooks
from fintech_webhooks.domain.signing import signed_headers
from fintech_webhooks.infrastructure import delivery_queries, queries
from fintech_webhooks.infrastructure.delivery_queries import AttemptRow, DeliveryRow, MessageRow
from fintech_webhooks.infrastructure.http_sender import ADDRESS_REFUSED, Destination, Reply
from fintech_webhooks.infrastructure.queries import EndpointRow, SecretRow

PASS_SECONDS: Final = 30.0
"""How long one run of the job looks for more before it ends with what is under way."""

POLL_SECONDS: Final = 0.25
"""Pause between looks while something is under way."""

ENDPOINTS_READ_MAX: Final = 200
"""Endpoints with something due that one look asks; the next look goes on behind them."""

LEASE_MARGIN_SECONDS: Final = 10.0
"""A lease is the longest that an attempt takes, and this for what is written around it."""

JITTER_SHARE: Final = 0.1
"""By how much of itself a pause of the schedule is prolonged at most, so that retries spread."""

GONE: Final = 410
USER_AGENT: Final = "fintech-webhooks/1"


class MessageSender(Protocol):
    """Carries a message to a destination: what a simulation puts a model in place of."""

    async def send(
        self, destination: Destination, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """POST a body; whatever the network does is a reply with an error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How persistently and how broadly is sent.

    Attributes:
        retry_seconds: pauses after the first attempt, the second, ...; after the last the delivery fails.
        failures_max: failed attempts in a row, judged when a delivery fails, that disable an endpoint.
        attempt_seconds: the longest that the sender takes.
        concurrency: attempts of one process at once.
        per_endpoint: of these, to one endpoint.
    """

    retry_seconds: tuple[int, ...]
    failures_max: int
    attempt_seconds: float
    concurrency: int
    per_endpoint: int

    def pause_milliseconds(self, attempts: int, jitter: Random) -> int | None:
        """Return how long to wait after so many attempts; None after the last."""
        if attempts > len(self.retry_seconds):
            return None
        seconds = self.retry_seconds[attempts - 1] * (1 + jitter.uniform(0, JITTER_SHARE))
        return int(seconds * MILLISECONDS_PER_SECOND)


@dataclass(slots=True)
class _Pass:
    """What one run of the job has under way: tasks by delivery, and how many each endpoint has."""

    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict[str, "asyncio.Task[None]"])
    endpoints: dict[str, str] = field(default_factory=dict[str, str])
    behind: str = ""

    def forget_ended(self) -> None:
        """Give slots of what has ended back."""
        for delivery_id in [one for one, task in self.tasks.items() if task.done()]:
            del self.tasks[delivery_id], self.endpoints[delivery_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A delivery that is ours for the time of a lease, with what it takes to send it."""

    delivery: DeliveryRow
    endpoint: EndpointRow
    message: MessageRow
    secrets: Sequence[SecretRow]

    @property
    def is_ping(self) -> bool:
        """Whether it is a test message."""
        return self.delivery.seq == PING_SEQ


class Courier:
    """Sends deliveries."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        jitter: Random,
        secrets: SigningSecrets,
        sender: MessageSender,
        policy: EgressPolicy,
        webhooks: Webhooks,
        pace: Pace,
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._jitter = jitter
        self._secrets = secrets
        self._sender = sender
        self._policy = policy
        self._webhooks = webhooks
        self._pace = pace

    async def run(self) -> None:
        """Send until nothing is due and nothing is under way, or the pass is over (a job)."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + PASS_SECONDS
        under_way = _Pass()
        async with asyncio.TaskGroup() as group:
            while loop.time() < ends_at:
                try:
                    due = await self._due(under_way)
                except DatabaseError as error:
                    logger.warning("webhooks not looked for", reason=type(error).__name__)
                    return  # what is under way ends; the next run looks again
                for row in due:
                    task = group.create_task(self._deliver(row))
                    under_way.tasks[row.delivery_id] = task
                    under_way.endpoints[row.delivery_id] = row.endpoint_id
                if not under_way.tasks:
                    return
                await asyncio.wait(under_way.tasks.values(), timeout=POLL_SECONDS)
                under_way.forget_ended()

    async def _due(self, under_way: _Pass) -> list[DeliveryRow]:
        """Return what to send next: a fair share of every endpoint that has free slots."""
        free = self._pace.concurrency - len(under_way.tasks)
        if free <= 0:
            return []
        now = self._clock.now_milliseconds()
        waiting = await self._database.execute(
            delivery_queries.due_endpoints(
                now=now, after=under_way.behind, limit=ENDPOINTS_READ_MAX
            )
        )
        is_full = len(waiting.rows) == ENDPOINTS_READ_MAX
        under_way.behind = str(waiting.rows[-1]["endpoint_id"]) if is_full else ""
        busy = Counter(under_way.endpoints.values())
        asked = [
            delivery_queries.due_deliveries(
                str(row["merchant_id"]),
                str(row["endpoint_id"]),
                now=now,
                limit=self._pace.per_endpoint,
            )
            for row in waiting.rows
            if busy[str(row["endpoint_id"])] < self._pace.per_endpoint
        ]
        found = await self._database.run(asked) if asked else []
        turns = zip_longest(*(self._startable(one.unwrap().rows, under_way) for one in found))
        fair = [row for turn in turns for row in turn if row is not None]
        return fair[:free]

    def _startable(
        self, rows: Sequence[Mapping[str, object]], under_way: _Pass
    ) -> list[DeliveryRow]:
        """Return an endpoint's deliveries that are not under way here, as many as it has free slots."""
        decoded = [DeliveryRow.from_row(row) for row in rows]  # pyright: ignore[reportArgumentType] - a result's rows are rows
        if not decoded:
            return []
        busy = Counter(under_way.endpoints.values())[decoded[0].endpoint_id]
        waiting = [row for row in decoded if row.delivery_id not in under_way.tasks]
        return waiting[: self._pace.per_endpoint - busy]

    async def _deliver(self, row: DeliveryRow) -> None:
        """Make one attempt; where it cannot be recorded the lease ends and it is made again."""
        try:
            taken = await self._take(row)
            if taken is not None:
                await self._attempt(taken)
        except SealingKeyUnknown as unknown:
            logger.error(
                "a webhook's secret does not open: add the key to APP_SECRETS_PREVIOUS",
                reason=unknown.key_id,
                alarm=True,
            )
        except (DatabaseError, TryAgainLater) as error:
            logger.warning("webhook attempt not recorded", reason=type(error).__name__)

    async def _take(self, row: DeliveryRow) -> _Taken | None:
        """Lease a delivery and read what it takes to send it; None where another was faster."""
        nonce = self._identifiers.nonce()
        lease = self._pace.attempt_seconds + LEASE_MARGIN_SECONDS
        until = self._clock.now_milliseconds() + int(lease * MILLISECONDS_PER_SECOND)
        _, read_back, endpoints, messages = await self._database.run(
            [
                delivery_queries.take_delivery(
                    row.merchant_id,
                    held_nonce=row.nonce,
                    nonce=nonce,
                    lease_until=until,
                    attempts=row.attempts + 1,
                ),
                delivery_queries.delivery_by_id(row.merchant_id, row.delivery_id),
                queries.endpoint_by_id(row.merchant_id, row.endpoint_id),
                delivery_queries.message_by_id(row.merchant_id, row.message_id),
            ]
        )
        delivery = DeliveryRow.from_row(read_back.unwrap().rows[0])
        if delivery.nonce != nonce:
            return None
        endpoint = EndpointRow.from_row(endpoints.unwrap().rows[0])
        kept = await self._database.execute(
            queries.secrets_by_id(row.merchant_id, endpoint.secret_id, endpoint.previous_secret_id)
        )
        return _Taken(
            delivery=delivery,
            endpoint=endpoint,
            message=MessageRow.from_row(messages.unwrap().rows[0]),
            secrets=[SecretRow.from_row(one) for one in kept.rows],
        )

    async def _attempt(self, taken: _Taken) -> None:
        status = taken.endpoint.status
        is_off = status != EndpointStatus.ENABLED.value and not taken.is_ping
        if is_off or status == EndpointStatus.REMOVED.value:
            await self._skip(taken)
            return
        started_at = self._clock.now_milliseconds()
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await self._sent(taken, started_at)
        took = int((loop.time() - began) * MILLISECONDS_PER_SECOND)
        await self._record(taken, reply, started_at=started_at, took=took)

    async def _sent(self, taken: _Taken, now: int) -> Reply:
        """Sign and send.

        Raises:
            SealingKeyUnknown: the secret does not open; that is our fault, and no attempt.
        """
        secrets = self._secrets.signing(taken.endpoint, taken.secrets, now=now)
        try:
            destination = self._policy.destination(taken.endpoint.url)
        except UrlRefused:
            return Reply(
                error=ADDRESS_REFUSED
            )  # it was taken once; the deployment's policy changed
        headers = signed_headers(
            secrets,
            message_id=taken.message.message_id,
            timestamp_seconds=now // MILLISECONDS_PER_SECOND,
            body=taken.message.body,
        )
        return await self._sender.send(
            destination,
            headers={"Content-Type": "application/json", "User-Agent": USER_AGENT, **headers},
            body=taken.message.body.encode(),
        )

    async def _record(self, taken: _Taken, reply: Reply, *, started_at: int, took: int) -> None:
        """Write down what came of an attempt, and what follows from it."""
        delivery = taken.delivery
        succeeded = _is_success(reply)
        attempt = delivery_queries.record_attempt(
            AttemptRow(
                attempt_id=f"{delivery.delivery_id}:{delivery.attempts}",
                merchant_id=delivery.merchant_id,
                endpoint_id=delivery.endpoint_id,
                delivery_id=delivery.delivery_id,
                number=delivery.attempts,
                started_at=started_at,
                duration_milliseconds=took,
                status=reply.status,
                error=reply.error,
                succeeded=int(succeeded),
            )
        )
        pause = self._pace.pause_milliseconds(delivery.attempts, self._jitter)
        if succeeded:
            settled = self._settled(delivery, DeliveryState.DELIVERED, reply)
        elif pause is None or taken.is_ping or reply.status == GONE:
            settled = self._settled(delivery, DeliveryState.FAILED, reply)
            await self._database.execute(attempt)
            await self._judge(taken, reply)
        else:
            settled = self._settled(delivery, DeliveryState.PENDING, reply, pause=pause)
        settle = delivery_queries.settle_delivery(settled, nonce=delivery.nonce)
        for result in await self._database.run([attempt, settle]):
            result.unwrap()

    def _settled(
        self, delivery: DeliveryRow, state: DeliveryState, reply: Reply, *, pause: int = 0
    ) -> DeliveryRow:
        now = self._clock.now_milliseconds()
        return replace(
            delivery,
            state=state.value,
            nonce=self._identifiers.nonce(),
            next_run_at=now + pause,
            last_status=reply.status,
            last_error=reply.error or ("" if _is_success(reply) else "not_accepted"),
            updated_at=now,
        )

    async def _judge(self, taken: _Taken, reply: Reply) -> None:
        """Disable an endpoint that says it is gone, or that took nothing for too long."""
        endpoint = taken.endpoint
        if endpoint.status != EndpointStatus.ENABLED.value:
            return
        if reply.status == GONE:
            await self._webhooks.disable_failing(endpoint, DisableReason.GONE)
            return
        if taken.is_ping:
            return
        latest = await self._database.execute(
            delivery_queries.last_attempts(
                endpoint.merchant_id,
                endpoint.endpoint_id,
                since=endpoint.in_use_since,
                limit=self._pace.failures_max,
            )
        )
        failed = [row for row in latest.rows if not row["succeeded"]]
        if len(failed) == self._pace.failures_max:
            await self._webhooks.disable_failing(endpoint, DisableReason.FAILING)

    async def _skip(self, taken: _Taken) -> None:
        """Give up what waits for an endpoint that is disabled or removed."""
        delivery = taken.delivery
        settled = self._settled(delivery, DeliveryState.SKIPPED, Reply(error="endpoint_disabled"))
        await self._database.run(
            [
                delivery_queries.settle_delivery(settled, nonce=delivery.nonce),
                delivery_queries.skip_deliveries(
                    delivery.merchant_id,
                    delivery.endpoint_id,
                    now=self._clock.now_milliseconds(),
                ),
            ]
        )


def _is_success(reply: Reply) -> bool:
    """A receiver takes a message with a 2xx; a redirection is none."""
    return 200 <= reply.status < 300  # noqa: PLR2004 - the classes of RFC 9110
