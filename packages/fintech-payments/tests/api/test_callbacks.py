"""Answers that come later: through callbacks, or because somebody asks."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.ledger import PostingLedger
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin
from fintech_payments.domain.schedule import EARLY_SECONDS
from fintech_payments.infrastructure.processors.books import Call, SandboxBooks
from fintech_payments.infrastructure.processors.letters import (
    AGE_MAX_SECONDS,
    SIGNATURE_HEADER,
    Letters,
)

pytestmark = pytest.mark.anyio

MERCHANT = "mer_test"
LATE_SECONDS = 3
PROCESSORS = {"card": "sandbox", "mobile_money": "sandbox_mobile"}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An app on a clock that stands still, and the sandboxes' books."""

    app: RunningApp
    clock: FrozenClock

    async def pay(self, token: str, **changes: Any) -> httpx.Response:
        method = "mobile_money" if token.startswith("mobile_") else "card"
        body = {
            "amount": 10_000,
            "currency": "KES",
            "payment_method": {"type": method, "token": token},
            **changes,
        }
        return await self.post("/v1/payments", body)

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        headers = self.app.headers(merchant_id=MERCHANT)
        return await self.app.post(path, body, key=uuid.uuid4().hex, headers=headers)

    async def payment(self, payment_id: str) -> dict[str, Any]:
        headers = self.app.headers(merchant_id=MERCHANT)
        answer = await self.app.client.get(f"/v1/payments/{payment_id}", headers=headers)
        return answer.json()

    async def run_jobs(self, *names: str) -> None:
        for job in plugin.fintech_jobs(self.app.context):
            if job.name in names:
                await job.run()

    async def deliver_callbacks(self) -> None:
        await self.run_jobs(*(f"payments.{name}.callbacks" for name in PROCESSORS.values()))

    async def balance(self, account: str) -> int:
        ledger = cast("PostingLedger", self.app.context.services.get(Ledger))
        return await ledger.balance(account)

    def letter(self, call: Call, *, processor: str = "sandbox") -> tuple[dict[str, str], bytes]:
        letters = Letters(processor=processor, keyring=self.app.context.keyring)
        return letters.write(call, now=self.clock.now_milliseconds())

    async def owed(self, payment_id: str, *, processor: str = "sandbox") -> Call:
        """Move to when the callback of a payment is owed, and return its call."""
        self.clock.advance(seconds=LATE_SECONDS)
        books = SandboxBooks(
            processor=processor, database=self.app.context.database, clock=self.clock
        )
        return next(one for one in await books.untold(1_000) if one.payment_id == payment_id)

    async def send(
        self, headers: dict[str, str], body: bytes, *, processor: str = "sandbox"
    ) -> httpx.Response:
        path = f"/v1/payments/callbacks/{processor}"
        return await self.app.client.post(path, content=body, headers=headers)


@pytest.fixture
async def world(database_url: str, anyio_backend: str) -> AsyncIterator[World]:
    clock = FrozenClock()
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={
            "payments_without_merchants": True,
            "payments_sandbox_late_seconds": LATE_SECONDS,
            "payments_processors_by_method": PROCESSORS,
        },
        overrides=Overrides(clock=clock),
    ) as app:
        yield World(app=app, clock=clock)


@pytest.mark.parametrize(
    ("token", "status", "decline_code"),
    [
        ("sandbox_late", "captured", None),
        ("sandbox_late_decline", "failed", "late_decline"),
        ("mobile_approve", "captured", None),
        ("mobile_queue_timeout", "failed", "queue_timeout"),
        ("mobile_decline_user_canceled", "failed", "user_canceled"),
        ("mobile_unheard_of", "failed", "unknown_token"),
    ],
)
async def test_a_later_answer_comes_through_the_callback(
    world: World, token: str, status: str, decline_code: str | None
) -> None:
    answer = await world.pay(token)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    payment_id = answer.json()["payment_id"]

    await world.deliver_callbacks()
    assert (await world.payment(payment_id))["status"] == "pending"

    world.clock.advance(seconds=LATE_SECONDS)
    await world.deliver_callbacks()
    shown = await world.payment(payment_id)
    assert (shown["status"], shown["decline_code"]) == (status, decline_code)
    assert shown["processor_outcome"] == "known"


@pytest.mark.parametrize("token", ["sandbox_silent", "mobile_silent"])
async def test_an_answer_that_nobody_tells_is_asked_for(world: World, token: str) -> None:
    payment_id = (await world.pay(token)).json()["payment_id"]
    world.clock.advance(seconds=LATE_SECONDS)
    await world.deliver_callbacks()
    await world.run_jobs("payments.resolve")
    assert (await world.payment(payment_id))["status"] == "pending"

    world.clock.advance(seconds=EARLY_SECONDS[0] - LATE_SECONDS)
    await world.run_jobs("payments.resolve")
    assert (await world.payment(payment_id))["status"] == "captured"


async def test_a_callback_twice_and_the_resolver_too_move_the_money_once(world: World) -> None:
    account = "assets:processor:sandbox_mobile:KES"
    before = await world.balance(account)
    payment_id = (await world.pay("mobile_approve")).json()["payment_id"]
    letter = world.letter(
        await world.owed(payment_id, processor="sandbox_mobile"), processor="sandbox_mobile"
    )

    for _ in range(2):
        answer = await world.send(*letter, processor="sandbox_mobile")
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        await world.run_jobs("payments.resolve")

    assert before - await world.balance(account) == 10_000
    await world.deliver_callbacks()
    assert before - await world.balance(account) == 10_000


async def test_a_callback_that_comes_too_early_is_sent_away_and_leaves_no_trace(
    world: World,
) -> None:
    shown = (await world.pay("sandbox_late")).json()
    owed = await world.owed(shown["payment_id"])
    world.app.calls.clear()
    for changes in (
        {"payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t"},
        {"key": "op_unheard_of:authorize"},
        {"key": owed.key.replace(":authorize", ":refund")},
    ):
        fields = {name: getattr(owed, name) for name in Call.__slots__} | changes
        answer = await world.send(*world.letter(Call(**fields)))
        assert (answer.status_code, answer.json()["code"]) == (503, "callback_too_early")
        assert int(answer.headers["Retry-After"]) > 0
    assert not any("operations.claim" in call.names for call in world.app.calls)
    assert (await world.payment(shown["payment_id"]))["status"] == "pending"


async def test_forged_callbacks_get_one_and_the_same_answer(world: World) -> None:
    payment_id = (await world.pay("sandbox_late")).json()["payment_id"]
    owed = await world.owed(payment_id)
    headers, body = world.letter(owed)
    of_other, _ = world.letter(owed, processor="sandbox_mobile")
    told = json.loads(body)
    old_headers, old_body = world.letter(owed)
    open_headers, open_body = signed(world, told | {"outcome": "pending"})
    broken_headers, broken_body = signed(world, {"event_id": "x"})
    list_headers, list_body = signed(world, [told])

    forged = [
        ({}, body),
        ({SIGNATURE_HEADER: ""}, body),
        ({SIGNATURE_HEADER: headers[SIGNATURE_HEADER] + "0"}, body),
        ({SIGNATURE_HEADER: "k9:" + headers[SIGNATURE_HEADER].partition(":")[2]}, body),
        (of_other, body),
        (headers, body.replace(b"10000", b"99999")),
        (headers, b""),
        (headers, b"\xff\xfe"),
        (open_headers, open_body),
        (broken_headers, broken_body),
        (list_headers, list_body),
    ]
    answers = [await world.send(*one) for one in forged]
    world.clock.advance(seconds=AGE_MAX_SECONDS + 1)
    answers.append(await world.send(old_headers, old_body))

    assert {answer.status_code for answer in answers} == {401}
    bodies = [answer.json() for answer in answers]
    for shown in bodies:
        del shown["request_id"], shown["instance"]
    assert all(shown == bodies[0] for shown in bodies)
    assert bodies[0]["code"] == "callback_rejected"
    assert (await world.payment(payment_id))["status"] == "pending"


@pytest.mark.parametrize("name", ["unheard_of", "test_ledger", "SANDBOX"])
async def test_who_is_no_processor_has_no_callbacks(world: World, name: str) -> None:
    answer = await world.send({}, b"{}", processor=name)
    assert answer.status_code in {404, 422}


async def test_mobile_money_reserves_nothing(world: World) -> None:
    answer = await world.pay("mobile_approve", capture="manual")
    assert (answer.status_code, answer.json()["code"]) == (422, "manual_capture_unsupported")


async def test_mobile_money_gives_everything_back_or_nothing(world: World) -> None:
    payment_id = (await world.pay("mobile_approve")).json()["payment_id"]
    world.clock.advance(seconds=LATE_SECONDS)
    await world.deliver_callbacks()

    part = {"amount": {"amount": 4_000, "currency": "KES"}}
    answer = await world.post(f"/v1/payments/{payment_id}/refunds", part)
    assert answer.status_code == 422

    answer = await world.post(f"/v1/payments/{payment_id}/refunds", {})
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    world.clock.advance(seconds=LATE_SECONDS)
    await world.deliver_callbacks()
    assert (await world.payment(payment_id))["status"] == "refunded"


async def test_a_refund_that_fails_later_is_the_merchants_again(world: World) -> None:
    shown = (await world.pay("sandbox_refund_fails_later")).json()
    before = await world.balance(f"liabilities:merchant:{MERCHANT}:KES")
    answer = await world.post(f"/v1/payments/{shown['payment_id']}/refunds", {})
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")

    world.clock.advance(seconds=LATE_SECONDS)
    await world.deliver_callbacks()
    refunds = f"/v1/payments/{shown['payment_id']}/refunds"
    headers = world.app.headers(merchant_id=MERCHANT)
    listed = (await world.app.client.get(refunds, headers=headers)).json()["data"]
    assert [(one["status"], one["decline_code"]) for one in listed] == [
        ("failed", "refund_declined")
    ]
    assert await world.balance(f"liabilities:merchant:{MERCHANT}:KES") == before


async def test_a_call_that_fails_is_sent_again_and_taken_once(world: World) -> None:
    before = await world.balance("assets:processor:sandbox:KES")
    shown = (await world.pay("sandbox_error")).json()
    assert shown["status"] == "captured"
    assert before - await world.balance("assets:processor:sandbox:KES") == 10_000


async def test_an_amount_that_is_not_ours_stops_the_payment(world: World) -> None:
    shown = (await world.pay("sandbox_wrong_amount")).json()
    assert (shown["status"], shown["amount_captured"]) == ("conflicted", 0)


@pytest.mark.parametrize(
    ("token", "step", "code"),
    [
        ("sandbox_capture_fails", "capture", "capture_declined"),
        ("sandbox_cancel_fails", "cancel", "cancel_declined"),
    ],
)
async def test_a_declined_step_leaves_the_authorization(
    world: World, token: str, step: str, code: str
) -> None:
    payment_id = (await world.pay(token, capture="manual")).json()["payment_id"]
    shown = (await world.post(f"/v1/payments/{payment_id}/{step}", {})).json()
    assert (shown["status"], shown["decline_code"]) == ("authorized", code)


def signed(world: World, told: Any) -> tuple[dict[str, str], bytes]:
    """Return a body of any content that the sandbox's key signed."""
    body = json.dumps(told).encode()
    return {SIGNATURE_HEADER: world.app.context.keyring.sign("callback:sandbox", body)}, body
