"""The world of these tests: webhooks and a small plugin whose events they tell, and receivers on loopback."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import Completion, Execution, Finished
from fintech_kernel.domain.journal import Draft
from fintech_kernel.domain.operations import OperationCall
from fintech_kernel.hooks import (
    OperationHandler,
    PluginManifest,
    Presented,
    PublicEvent,
    hookimpl,
)
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_webhooks import plugin
from fintech_webhooks.domain.courier import Courier

MERCHANT = "mer_test"
RETRIES = (5, 60, 600)
FAILURES_MAX = 4

_numbers = itertools.count()


def key() -> str:
    return f"key-{next(_numbers)}"


class Orders:
    """A plugin with events: ``order.placed`` tells its total, ``order.noted`` stays inside."""

    @hookimpl
    def fintech_plugins(self) -> Sequence[PluginManifest]:
        return [
            PluginManifest(
                name="orders", summary="test", table_prefix="orders_", route_prefix="/v1/orders"
            )
        ]

    @hookimpl
    def fintech_public_events(self) -> Sequence[PublicEvent]:
        return [PublicEvent(name="order.placed", summary="Placed.", fields=("total",))]

    @hookimpl
    def fintech_operations(self) -> Sequence[OperationHandler]:
        return [
            OperationHandler(
                name="orders.write",
                version=1,
                run=_write,
                present=lambda result: Presented(status=200, body=result),
            )
        ]


async def _write(execution: Execution) -> Finished:
    command = execution.command
    return await execution.conclude(
        stream=await execution.read_stream(command["merchant_id"], command["order_id"]),
        step="decide",
        decide=lambda _stream: [
            Draft(
                type=command["type"],
                data={"total": command["total"], "secret_note": "stays inside"},
            )
        ],
        complete=lambda appended: Completion(result={"seq": appended.entries[0].seq}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    path: str
    headers: dict[str, str]
    body: str


@dataclass(slots=True)
class Receiver:
    """A merchant's server. ``answer`` says the raw reply to each request; by default a bare 204."""

    received: list[Received] = field(default_factory=list)
    port: int = 0
    answer: Callable[[Received], Awaitable[bytes]] | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?shop=1"

    @property
    def types(self) -> list[str]:
        return [httpx.Response(200, text=one.body).json()["type"] for one in self.received]

    def answers(self, *statuses: int, then: int = 204) -> None:
        """Answer with these statuses in turn, and with ``then`` afterwards."""
        waiting = list(statuses)

        async def answer(_received: Received) -> bytes:
            return status_line(waiting.pop(0) if waiting else then)

        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            one = Received(path=head[0].split(" ")[1], headers=headers, body=body.decode())
            self.received.append(one)
            self.arrived.set()
            writer.write(await self.answer(one) if self.answer else status_line(204))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self.writers.discard(writer)
            writer.close()


def status_line(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", "Content-Length: 0", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.fixture
async def receivers(anyio_backend: str) -> AsyncIterator[Callable[[], Awaitable[Receiver]]]:
    """Start receivers; they end with the test."""
    servers: list[asyncio.Server] = []
    started: list[Receiver] = []

    async def start(ssl: Any = None) -> Receiver:
        receiver = Receiver()
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=ssl)
        receiver.port = server.sockets[0].getsockname()[1]
        servers.append(server)
        started.append(receiver)
        return receiver

    yield start
    for server in servers:
        server.close()
    for receiver in started:
        for writer in list(receiver.writers):
            writer.close()


@pytest.fixture
async def receiver(receivers: Callable[[], Awaitable[Receiver]]) -> Receiver:
    return await receivers()


@pytest.fixture
def clock() -> FrozenClock:
    """Stands at the real time: the official verifier refuses what is five minutes off."""
    return FrozenClock(time.time_ns() // 1_000_000)


@pytest.fixture
async def app(
    database_url: str, anyio_backend: str, clock: FrozenClock
) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin, Orders()],
        settings={
            "webhooks_allow_loopback": True,
            "webhooks_retry_seconds": RETRIES,
            "webhooks_failures_max": FAILURES_MAX,
            "webhooks_total_seconds": 20,
        },
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


@dataclass(slots=True, kw_only=True)
class Shop:
    """A merchant of one test, and what its staff and its customers do."""

    app: RunningApp
    merchant_id: str

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers = {
            **self.app.headers(merchant_id=self.merchant_id),
            **({"Idempotency-Key": more.pop("key", None) or key()} if method != "GET" else {}),
        }
        return await self.app.client.request(
            method, f"/v1/webhooks/{self.merchant_id}{path}", json=body, headers=headers, **more
        )

    async def endpoint(self, url: str, *events: str) -> dict[str, Any]:
        made = await self.ask(
            "POST", "/endpoints", {"url": url, "events": list(events or ("order.*",))}
        )
        assert made.status_code == 201, made.text
        return made.json()

    async def act(self, endpoint: dict[str, Any], action: str, body: Any = None) -> Any:
        answer = await self.ask(
            "POST", f"/endpoints/{endpoint['endpoint_id']}/{action}", body or {}
        )
        assert answer.is_success, answer.text
        return answer.json()

    async def shown(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        return (await self.ask("GET", f"/endpoints/{endpoint['endpoint_id']}")).json()

    async def deliveries(self, query: str = "") -> list[dict[str, Any]]:
        """Return the delivery log, oldest first."""
        return (await self.ask("GET", f"/deliveries{query}")).json()["data"][::-1]

    async def order(self, order_id: str = "ord_1", *, kind: str = "order.placed") -> None:
        """Let something happen to an order, and dispatch it."""
        await self.app.context.operations.run(
            OperationCall(
                kind="orders.write",
                merchant_id=self.merchant_id,
                actor=Actor(
                    subject="shop", roles=("merchant_admin",), merchant_id=self.merchant_id
                ),
                key=key(),
                command={
                    "merchant_id": self.merchant_id,
                    "order_id": order_id,
                    "type": kind,
                    "total": 1200,
                },
            )
        )
        await self.app.deliver_events()

    async def send(self) -> None:
        """Send what is due."""
        await self.app.context.services.get(Courier).run()


@pytest.fixture
def shop(app: RunningApp) -> Shop:
    return Shop(app=app, merchant_id=f"mer_{time.time_ns():x}")
