"""Our application called in its own process, without sockets: for exact counts and CPU per payment."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fintech_dbclient import CallRecord, HttpDatabase
from fintech_kernel.web.app import Overrides
from starlette.types import Message

from rig import ours
from rig.principals import Merchant, onboarding, payment_body, token_of
from rig.shell import ShellDatabase

Headers = Sequence[tuple[bytes, bytes]]


async def ask(
    app: FastAPI, method: str, path: str, *, token: str, key: str = "", body: bytes = b""
) -> tuple[int, bytes]:
    """Send one request straight into an application; return status and body."""
    headers: Headers = (
        (b"host", b"bench"),
        (b"authorization", b"Bearer " + token.encode()),
        (b"idempotency-key", key.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    )
    raw, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw,
        "raw_path": raw.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [one for one in headers if one[1]],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    status = 0
    answer: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            answer.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(answer)


async def post(
    app: FastAPI, path: str, body: Mapping[str, Any], token: str, key: str
) -> dict[str, Any]:
    """Send a body; return the answer's.

    Raises:
        RuntimeError: it was refused.
    """
    sent = json.dumps(body).encode()
    status, answer = await ask(app, "POST", path, token=token, key=key, body=sent)
    if status not in {200, 201}:
        raise RuntimeError(f"{path}: {status} {answer.decode()}")
    found: dict[str, Any] = json.loads(answer)
    return found


@asynccontextmanager
async def running(
    database: str, *, from_memory: bool = False, jobs: bool = False
) -> AsyncGenerator[tuple[FastAPI, list[CallRecord]]]:
    """Run our application; every HTTP request that it sends to the database is noted."""
    calls: list[CallRecord] = []
    behind = ShellDatabase(HttpDatabase(database)) if from_memory else None
    overrides = Overrides(database=behind, on_database_call=calls.append)
    app = ours.build(database, overrides=overrides, app_jobs=jobs)
    async with app.router.lifespan_context(app):
        yield app, calls


async def onboard(app: FastAPI, run: str) -> Merchant:
    """Onboard one merchant."""
    staff = token_of("bench-admin", "platform_admin")
    merchant_id = ""
    for step, (path, body) in enumerate(onboarding(run)):
        answer = await post(app, path.format(merchant_id), body, staff, f"{run}-{step}")
        merchant_id = merchant_id or answer["merchant_id"]
    return Merchant(merchant_id, token_of("operator", "merchant_operator", merchant_id))


async def pay(app: FastAPI, merchant: Merchant, number: str) -> None:
    """Take one payment.

    Raises:
        RuntimeError: it was not captured.
    """
    body = payment_body(f"order-{number}")
    status, answer = await ask(
        app, "POST", "/v1/payments", token=merchant.token, key=f"key-{number}", body=body
    )
    if status != 201 or b'"captured"' not in answer:  # noqa: PLR2004 - created
        raise RuntimeError(f"{status} {answer.decode()}")


async def pay_many(app: FastAPI, merchant: Merchant, run: str, count: int, clients: int) -> float:
    """Take payments by so many clients at once; return the CPU seconds of this process."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await pay(app, merchant, f"{run}-{number}")

    begun = time.process_time()
    await asyncio.gather(*[client() for _ in range(clients)])
    return time.process_time() - begun
