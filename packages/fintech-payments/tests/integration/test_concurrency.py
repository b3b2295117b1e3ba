"""Many clients on one payment at once: money is given back once, and everybody gets one final answer."""

import asyncio
import uuid
from typing import Any, cast

import pytest
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.testing.apps import RunningApp
from fintech_kernel.testing.ledger import PostingLedger

pytestmark = pytest.mark.anyio

CLIENTS = 64
CAPTURED = 10_000
AMOUNT = 700
TRIES_MAX = 40


async def asked(
    app: RunningApp, path: str, body: dict[str, Any], *, key: str, headers: dict[str, str]
) -> Any:
    """Ask until there is a final answer, as a client does that is told to come back."""
    for _ in range(TRIES_MAX):
        answer = await app.post(path, body, key=key, headers=headers)
        if answer.status_code != 503 and answer.json().get("code") != "operation_running":
            return answer
        await asyncio.sleep(float(answer.headers["Retry-After"]) / 10)
    raise AssertionError("no final answer")


async def test_64_clients_refund_at_once_and_never_more_than_was_captured(app: RunningApp) -> None:
    merchant = f"mer_{uuid.uuid4().hex[:10]}"
    headers = app.headers(merchant_id=merchant)
    made = await app.post(
        "/v1/payments",
        {
            "amount": CAPTURED,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
        },
        key=uuid.uuid4().hex,
        headers=headers,
    )
    path = f"/v1/payments/{made.json()['payment_id']}/refunds"
    body = {"amount": {"amount": AMOUNT, "currency": "KES"}}
    keys = [uuid.uuid4().hex for _ in range(CLIENTS)]

    first = await asyncio.gather(
        *(asked(app, path, body, key=key, headers=headers) for key in keys)
    )
    again = await asyncio.gather(
        *(asked(app, path, body, key=key, headers=headers) for key in keys)
    )

    succeeded = [one for one in first if one.status_code == 201]
    refused = [one for one in first if one.status_code != 201]
    assert len(succeeded) == CAPTURED // AMOUNT
    assert {one.json()["code"] for one in refused} == {"refund_exceeds_captured"}
    assert [(one.status_code, one.json()) for one in again if one.status_code == 201] == [
        (one.status_code, one.json()) for one in succeeded
    ]
    assert all(one.headers["Idempotent-Replayed"] == "true" for one in again)
    assert len({one.json()["refund_id"] for one in succeeded}) == len(succeeded)
    ledger = cast("PostingLedger", app.context.services.get(Ledger))
    left = await ledger.balance(f"liabilities:merchant:{merchant}:KES")
    assert left == CAPTURED - len(succeeded) * AMOUNT
