"""What a payment asks of the database, with everything installed: the trips are counted, not timed."""

import uuid
from typing import Any

import pytest
from fintech_kernel.testing.apps import RunningApp, running_app

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(database_url: str):
    async with running_app(database_url=database_url, plugins=None) as running:
        yield running


@pytest.fixture
async def merchant_id(app: RunningApp) -> str:
    staff = app.headers()
    made = await app.post(
        "/v1/merchants", {"name": "Shop", "currencies": ["KES"]}, key=new_key(), headers=staff
    )
    merchant_id = made.json()["merchant_id"]
    for step, body in {
        "verification": {"outcome": "verified", "reference": "kyb-1"},
        "activate": {"reason": "contract signed"},
    }.items():
        done = await app.post(
            f"/v1/merchants/{merchant_id}/{step}", body, key=new_key(), headers=staff
        )
        assert done.status_code == 200, done.text
    return merchant_id


def new_key() -> str:
    return uuid.uuid4().hex


async def pay(app: RunningApp, headers: dict[str, str], **changes: Any):
    body = {
        "amount": 10_000,
        "currency": "KES",
        "payment_method": {"type": "card", "token": "sandbox_approve"},
        **changes,
    }
    return await app.post("/v1/payments", body, key=new_key(), headers=headers)


async def test_create_and_capture_takes_three_trips_besides_the_sandbox(app, merchant_id) -> None:
    headers = app.headers(merchant_id=merchant_id)
    await pay(app, headers)
    app.calls.clear()

    assert (await pay(app, headers, reference="order-1")).status_code == 201

    trips = [
        sorted(call.names) for call in app.calls if not call.names[0].startswith("payments.sandbox")
    ]
    assert trips == [
        ["journal.by_stream", "revocations.of_token"],
        ["operations.claim", "payments.references.insert"],
        sorted(
            [
                *("journal.append", "ledger.post", "operations.finish", "operations.outcome"),
                "payments.upsert",
            ]
        ),
    ]


async def test_a_suspension_counts_for_the_next_payment(app, merchant_id) -> None:
    headers = app.headers(merchant_id=merchant_id)
    assert (await pay(app, headers)).status_code == 201
    await app.post(
        f"/v1/merchants/{merchant_id}/suspend",
        {"reason": "under review"},
        key=new_key(),
        headers=app.headers(),
    )

    refused = await pay(app, headers)

    assert (refused.status_code, refused.json()["code"]) == (409, "merchant_not_active")


async def test_nothing_that_was_read_beside_a_refused_token_is_told(app, merchant_id) -> None:
    absent = app.headers(merchant_id="mer_nobody")

    assert (await pay(app, absent)).status_code == 404
    revoked = app.headers(merchant_id="mer_nobody", subject="gone")
    await app.post(
        "/v1/auth/revocations",
        {"kind": "principal", "value": "gone", "reason": "left"},
        key=new_key(),
        headers=app.headers(),
    )

    assert (await pay(app, revoked)).status_code == 401
