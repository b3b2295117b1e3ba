"""API keys with one fault at each database call: one key, at most one secret, what was told in force."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from fintech_dbclient import (
    Database,
    Health,
    HttpDatabase,
    NotApplied,
    NotExecuted,
    Result,
    Statement,
)
from fintech_kernel.contracts.credentials import Credential, CredentialDirectory
from fintech_kernel.errors import OutcomeUnknown
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_kernel.web.app import Overrides
from fintech_merchants import plugin

pytestmark = pytest.mark.anyio

CALLS_MAX = 20
"""Above what any workflow sends: when a fault strikes nothing, all calls were struck."""

Answered = tuple[int, dict[str, Any]]


class OneByOne:
    """A database without batches: every statement is a call of its own, and can fail alone."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner

    async def execute(self, statement: Statement) -> Result:
        return await self._inner.execute(statement)

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        results: list[Result] = []
        for statement in sequence:
            failed = bool(results) and results[-1].error is not None
            results += (
                [Result(error=NotExecuted(statement.name))]
                if failed
                else await self._inner.run([statement])
            )
        return results

    async def health(self) -> Health:
        return await self._inner.health()

    async def close(self) -> None:
        await self._inner.close()


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


async def merchant_of(app: RunningApp) -> str:
    body = {"name": "Duka", "currencies": ["KES"]}
    answer = await app.post("/v1/merchants", body, key=uuid.uuid4().hex, headers=app.headers())
    return answer.json()["merchant_id"]


async def post(app: RunningApp, path: str, body: dict[str, Any], key: str) -> Answered:
    answer = await app.post(path, body, key=key, headers=app.headers())
    return answer.status_code, answer.json()


async def struck_post(
    database_url: str, clock: FrozenClock, fault: Fault, at: int, *request: Any
) -> tuple[bool, Answered | None]:
    """Send a request to a process of its own whose database call number ``at`` goes wrong.

    Return whether there was such a call, and the answer if there was one.
    """
    async with HttpDatabase(database_url) as real:
        port = FaultyDatabase(real)
        answer = None
        with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
            async with running_app(
                database_url=database_url,
                plugins=[plugin],
                settings={"app_migrate_on_start": False},
                overrides=Overrides(clock=clock, database=OneByOne(port)),
            ) as struck:
                started = len(port.calls)
                port._at, port._fault = started + at, fault
                answer = await post(struck, *request)
        return len(port.calls) > started + at, answer


def without_secret(answer: Answered) -> Answered:
    hidden = {"secret", "secret_already_shown"}
    return answer[0], {name: value for name, value in answer[1].items() if name not in hidden}


def secrets_of(*answers: Answered | None) -> list[str]:
    return [answer[1]["secret"] for answer in answers if answer and answer[1].get("secret")]


async def authenticated(app: RunningApp, secret: str) -> Credential | None:
    return await app.context.services.get(CredentialDirectory).authenticate(secret)


async def keys_of(app: RunningApp, merchant: str) -> dict[str, str]:
    answer = await app.client.get(f"/v1/merchants/{merchant}/api-keys", headers=app.headers())
    return {one["key_id"]: one["status"] for one in answer.json()["data"]}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("workflow", ["create", "rotate"])
async def test_a_fault_at_any_call_leaves_one_new_key_and_at_most_one_secret_that_is_its_own(
    app: RunningApp, database_url: str, clock: FrozenClock, workflow: str, fault: Fault
) -> None:
    lost, struck = 0, True
    for at in range(CALLS_MAX):
        path = f"/v1/merchants/{await merchant_of(app)}/api-keys"
        merchant = path.split("/")[3]
        body: dict[str, Any] = {"name": "shop", "scopes": ["merchants:read"]}
        old: dict[str, Any] = {}
        if workflow == "rotate":
            _, old = await post(app, path, body, uuid.uuid4().hex)
            path, body = f"{path}/{old['key_id']}/rotate", {"overlap_seconds": 604_800}
        key = uuid.uuid4().hex

        struck, first = await struck_post(database_url, clock, fault, at, path, body, key)
        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        final = await post(app, path, body, key)
        again = await post(app, path, body, key)

        assert final[0] == 201, (at, final)
        if first is not None and first[0] == 201:
            assert without_secret(first) == without_secret(final), at
        shown = secrets_of(first, final, again)
        assert len(shown) <= 1, at
        assert (again[1]["secret"], again[1]["secret_already_shown"]) == (None, True)
        lost += not shown
        for secret in shown:
            found = await authenticated(app, secret)
            assert found is not None, at
            assert found.credential_id == final[1]["key_id"], at
        expected = {final[1]["key_id"]: "active"}
        if workflow == "rotate":
            expected[old["key_id"]] = "expiring"
            assert await authenticated(app, old["secret"]) is not None, at
        assert await keys_of(app, merchant) == expected, at
        if not struck:
            break
    assert not struck
    assert (lost > 0) == (fault is not Fault.TWICE)


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_revocation_that_was_answered_is_in_force_whatever_failed(
    app: RunningApp, database_url: str, clock: FrozenClock, fault: Fault
) -> None:
    path, struck = f"/v1/merchants/{await merchant_of(app)}/api-keys", True
    for at in range(CALLS_MAX):
        _, made = await post(
            app, path, {"name": "shop", "scopes": ["merchants:read"]}, uuid.uuid4().hex
        )
        request = (f"{path}/{made['key_id']}/revoke", {"reason": "lost"}, uuid.uuid4().hex)

        struck, first = await struck_post(database_url, clock, fault, at, *request)
        if first is not None and first[0] == 200:
            assert await authenticated(app, made["secret"]) is None, at
        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        final = await post(app, *request)

        assert (final[0], final[1]["status"]) == (200, "revoked"), (at, final)
        if first is not None and first[0] == 200:
            assert first == final, at
        assert await authenticated(app, made["secret"]) is None, at
        if not struck:
            break
    assert not struck


@pytest.mark.parametrize("fault", list(Fault))
async def test_narrowed_scopes_that_were_answered_are_in_force_whatever_failed(
    app: RunningApp, database_url: str, clock: FrozenClock, fault: Fault
) -> None:
    path, struck = f"/v1/merchants/{await merchant_of(app)}/api-keys", True
    body = {"name": "shop", "scopes": ["merchants:read", "pricing:read"]}
    for at in range(CALLS_MAX):
        _, made = await post(app, path, body, uuid.uuid4().hex)
        narrowed = {"scopes": ["pricing:read"]}
        request = (f"{path}/{made['key_id']}/scopes", narrowed, uuid.uuid4().hex)

        struck, first = await struck_post(database_url, clock, fault, at, *request)
        if first is not None and first[0] == 200:
            found = await authenticated(app, made["secret"])
            assert found is not None, at
            assert found.scopes == ("pricing:read",), at
        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        final = await post(app, *request)

        assert (final[0], final[1]["scopes"]) == (200, ["pricing:read"]), (at, final)
        found = await authenticated(app, made["secret"])
        assert found is not None, at
        assert found.scopes == ("pricing:read",), at
        if not struck:
            break
    assert not struck
