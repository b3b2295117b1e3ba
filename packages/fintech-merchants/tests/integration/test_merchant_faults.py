"""Every change of a merchant with one fault at each of its database calls: it happens once, and ends."""

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, NotApplied, Statement
from fintech_kernel.errors import OutcomeUnknown
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_kernel.web.app import Overrides
from fintech_merchants import plugin

pytestmark = pytest.mark.anyio

ACCOUNT = {"holder": "Duka Safi Ltd", "iban": "GB33BUKB20201555555555"}
MERCHANT = {
    "name": "Duka Safi",
    "currencies": ["KES"],
    "settlement": {"bank_account": ACCOUNT},
    "metadata": {"crm": "1"},
}
CALLS_MAX = 5
"""More than any change makes."""

WORKFLOWS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "create": ("POST", "", MERCHANT, "merchant.created"),
    "verify": (
        "POST",
        "/verification",
        {"outcome": "verified", "reference": "kyb-1"},
        "merchant.verified",
    ),
    "update": (
        "PATCH",
        "",
        {"settlement": {"bank_account": ACCOUNT}, "metadata": {"crm": "2"}},
        "merchant.updated",
    ),
    "set_pricing": (
        "POST",
        "/pricing",
        {"rules": [{"basis_points": 1}], "effective_from": "2100-01-01T00:00:00Z"},
        "merchant.pricing_set",
    ),
    "activate unverified": ("POST", "/activate", {}, "operation.refused"),
}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(
    database_url: str, clock: FrozenClock, anyio_backend: str
) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url, plugins=[plugin], overrides=Overrides(clock=clock)
    ) as running:
        yield running


async def _send(
    app: RunningApp, method: str, path: str, body: dict[str, Any], key: str
) -> tuple[int, dict[str, Any]]:
    headers = {**app.headers(), "Idempotency-Key": key}
    answer = await app.client.request(method, path, json=body, headers=headers)
    told = answer.json()
    told.pop("request_id", None), told.pop("instance", None)
    return answer.status_code, told


async def _struck(
    database_url: str, clock: FrozenClock, fault: Fault, at: int, *request: Any
) -> tuple[int, dict[str, Any]] | None:
    """Send a request to a process of its own whose database call number ``at`` goes wrong."""
    async with HttpDatabase(database_url) as real:
        port = FaultyDatabase(real)
        answer = None
        with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
            async with running_app(
                database_url=database_url,
                plugins=[plugin],
                settings={"app_migrate_on_start": False},
                overrides=Overrides(clock=clock, database=port),
            ) as struck:
                port._at, port._fault = len(port.calls) + at, fault
                answer = await _send(struck, *request)
        return answer


async def _accounts(app: RunningApp, merchant_id: str) -> set[str]:
    found = await app.context.database.execute(
        Statement(
            name="test.accounts",
            sql="SELECT account_id FROM merchants_bank_accounts WHERE merchant_id = ?",
            params=(merchant_id,),
        )
    )
    return {str(row["account_id"]) for row in found.rows}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("workflow", WORKFLOWS)
async def test_one_fault_at_any_call_of_a_change_changes_nothing_in_the_end(
    app: RunningApp, database_url: str, clock: FrozenClock, workflow: str, fault: Fault
) -> None:
    method, path, body, event = WORKFLOWS[workflow]
    for at in range(CALLS_MAX):
        target = "/v1/merchants"
        if workflow != "create":
            _, made = await _send(app, "POST", target, MERCHANT, uuid.uuid4().hex)
            target += f"/{made['merchant_id']}{path}"
        key = uuid.uuid4().hex
        first = await _struck(database_url, clock, fault, at, method, target, body, key)

        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        status, final = await _send(app, method, target, body, key)

        expected = 409 if event == "operation.refused" else 201 if workflow == "create" else 200
        assert status == expected, (at, final)
        if first is not None and first[0] == status:
            assert first[1] == final, at
        merchant_id = final["merchant_id"] if workflow == "create" else target.split("/")[3]
        stream = (await app.context.journal.stream(merchant_id, merchant_id)).verified()
        assert [entry.type for entry in stream.entries].count(event) == 1, at
        shown = await app.client.get(f"/v1/merchants/{merchant_id}", headers=app.headers())
        account = shown.json()["settlement"]["bank_account"]["account_id"]
        accounts = await _accounts(app, merchant_id)
        assert account in accounts
        assert len(accounts) == (2 if workflow == "update" else 1), at


async def test_the_timeline_shows_what_is_under_way(
    app: RunningApp, database_url: str, clock: FrozenClock
) -> None:
    _, made = await _send(app, "POST", "/v1/merchants", MERCHANT, uuid.uuid4().hex)
    path = f"/v1/merchants/{made['merchant_id']}"
    during: dict[str, Any] = {"pending": []}
    for at in range(CALLS_MAX):
        renamed = ("PATCH", path, {"name": "New"}, uuid.uuid4().hex)
        await _struck(database_url, clock, Fault.KILLED_AFTER, at, *renamed)
        during = (await app.client.get(f"{path}/timeline", headers=app.headers())).json()
        if during["pending"]:
            break  # the process was killed behind its claim
    clock.advance(seconds=3_600)
    await app.context.operations.recover()
    after = (await app.client.get(f"{path}/timeline", headers=app.headers())).json()

    (pending,) = during["pending"]
    assert pending["kind"] == "merchants.update"
    assert pending["next"]["at"] > clock.now_milliseconds() - 3_600_000
    assert [one["type"] for one in during["data"]] == ["merchant.created"]
    assert after["pending"] == []
    assert after["data"][0]["operation_id"] == pending["operation_id"]
