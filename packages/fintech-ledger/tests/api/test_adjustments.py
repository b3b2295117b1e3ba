"""Adjustments over HTTP: proposed by one person, decided by another, posted once whatever breaks."""

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, NotApplied
from fintech_kernel.contracts.accounts import bank_account, merchant_account
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    PLATFORM_FINANCE,
    PLATFORM_OPERATOR,
)
from fintech_kernel.errors import OutcomeUnknown
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_kernel.web.app import Overrides
from fintech_ledger import plugin

pytestmark = pytest.mark.anyio

PATH = "/v1/ledger/adjustments"
SUSPENSE = "suspense:reconciliation:KES"
BODY = {
    "debit_account": SUSPENSE,
    "credit_account": bank_account("KES"),
    "amount": 1_200,
    "currency": "KES",
    "reason": "bank fee of 3 November",
    "reference": "statement-11",
}


@pytest.fixture(scope="module")
def clock() -> FrozenClock:
    """One clock for the module, as its database: what is made later has a later id."""
    return FrozenClock()


@pytest.fixture
async def app(anyio_backend, database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url, plugins=[plugin], overrides=Overrides(clock=clock)
    ) as running:
        yield running


async def post(app: RunningApp, path: str, body: Any = None, *, by: str, key: str = ""):
    return await app.post(
        PATH + path,
        body if body is not None else {},
        key=key or uuid.uuid4().hex,
        headers=app.headers(PLATFORM_FINANCE, subject=by),
    )


async def get(app: RunningApp, path: str, *roles: str, **params: str):
    return await app.client.get(
        PATH + path, params=params, headers=app.headers(*(roles or (AUDITOR,)))
    )


async def proposed(app: RunningApp, **changes: Any) -> dict[str, Any]:
    answer = await post(app, "", BODY | changes, by="ann")
    assert answer.status_code == 201, answer.text
    return answer.json()


async def transfers_of(app: RunningApp, adjustment_id: str) -> list[dict[str, Any]]:
    answer = await app.client.get(
        "/v1/ledger/transfers",
        params={"subject_id": adjustment_id},
        headers=app.headers(AUDITOR),
    )
    return answer.json()["data"]


async def test_a_proposal_moves_nothing_and_an_approval_posts_the_transfer(app):
    adjustment = await proposed(app)
    path = f"/{adjustment['adjustment_id']}"
    before = await transfers_of(app, adjustment["adjustment_id"])

    approved = await post(app, f"{path}/approve", by="ben")

    assert (adjustment["status"], adjustment["decided_by"], before) == ("proposed", None, [])
    assert approved.json() == adjustment | {
        "status": "approved",
        "decided_by": "ben",
        "decided_at": approved.json()["decided_at"],
    }
    (transfer,) = await transfers_of(app, adjustment["adjustment_id"])
    assert (transfer["debit_account"], transfer["credit_account"], transfer["amount"]) == (
        SUSPENSE,
        bank_account("KES"),
        1_200,
    )
    assert (transfer["kind"], transfer["reference"]) == ("Adjustment", "statement-11")
    assert (await get(app, path)).json() == approved.json()


async def test_a_rejection_posts_nothing(app):
    adjustment = await proposed(app)

    rejected = await post(app, f"/{adjustment['adjustment_id']}/reject", by="ben")

    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
    assert await transfers_of(app, adjustment["adjustment_id"]) == []


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_who_proposed_is_refused_for_good_and_another_is_not(app, decision):
    adjustment = await proposed(app)
    path = f"/{adjustment['adjustment_id']}/{decision}"

    key = uuid.uuid4().hex
    own = await post(app, path, by="ann", key=key)
    again = await post(app, path, by="ann", key=key)
    other = await post(app, path, by="ben")

    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (403, "true")
    assert other.status_code == 200


async def test_what_is_decided_is_decided_once(app):
    path = f"/{(await proposed(app))['adjustment_id']}"
    await post(app, f"{path}/approve", by="ben")

    late = await post(app, f"{path}/reject", by="cleo")

    assert (late.status_code, late.json()["code"]) == (409, "adjustment_not_proposed")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"debit_account": "assets:cash:KES"}, 422, "account_not_adjustable"),
        ({"currency": "EUR"}, 422, "account_not_adjustable"),
        ({"debit_account": "liabilities:settlement:stl_1:KES"}, 422, "account_not_adjustable"),
        (
            {
                "debit_account": merchant_account("mer_1", "KES"),
                "credit_account": merchant_account("mer_2", "KES"),
            },
            422,
            "two_merchants",
        ),
        ({"amount": 0}, 422, "invalid_request"),
        ({"amount": "5"}, 422, "invalid_request"),
        ({"reason": ""}, 422, "invalid_request"),
        ({"reason": "x" * 501}, 422, "invalid_request"),
        ({"proposed_by": "somebody"}, 422, "invalid_request"),
        ({"status": "approved"}, 422, "invalid_request"),
    ],
)
async def test_proposals_that_are_not_right_are_refused(app, changes, status, code):
    answer = await post(app, "", BODY | changes, by="ann")

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_merchants_account_is_adjusted_for_that_merchant(app):
    account = merchant_account("mer_adjusted", "KES")
    adjustment = await proposed(app, debit_account=account)

    await post(app, f"/{adjustment['adjustment_id']}/approve", by="ben")

    answer = await app.client.get(
        f"/v1/ledger/accounts/{account}",
        headers=app.headers(MERCHANT_ADMIN, merchant_id="mer_adjusted"),
    )
    assert (adjustment["merchant_id"], answer.json()["available"]) == ("mer_adjusted", -1_200)


async def test_lists_are_newest_first_by_status_and_in_pages(app, clock):
    made: list[str] = []
    for _ in range(3):
        clock.advance(seconds=1)
        made.append((await proposed(app))["adjustment_id"])
    await post(app, f"/{made[1]}/reject", by="ben")

    first = (await get(app, "", limit="2")).json()
    rest = (await get(app, "", limit="2", cursor=first["next_cursor"])).json()
    rejected = (await get(app, "", status="rejected")).json()["data"]

    listed = [one["adjustment_id"] for one in first["data"] + rest["data"]]
    assert listed[:3] == [made[2], made[1], made[0]]
    assert made[1] in [one["adjustment_id"] for one in rejected]
    assert {one["status"] for one in rejected} == {"rejected"}


async def test_the_list_is_written_again_from_the_journal(app):
    from fintech_dbclient import Statement

    made = (await proposed(app))["adjustment_id"]
    await app.context.database.execute(
        Statement(
            name="test.lose",
            sql="UPDATE ledger_adjustments SET status = 'lost', seq = 0 WHERE adjustment_id = ?",
            params=(made,),
        )
    )

    await app.deliver_events()

    shown = (await get(app, "", status="proposed")).json()["data"]
    assert made in [one["adjustment_id"] for one in shown]


async def test_an_adjustment_that_is_none_is_not_found(app):
    absent = "/adj_01k9qq3v5kf7wsc0d3jz8y2m4t"

    assert (await get(app, absent)).status_code == 404
    assert (await post(app, f"{absent}/approve", by="ben")).status_code == 404
    assert (await post(app, f"{absent}/reject", by="ben")).status_code == 404


async def test_only_finance_proposes_and_decides_and_merchants_see_nothing(app):
    path = f"/{(await proposed(app))['adjustment_id']}"
    for role in (PLATFORM_OPERATOR, AUDITOR):
        headers = app.headers(role)
        for target in ("", f"{path}/approve", f"{path}/reject"):
            answer = await app.post(PATH + target, BODY, key=uuid.uuid4().hex, headers=headers)
            assert answer.status_code == 403
        assert (await app.client.get(PATH + path, headers=headers)).status_code == 200
    own = app.headers(MERCHANT_ADMIN, merchant_id="mer_1")
    assert (await app.client.get(PATH, headers=own)).status_code == 403


CALLS_MAX = 8


@pytest.mark.parametrize("fault", list(Fault))
async def test_one_fault_at_any_call_of_an_approval_moves_the_amount_once(
    app, database_url, clock, fault
):
    for at in range(CALLS_MAX):
        made = (await proposed(app))["adjustment_id"]
        key = uuid.uuid4().hex
        async with HttpDatabase(database_url) as real:
            port = FaultyDatabase(real)
            with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
                async with running_app(
                    database_url=database_url,
                    plugins=[plugin],
                    settings={"app_migrate_on_start": False},
                    overrides=Overrides(clock=clock, database=port),
                ) as struck:
                    port._at, port._fault = len(port.calls) + at, fault
                    await post(struck, f"/{made}/approve", by="ben", key=key)

        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        final = await post(app, f"/{made}/approve", by="ben", key=key)

        assert (final.status_code, final.json()["status"]) == (200, "approved"), at
        assert len(await transfers_of(app, made)) == 1, at
