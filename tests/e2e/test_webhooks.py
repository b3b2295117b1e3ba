"""The server as a process, and a merchant's server written with the official verifier of webhooks."""

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

FOLDER = "data"
DELIVERED_SECONDS_MAX = 90.0
EVENTS = (
    "payment.created", "payment.authorized", "payment.captured", "payment.refund_requested",
    "payment.refund_succeeded",
)  # fmt: skip
"""What a payment that is refunded tells, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Shop:
    """A merchant's server. It takes what its secret verifies, once, and answers its first request 503."""

    secret: str = ""
    requests: int = 0
    taken: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    refused: list[Message] = field(default_factory=list)

    def take(self, message: Message) -> int:
        self.requests += 1
        if self.requests == 1:
            return 503
        try:
            told = Webhook(self.secret).verify(message.body, message.headers)
        except (WebhookVerificationError, ValueError):
            self.refused.append(message)
            return 400
        self.messages.append(message)
        self.taken.setdefault(message.headers["webhook-id"], told)
        return 204


@pytest.fixture
def shop() -> Iterator[tuple[Shop, str]]:
    """The merchant's server and its URL."""
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            self.send_response(shop.take(Message(headers=headers, body=body)))
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield shop, f"http://127.0.0.1:{server.server_address[1]}/hooks"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(slots=True, kw_only=True)
class Api:
    client: httpx.Client
    merchant_id: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
        assert answer.is_success, answer.text
        return answer.json()

    def deliveries(self, count: int) -> list[dict[str, Any]]:
        """Return the whole log once so many deliveries are there and none is under way any more."""
        give_up_at = time.monotonic() + DELIVERED_SECONDS_MAX
        while True:
            path = f"/v1/webhooks/{self.merchant_id}/deliveries?limit=200"
            found = self.client.get(path).json()["data"]
            if len(found) >= count and all(one["status"] != "pending" for one in found):
                return found
            assert time.monotonic() < give_up_at, [one["last_error"] for one in found]
            time.sleep(0.2)

    def sold_and_refunded(self) -> str:
        paid = self.post(
            "/v1/payments",
            {
                "merchant_id": self.merchant_id,
                "amount": 10_000,
                "currency": "KES",
                "payment_method": {"type": "card", "token": "sandbox_approve"},
            },
        )
        amount = {"amount": 3_000, "currency": "KES"}
        self.post(f"/v1/payments/{paid['payment_id']}/refunds", {"amount": amount})
        return paid["payment_id"]


@pytest.fixture
def api(fintech: Any) -> Iterator[Api]:
    fintech.environment["WEBHOOKS_ALLOW_LOOPBACK"] = "true"
    server = fintech.start("dev", "--port", "0", "--data-folder", FOLDER)
    merchant_id = server.line_with("Merchant mer_").strip().removesuffix(":").rpartition(" ")[2]
    token = fintech.run("token", "--role", "platform_admin", "--data-folder", FOLDER).stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
        yield Api(client=client, merchant_id=merchant_id)


def told_of(shop: Shop, payment_id: str) -> list[tuple[str, int]]:
    """Return what the shop was told of a payment, as it first came."""
    data = [(one["type"], one["data"]) for one in shop.taken.values()]
    return [(kind, one["sequence"]) for kind, one in data if one.get("object_id") == payment_id]


def test_the_official_verifier_accepts_every_delivery_after_a_rotation_too_and_nothing_tampered(
    api: Api, shop: tuple[Shop, str]
) -> None:
    receiver, url = shop
    endpoints = f"/v1/webhooks/{api.merchant_id}/endpoints"
    made = api.post(endpoints, {"url": url, "events": ["payment.*"]})
    receiver.secret = made["secret"]

    first = api.sold_and_refunded()
    api.deliveries(len(EVENTS))
    before = len(receiver.messages)
    rotated = api.post(f"{endpoints}/{made['endpoint_id']}/rotate-secret", {})
    second = api.sold_and_refunded()  # the receiver still knows the old secret
    api.deliveries(2 * len(EVENTS))
    receiver.secret = rotated["secret"]
    third = api.sold_and_refunded()
    log = api.deliveries(3 * len(EVENTS))

    assert {one["status"] for one in log} == {"delivered"}
    assert receiver.refused == []
    assert {one["message_id"] for one in log} == receiver.taken.keys()
    for payment_id in (first, second, third):
        told = told_of(receiver, payment_id)
        assert tuple(kind for kind, _ in told) == EVENTS
        assert [sequence for _, sequence in told] == sorted(sequence for _, sequence in told)
    assert max(one["attempts"] for one in log) == 2, "the first request was refused, and made again"
    for index, message in enumerate(receiver.messages):
        secrets = [made["secret"]] if index < before else [made["secret"], rotated["secret"]]
        for secret in secrets:
            assert Webhook(secret).verify(message.body, message.headers)
            assert all(is_refused(one, secret) for one in tampered(message))


def tampered(message: Message) -> Iterator[Message]:
    """Yield a message changed in each way that matters."""
    yield Message(headers=message.headers, body=message.body.replace(b"10000", b"90000") + b" ")
    signature = message.headers["webhook-signature"]
    moved = str(int(message.headers["webhook-timestamp"]) + 1)
    for name, value in (
        ("webhook-id", message.headers["webhook-id"] + "0"),
        ("webhook-timestamp", moved),
        ("webhook-signature", signature.replace("v1,", "v2,")),
        ("webhook-signature", signature.replace(",", ",A")),
        ("webhook-signature", signature.replace("v1,", "")),
        ("webhook-signature", ""),
    ):
        yield Message(headers={**message.headers, name: value}, body=message.body)


def is_refused(message: Message, secret: str) -> bool:
    try:
        Webhook(secret).verify(message.body, message.headers)
    except (WebhookVerificationError, ValueError):
        return True
    return False
