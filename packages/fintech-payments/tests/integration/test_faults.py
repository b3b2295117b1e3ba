"""Every workflow of payments with one fault at each of its calls: money moves exactly once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import pytest
from fintech_dbclient import HttpDatabase, NotApplied
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.operations import OperationCall
from fintech_kernel.errors import OutcomeUnknown
from fintech_kernel.money import Money
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_kernel.testing.ledger import PostingLedger
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin
from fintech_payments.domain.commands import CreatePayment
from fintech_payments.domain.events import CaptureMode
from fintech_payments.domain.kinds import CREATE
from fintech_payments.domain.resolver import RESOLVE_CONCURRENCY
from fintech_payments.domain.schedule import EARLY_SECONDS

pytestmark = pytest.mark.anyio

SETTINGS = {"payments_without_merchants": True}
PROCESSOR = "assets:processor:sandbox:KES"


class SameFingerprint:
    value = "k1:same"

    def matches(self, stored: str) -> bool:
        return stored == self.value


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


def ledger_of(app: RunningApp) -> PostingLedger:
    return cast("PostingLedger", app.context.services.get(Ledger))


async def post(
    app: RunningApp, merchant: str, path: str, body: dict[str, Any], key: str
) -> tuple[int, dict[str, Any]]:
    answer = await app.post(path, body, key=key, headers=app.headers(merchant_id=merchant))
    return answer.status_code, answer.json()


async def struck_request(
    database_url: str,
    clock: FrozenClock,
    fault: Fault,
    at: int,
    *request: Any,
) -> tuple[int, dict[str, Any]] | None:
    """Send a request to a process of its own whose database call number ``at`` goes wrong."""
    async with HttpDatabase(database_url) as real:
        port = FaultyDatabase(real)
        answer = None
        with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
            async with running_app(
                database_url=database_url,
                plugins=[plugin, test_ledger],
                settings={**SETTINGS, "app_migrate_on_start": False},
                overrides=Overrides(clock=clock, database=port),
            ) as struck:
                port._at, port._fault = len(port.calls) + at, fault
                answer = await post(struck, *request)
        return answer


WORKFLOWS = {
    "create": ("", {}),
    "capture": ("/capture", {"capture": "manual"}),
    "cancel": ("/cancel", {"capture": "manual"}),
    "refund": ("/refunds", {}),
}
CALLS_MAX = 8
EXPECTED = {"create": -10_000, "capture": -10_000, "cancel": 0, "refund": 0}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("workflow", WORKFLOWS)
async def test_one_fault_at_any_call_of_a_workflow_changes_nothing_in_the_end(
    app: RunningApp, database_url: str, clock: FrozenClock, workflow: str, fault: Fault
) -> None:
    path, changes = WORKFLOWS[workflow]
    for at in range(CALLS_MAX):
        merchant = f"mer_{uuid.uuid4().hex[:10]}"
        body: dict[str, Any] = {
            "amount": 10_000,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
            "reference": "order-1",
            **changes,
        }
        target = "/v1/payments"
        if workflow != "create":
            _, made = await post(app, merchant, target, body, uuid.uuid4().hex)
            target, body = f"{target}/{made['payment_id']}{path}", {}
        key = uuid.uuid4().hex
        first = await struck_request(database_url, clock, fault, at, merchant, target, body, key)

        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        final = await post(app, merchant, target, body, key)

        assert final[0] in {200, 201}, (at, final)
        if first is not None and first[0] < 300:
            assert first == final, at
        account = f"liabilities:merchant:{merchant}:KES"
        assert await ledger_of(app).balance(account) == -EXPECTED[workflow], at


async def test_the_books_agree_with_the_processor_after_all_of_it(app: RunningApp) -> None:
    from fintech_dbclient import Statement

    calls = await app.context.database.execute(
        Statement(
            name="test.sandbox",
            sql="SELECT call_key, effect, amount FROM payments_sandbox_calls"
            " WHERE outcome = 'approved'",
        )
    )
    signs = {"sale": -1, "capture": -1, "refund": 1}
    theirs = sum(signs.get(str(row["effect"]), 0) * int(str(row["amount"])) for row in calls.rows)
    assert await ledger_of(app).balance(PROCESSOR) == theirs


class Silent:
    """A processor's wire that lets calls through and loses every answer, until it is mended."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.name = real.name
        self.capabilities = real.capabilities
        self.mended = False

    async def _lose(self, answer: ProcessorAnswer) -> ProcessorAnswer:
        return answer if self.mended else ProcessorAnswer(outcome=Outcome.UNKNOWN)

    async def authorize(self, **call: Any) -> ProcessorAnswer:
        return await self._lose(await self._real.authorize(**call))

    async def capture(self, **call: Any) -> ProcessorAnswer:
        return await self._lose(await self._real.capture(**call))

    async def cancel(self, **call: Any) -> ProcessorAnswer:
        return await self._lose(await self._real.cancel(**call))

    async def refund(self, **call: Any) -> ProcessorAnswer:
        return await self._lose(await self._real.refund(**call))

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        return await self._real.query(key=key) if self.mended else None


@pytest.mark.parametrize(
    ("workflow", "token", "status", "balance"),
    [
        ("create", "sandbox_approve", "captured", 10_000),
        ("create", "sandbox_decline_stolen_card", "failed", 0),
        ("capture", "sandbox_approve", "captured", 10_000),
        ("capture", "sandbox_capture_fails", "authorized", 0),
        ("cancel", "sandbox_approve", "canceled", 0),
        ("refund", "sandbox_approve", "refunded", 0),
        ("refund", "sandbox_refund_fails", "captured", 10_000),
    ],
)
async def test_an_outcome_that_stays_open_is_learned_later_and_concluded_once(
    app: RunningApp, clock: FrozenClock, *, workflow: str, token: str, status: str, balance: int
) -> None:
    merchant = f"mer_{uuid.uuid4().hex[:10]}"
    path, changes = WORKFLOWS[workflow]
    body: dict[str, Any] = {
        "amount": 10_000,
        "currency": "KES",
        "payment_method": {"type": "card", "token": token},
        **changes,
    }
    target = "/v1/payments"
    processors = cast("dict[str, Any]", app.context.processors)
    real = processors["sandbox"]
    silent = Silent(real)
    if workflow != "create":
        _, made = await post(app, merchant, target, body, uuid.uuid4().hex)
        target, body = f"{target}/{made['payment_id']}{path}", {}
    processors["sandbox"] = silent
    try:
        key = uuid.uuid4().hex
        first = await post(app, merchant, target, body, key)
        payment_id = first[1]["payment_id"]
        _, blocked = await post(
            app, merchant, f"/v1/payments/{payment_id}/refunds", {}, uuid.uuid4().hex
        )
        silent.mended = True
        clock.advance(seconds=EARLY_SECONDS[0])
        await resolve(app)
        await resolve(app)
    finally:
        processors["sandbox"] = real

    shown = (
        await app.client.get(
            f"/v1/payments/{payment_id}", headers=app.headers(merchant_id=merchant)
        )
    ).json()
    assert (first[0], first[1]["processor_outcome"]) == (202, "open")
    assert blocked["code"] == "outcome_pending"
    assert (shown["status"], shown["processor_outcome"]) == (status, "known")
    account = f"liabilities:merchant:{merchant}:KES"
    assert await ledger_of(app).balance(account) == balance
    assert await post(app, merchant, target, body, key) == first


class Raising(Silent):
    """A processor that breaks its contract for some keys: it raises, whatever is asked of them."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.poisoned: set[str] = set()

    async def authorize(self, **call: Any) -> ProcessorAnswer:
        answer = await super().authorize(**call)
        if call["payment_method"] == "sandbox_timeout":
            self.poisoned.add(call["key"])
            raise ValueError("a reply that it cannot read")
        return answer

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        if key in self.poisoned:
            raise ValueError("a reply that it cannot read")
        return await super().query(key=key)


async def created_with(app: RunningApp, merchant: str, token: str) -> tuple[int, dict[str, Any]]:
    body = {
        "amount": 10_000,
        "currency": "KES",
        "payment_method": {"type": "card", "token": token},
    }
    return await post(app, merchant, "/v1/payments", body, uuid.uuid4().hex)


async def resolve(app: RunningApp) -> None:
    jobs = plugin.fintech_jobs(app.context)
    await next(one for one in jobs if one.name == "payments.resolve").run()


async def status_of(app: RunningApp, merchant: str, payment_id: str) -> str:
    shown = await app.client.get(
        f"/v1/payments/{payment_id}", headers=app.headers(merchant_id=merchant)
    )
    return str(shown.json()["status"])


async def test_a_processor_that_raises_leaves_an_open_outcome_and_holds_up_no_other_payment(
    app: RunningApp, clock: FrozenClock
) -> None:
    merchant = f"mer_{uuid.uuid4().hex[:10]}"
    processors = cast("dict[str, Any]", app.context.processors)
    real = processors["sandbox"]
    raising = Raising(real)
    processors["sandbox"] = raising
    try:
        poisoned = await created_with(app, merchant, "sandbox_timeout")
        others = [await created_with(app, merchant, "sandbox_approve") for _ in range(3)]
        raising.mended = True
        clock.advance(seconds=EARLY_SECONDS[0])
        await resolve(app)
        statuses = [await status_of(app, merchant, one[1]["payment_id"]) for one in others]
        raising.poisoned.clear()
        clock.advance(seconds=EARLY_SECONDS[1])
        await resolve(app)
    finally:
        processors["sandbox"] = real

    assert (poisoned[0], poisoned[1]["processor_outcome"]) == (202, "open")
    assert statuses == ["captured"] * 3
    assert await status_of(app, merchant, poisoned[1]["payment_id"]) == "captured"
    assert await ledger_of(app).balance(f"liabilities:merchant:{merchant}:KES") == 40_000


class Hanging(Silent):
    """A processor that never answers what became of some keys; ``asked`` counts who waits for it."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.hanging: set[str] = set()
        self.asked = asyncio.Semaphore(0)

    async def authorize(self, **call: Any) -> ProcessorAnswer:
        if call["payment_method"] == "sandbox_timeout":
            self.hanging.add(call["key"])
        return await super().authorize(**call)

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        if key in self.hanging:
            self.asked.release()
            await asyncio.sleep(3_600)
        return await super().query(key=key)


async def test_questions_that_hang_do_not_keep_later_payments_from_being_asked_about(
    app: RunningApp, clock: FrozenClock
) -> None:
    merchant = f"mer_{uuid.uuid4().hex[:10]}"
    processors = cast("dict[str, Any]", app.context.processors)
    real = processors["sandbox"]
    hanging = Hanging(real)
    processors["sandbox"] = hanging
    try:
        for _ in range(RESOLVE_CONCURRENCY):
            await created_with(app, merchant, "sandbox_timeout")
        clock.advance(seconds=1)  # ids are in the order of time
        _, later = await created_with(app, merchant, "sandbox_approve")
        hanging.mended = True
        clock.advance(seconds=EARLY_SECONDS[0])
        jobs = plugin.fintech_jobs(app.context)
        job = next(one for one in jobs if one.name == "payments.resolve")
        async with asyncio.TaskGroup() as runs:
            run = runs.create_task(job.run())
            for _ in range(RESOLVE_CONCURRENCY):
                await hanging.asked.acquire()
            run.cancel()  # as the job's timeout does
        before = await status_of(app, merchant, later["payment_id"])
        await job.run()
        after = await status_of(app, merchant, later["payment_id"])
        hanging.hanging.clear()
        clock.advance(seconds=EARLY_SECONDS[1])
        await job.run()
    finally:
        processors["sandbox"] = real
    assert (before, after) == ("pending", "captured")
    assert await ledger_of(app).balance(f"liabilities:merchant:{merchant}:KES") == 50_000


async def test_a_refused_creation_leaves_its_reference_to_the_corrected_one(
    app: RunningApp,
) -> None:
    merchant = f"mer_{uuid.uuid4().hex[:10]}"
    operations = app.context.operations
    answers = [
        await operations.run(
            OperationCall(
                kind=CREATE,
                merchant_id=merchant,
                actor=Actor(subject="tester", roles=("merchant_admin",), merchant_id=merchant),
                key=uuid.uuid4().hex,
                command=to_json(
                    CreatePayment(
                        payment_id=app.context.identifiers.new("pay"),
                        merchant_id=merchant,
                        merchant_is_active=is_active,
                        merchant_currencies=None,
                        amount=Money(amount=10_000, currency="KES"),
                        capture=CaptureMode.AUTOMATIC,
                        method="card",
                        token="sandbox_approve",
                        processor="sandbox",
                        reference="order-7",
                        metadata={},
                        pricing=None,
                        settlement_delay_days=0,
                        requested_at=1,
                    )
                ),
            )
        )
        for is_active in (False, True, True)
    ]
    assert [(one.state, one.result.get("code")) for one in answers] == [
        ("refused", "merchant_not_active"),
        ("succeeded", None),
        ("refused", "reference_exists"),
    ]
    assert answers[2].result["facts"]["payment_id"] == answers[1].result["payment_id"]


async def test_the_read_model_is_written_again_where_it_was_lost(app: RunningApp) -> None:
    from fintech_dbclient import Statement

    merchant = f"mer_{uuid.uuid4().hex[:10]}"
    _, made = await post(
        app,
        merchant,
        "/v1/payments",
        {
            "amount": 10_000,
            "currency": "KES",
            "payment_method": {"type": "card", "token": "sandbox_approve"},
        },
        uuid.uuid4().hex,
    )
    await app.context.database.execute(
        Statement(
            name="test.lose",
            sql="UPDATE payments_payments SET seq = 0, status = 'pending' WHERE payment_id = ?",
            params=(made["payment_id"],),
        )
    )
    await app.deliver_events()
    listed = await app.client.get(
        "/v1/payments?status=captured", headers=app.headers(merchant_id=merchant)
    )
    assert [one["payment_id"] for one in listed.json()["data"]] == [made["payment_id"]]
