"""Outcomes that stay open: learned before the next operation, given up in the end, undone if need be."""

import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from fintech_dbclient import Statement
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.ledger import PostingLedger
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin
from fintech_payments.domain.resolution import Resolution
from fintech_payments.domain.steps import CLOCKS_APART_SECONDS

pytestmark = pytest.mark.anyio

SETTINGS = {"payments_without_merchants": True}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(
    database_url: str, clock: FrozenClock, anyio_backend: str
) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings=SETTINGS,
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


@pytest.fixture
def merchant() -> str:
    return f"mer_{uuid.uuid4().hex[:10]}"


class Unreachable:
    """A processor that no call reaches; what was sent to it is noted."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.name = real.name
        self.capabilities = real.capabilities
        self.lost: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, effect: str) -> Any:
        async def lose(**call: Any) -> ProcessorAnswer | None:
            if effect == "query":
                return await self._real.query(**call)
            self.lost.append((effect, call))
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)

        return lose


@contextmanager
def unreachable(app: RunningApp) -> Generator[Unreachable]:
    processors = cast("dict[str, Any]", app.context.processors)
    real = processors["sandbox"]
    processors["sandbox"] = Unreachable(real)
    try:
        yield processors["sandbox"]
    finally:
        processors["sandbox"] = real


async def post(app: RunningApp, merchant: str, path: str, body: dict[str, Any]) -> Any:
    headers = app.headers(merchant_id=merchant)
    return await app.post(f"/v1/payments{path}", body, key=uuid.uuid4().hex, headers=headers)


async def pay(app: RunningApp, merchant: str, *, behaviour: str = "approve", **more: Any) -> str:
    body = {
        "amount": 10_000,
        "currency": "KES",
        "payment_method": {"type": "card", "token": f"sandbox_{behaviour}"},
        **more,
    }
    return str((await post(app, merchant, "", body)).json()["payment_id"])


async def shown(app: RunningApp, merchant: str, payment_id: str) -> dict[str, Any]:
    headers = app.headers(merchant_id=merchant)
    return (await app.client.get(f"/v1/payments/{payment_id}", headers=headers)).json()


async def resolve(app: RunningApp) -> None:
    jobs = plugin.fintech_jobs(app.context)
    await next(one for one in jobs if one.name == "payments.resolve").run()


def forgotten_seconds(app: RunningApp) -> int:
    kept = app.context.processors["sandbox"].capabilities.key_retention_seconds
    return kept + CLOCKS_APART_SECONDS


async def calls(app: RunningApp, payment_id: str) -> list[str]:
    found = await app.context.database.execute(
        Statement(
            name="test.calls",
            sql="SELECT effect FROM payments_sandbox_calls WHERE payment_id = ? ORDER BY recorded_at",
            params=(payment_id,),
        )
    )
    return [str(row["effect"]) for row in found.rows]


async def balance(app: RunningApp, merchant: str) -> int:
    ledger = cast("PostingLedger", app.context.services.get(Ledger))
    return await ledger.balance(f"liabilities:merchant:{merchant}:KES")


async def test_the_next_operation_asks_first_and_is_not_refused_needlessly(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    payment_id = await pay(app, merchant, behaviour="silent")
    early = await post(app, merchant, f"/{payment_id}/refunds", {})
    clock.advance(seconds=10)
    late = await post(app, merchant, f"/{payment_id}/refunds", {})
    assert (early.json()["code"], late.status_code) == ("outcome_pending", 201)
    assert (await shown(app, merchant, payment_id))["status"] == "refunded"


@pytest.mark.parametrize("capture", ["automatic", "manual"])
async def test_a_call_that_cannot_arrive_any_more_is_given_up_and_not_before(
    app: RunningApp, clock: FrozenClock, merchant: str, capture: str
) -> None:
    with unreachable(app):
        payment_id = await pay(app, merchant, capture=capture)
        clock.advance(seconds=forgotten_seconds(app) - 1)
        await resolve(app)
        before = await shown(app, merchant, payment_id)
        clock.advance(days=1)
        await resolve(app)
        after = await shown(app, merchant, payment_id)
    assert (before["status"], before["processor_outcome"]) == ("pending", "open")
    assert (after["status"], after["decline_code"]) == ("failed", "abandoned")
    assert await balance(app, merchant) == 0


async def test_a_refund_that_is_given_up_is_the_merchants_again_and_can_be_asked_for_again(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    payment_id = await pay(app, merchant)
    with unreachable(app):
        await post(app, merchant, f"/{payment_id}/refunds", {})
        held = await balance(app, merchant)
        clock.advance(seconds=forgotten_seconds(app))
        await resolve(app)
    given_back = await balance(app, merchant)
    again = await post(app, merchant, f"/{payment_id}/refunds", {})
    assert (held, given_back) == (0, 10_000)
    assert (again.status_code, again.json()["status"]) == (201, "succeeded")


@pytest.mark.parametrize(
    ("capture", "undone"), [("automatic", ["sale", "refund"]), ("manual", ["authorize", "cancel"])]
)
async def test_what_was_given_up_and_came_to_light_is_undone_once_and_alarms(
    app: RunningApp, clock: FrozenClock, merchant: str, capture: str, undone: list[str]
) -> None:
    with unreachable(app) as processor:
        payment_id = await pay(app, merchant, capture=capture)
        clock.advance(seconds=forgotten_seconds(app))
        await resolve(app)
    (effect, call), *_ = processor.lost
    await getattr(app.context.processors["sandbox"], effect)(**call)

    for _ in range(3):
        clock.advance(days=1)
        await resolve(app)
    await app.deliver_events()

    assert await calls(app, payment_id) == undone
    assert (await shown(app, merchant, payment_id))["status"] == "failed"
    assert await balance(app, merchant) == 0
    alarms = [line for line in app.lines if "a payment needs people" in line]
    assert len(alarms) == 1
    assert "payment.reversal_requested" in alarms[0]
    assert (
        b'fintech_alarms_total{event="payment.reversal_requested"} 1.0'
        in app.context.metrics.text()
    )


async def test_of_what_was_given_up_it_is_asked_for_a_week_and_no_longer(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    with unreachable(app) as processor:
        payment_id = await pay(app, merchant)
        clock.advance(seconds=forgotten_seconds(app))
        for _ in range(9):
            await resolve(app)
            clock.advance(days=1)
    (effect, call), *_ = processor.lost
    await getattr(app.context.processors["sandbox"], effect)(**call)
    await resolve(app)
    assert await calls(app, payment_id) == ["sale"]


async def test_a_refund_that_came_to_light_conflicts_since_customers_keep_their_money(
    app: RunningApp, clock: FrozenClock, merchant: str
) -> None:
    payment_id = await pay(app, merchant)
    with unreachable(app) as processor:
        await post(app, merchant, f"/{payment_id}/refunds", {})
        clock.advance(seconds=forgotten_seconds(app))
        await resolve(app)
    (effect, call), *_ = processor.lost
    await getattr(app.context.processors["sandbox"], effect)(**call)
    clock.advance(days=1)
    await resolve(app)
    assert (await shown(app, merchant, payment_id))["status"] == "conflicted"


async def test_a_processor_that_takes_an_approval_back_changes_nothing_and_alarms(
    app: RunningApp, merchant: str
) -> None:
    payment_id = await pay(app, merchant)
    stream = await app.context.journal.existing(merchant, payment_id)
    resolution = Resolution(
        operations=app.context.operations,
        journal=app.context.journal,
        clock=app.context.clock,
        metrics=app.context.metrics,
    )
    await resolution.learned(
        stream,
        stream.entries[0].step_key,
        ProcessorAnswer(outcome=Outcome.DECLINED, decline_code="stolen_card"),
        under="callback:1",
        actor=job_actor("payments.callback"),
    )
    assert (await shown(app, merchant, payment_id))["status"] == "captured"
    assert any("declines what it approved before" in line for line in app.lines)
