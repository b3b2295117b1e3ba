"""API keys over HTTP: their life, who may do what, and that a secret is told once and stands nowhere."""

import asyncio
import logging
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from fintech_dbclient import Database, HttpDatabase, Result, Statement
from fintech_kernel.contracts.credentials import Credential, CredentialDirectory
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_OPERATOR,
    MERCHANT_VIEWER,
    PLATFORM_ADMIN,
    PLATFORM_FINANCE,
    PLATFORM_OPERATOR,
)
from fintech_kernel.testing.apps import SETTINGS, RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.database import database_service
from fintech_kernel.web.app import Overrides
from fintech_merchants import plugin
from fintech_merchants.domain import key_directory
from fintech_merchants.domain.key_format import KeyEnvironment, new_secret
from fintech_merchants.domain.key_service import ApiKeys, NewKey
from fintech_merchants.domain.keys import ACTIVE_KEYS_MAX
from loguru import logger

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"name": "shop", "scopes": ["merchants:read", "pricing:read"]}
DAY_SECONDS = 86_400

_keys = count(1)


def key() -> str:
    return f"key-{next(_keys)}"


@pytest.fixture(scope="module")
def database_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "test.db"


@pytest.fixture(scope="module")
def service(database_file: Path) -> Iterator[str]:
    with database_service(f"sqlite:///{database_file}") as url:
        yield url


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(anyio_backend, service: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=service, plugins=[plugin], overrides=Overrides(clock=clock)
    ) as running:
        yield running


async def onboarded(app: RunningApp) -> str:
    body = {"name": "Duka", "currencies": ["KES"]}
    answer = await app.post("/v1/merchants", body, key=key(), headers=app.headers())
    return answer.json()["merchant_id"]


async def issued(app: RunningApp, merchant: str, **changes: Any) -> dict[str, Any]:
    answer = await app.post(
        f"/v1/merchants/{merchant}/api-keys",
        {**BODY, **changes},
        key=key(),
        headers=app.headers(merchant_id=merchant),
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def act(app: RunningApp, made: dict[str, Any], action: str, body: dict[str, Any]):
    path = f"/v1/merchants/{made['merchant_id']}/api-keys/{made['key_id']}/{action}"
    headers = app.headers(merchant_id=made["merchant_id"])
    return await app.post(path, body, key=key(), headers=headers)


async def shown(app: RunningApp, made: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/merchants/{made['merchant_id']}/api-keys/{made['key_id']}"
    answer = await app.client.get(path, headers=app.headers())
    assert answer.status_code == 200, answer.text
    return answer.json()


def directory(app: RunningApp) -> CredentialDirectory:
    return app.context.services.get(CredentialDirectory)


async def test_a_key_is_issued_with_a_secret_that_authenticates(app):
    merchant = await onboarded(app)

    made = await issued(app, merchant)

    assert re.fullmatch("fk_test_[0-9A-Za-z]{38}", made["secret"])
    assert made["secret_already_shown"] is False
    assert made["last_four"] == made["secret"][-4:]
    assert (made["status"], made["expires_at"]) == ("active", None)
    expected = Credential(
        credential_id=made["key_id"],
        merchant_id=merchant,
        scopes=("merchants:read", "pricing:read"),
    )
    assert await directory(app).authenticate(made["secret"]) == expected
    assert await directory(app).current(merchant, made["key_id"]) == expected


async def test_a_replay_says_that_the_secret_was_shown(app):
    merchant = await onboarded(app)
    path, attempt = f"/v1/merchants/{merchant}/api-keys", key()

    first = await app.post(path, BODY, key=attempt, headers=app.headers())
    again = await app.post(path, BODY, key=attempt, headers=app.headers())

    assert first.json()["secret"]
    assert again.json() == {**first.json(), "secret": None, "secret_already_shown": True}
    assert again.headers["idempotent-replayed"] == "true"


async def test_sixteen_identical_creations_make_one_key_and_tell_one_secret(app):
    merchant = await onboarded(app)
    path, attempt = f"/v1/merchants/{merchant}/api-keys", key()

    answers = await asyncio.gather(
        *(app.post(path, BODY, key=attempt, headers=app.headers()) for _ in range(16))
    )

    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({one["key_id"] for one in made}) == 1
    (secret,) = [one["secret"] for one in made if one["secret"] is not None]
    assert await directory(app).authenticate(secret) is not None
    listed = await app.client.get(path, headers=app.headers())
    assert len(listed.json()["data"]) == 1


async def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(app, clock):
    old = await issued(app, await onboarded(app))

    answer = await act(app, old, "rotate", {"overlap_seconds": 600})

    new = answer.json()
    assert answer.status_code == 201
    assert new["secret"] != old["secret"]
    assert (new["name"], new["scopes"], new["rotated_from"]) == (
        old["name"],
        old["scopes"],
        old["key_id"],
    )
    before = await shown(app, old)
    assert (before["status"], before["rotated_to"]) == ("expiring", new["key_id"])
    assert await directory(app).authenticate(old["secret"]) is not None
    clock.advance(seconds=600)
    assert (await shown(app, old))["status"] == "expired"
    assert await directory(app).authenticate(old["secret"]) is None
    assert await directory(app).authenticate(new["secret"]) is not None


async def test_the_overlap_is_a_day_unless_said_and_can_be_none(app):
    merchant = await onboarded(app)
    one, other = await issued(app, merchant), await issued(app, merchant)

    await act(app, one, "rotate", {})
    await act(app, other, "rotate", {"overlap_seconds": 0})

    assert (await shown(app, one))["expires_at"] == one["created_at"] + DAY_SECONDS * 1_000
    assert (await shown(app, other))["status"] == "expired"
    assert await directory(app).authenticate(other["secret"]) is None


async def test_a_key_is_rotated_once(app):
    made = await issued(app, await onboarded(app))
    await act(app, made, "rotate", {})

    again = await act(app, made, "rotate", {})

    assert (again.status_code, again.json()["code"]) == (409, "api_key_transition_refused")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token_of(app: RunningApp, made: dict[str, Any]) -> str:
    answer = await app.client.post(
        "/v1/auth/token",
        data={
            "grant_type": "client_credentials",
            "client_id": made["key_id"],
            "client_secret": made["secret"],
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


async def test_a_revoked_key_is_refused_by_another_process_on_the_next_request(app, service, clock):
    made = await issued(app, await onboarded(app))
    path = f"/v1/merchants/{made['merchant_id']}"
    async with running_app(
        database_url=service, plugins=[plugin], overrides=Overrides(clock=clock)
    ) as other:
        tokens = [made["secret"], await token_of(other, made)]
        before = [await other.client.get(path, headers=bearer(one)) for one in tokens]
        answer = await act(app, made, "revoke", {"reason": "laptop was stolen"})
        after = [await other.client.get(path, headers=bearer(one)) for one in tokens]

    assert [one.status_code for one in before] == [200, 200]
    assert (answer.json()["status"], answer.json()["revoked_because"]) == (
        "revoked",
        "laptop was stolen",
    )
    assert [one.status_code for one in after] == [401, 401]


async def test_replaced_scopes_count_at_once_for_the_key_and_for_its_tokens(app):
    made = await issued(app, await onboarded(app))
    tokens = [made["secret"], await token_of(app, made)]

    answer = await act(app, made, "scopes", {"scopes": ["pricing:read"]})

    assert answer.json()["scopes"] == ["pricing:read"]
    merchant = f"/v1/merchants/{made['merchant_id']}"
    for token in tokens:
        allowed = await app.client.get(f"{merchant}/pricing", headers=bearer(token))
        denied = await app.client.get(merchant, headers=bearer(token))
        assert (allowed.status_code, denied.status_code) == (200, 403)


async def test_a_key_ends_when_it_was_said_to(app, clock):
    merchant = await onboarded(app)
    by_lifetime = await issued(app, merchant, lifetime_seconds=60)
    by_time = await issued(app, merchant, expires_at="2025-10-09T08:54:20Z")

    assert by_lifetime["expires_at"] == by_time["expires_at"]
    clock.advance(seconds=59)
    assert await directory(app).authenticate(by_time["secret"]) is not None
    clock.advance(seconds=1)
    assert await directory(app).authenticate(by_lifetime["secret"]) is None
    assert (await shown(app, by_time))["status"] == "expired"


async def test_lists_are_paged_and_narrowed_by_the_status_that_is_shown(app, clock):
    merchant = await onboarded(app)
    made = []
    for lifetime in (None, None, None, 60):
        made.append(await issued(app, merchant, lifetime_seconds=lifetime))
        clock.advance(seconds=1)  # ids are in the order of time
    await act(app, made[1], "revoke", {"reason": "x"})
    await act(app, made[2], "rotate", {})
    clock.advance(seconds=60)

    async def listed(**query: Any) -> dict[str, Any]:
        path = f"/v1/merchants/{merchant}/api-keys"
        return (await app.client.get(path, params=query, headers=app.headers())).json()

    statuses = [one["status"] for one in (await listed())["data"]]
    assert statuses == ["active", "expired", "expiring", "revoked", "active"]
    for status, number in (("active", 2), ("expired", 1), ("expiring", 1), ("revoked", 1)):
        found = await listed(status=status)
        assert [one["status"] for one in found["data"]] == [status] * number
    first = await listed(limit=3)
    rest = await listed(limit=3, cursor=first["next_cursor"])
    ids = [one["key_id"] for one in (*first["data"], *rest["data"])]
    assert ids == [one["key_id"] for one in (await listed())["data"]]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"scopes": ["nobody:knows"]}, 422, "invalid_request"),
        ({"scopes": ["Payments:READ"]}, 422, "invalid_request"),
        ({"scopes": []}, 422, "invalid_request"),
        ({"scopes": ["pricing:read", "pricing:read"]}, 422, "invalid_request"),
        ({"scopes": ["merchants:create"]}, 422, "scope_not_grantable"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "api_key_expiry_out_of_range"),
        ({"expires_at": "2099-01-01T00:00:00Z"}, 422, "api_key_expiry_out_of_range"),
        (
            {"expires_at": "2026-01-01T00:00:00Z", "lifetime_seconds": 60},
            422,
            "invalid_request",
        ),
        ({"lifetime_seconds": 731 * DAY_SECONDS}, 422, "invalid_request"),
        ({"secret": "fk_test_mine"}, 422, "invalid_request"),
    ],
)
async def test_what_a_key_cannot_be_is_refused(app, change, status, code):
    merchant = await onboarded(app)
    answer = await app.post(
        f"/v1/merchants/{merchant}/api-keys",
        {**BODY, **change},
        key=key(),
        headers=app.headers(merchant_id=merchant),
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_refused_scope_stays_refused_under_its_key(app):
    merchant = await onboarded(app)
    path, attempt = f"/v1/merchants/{merchant}/api-keys", key()
    body = {**BODY, "scopes": ["merchants:create"]}

    first = await app.post(path, body, key=attempt, headers=app.headers())
    again = await app.post(path, body, key=attempt, headers=app.headers())

    assert first.json()["facts"] == again.json()["facts"] == {"scope": "merchants:create"}
    assert again.headers["idempotent-replayed"] == "true"


class Sent:
    value = "sent"

    def matches(self, stored: str) -> bool:
        return stored == self.value


def narrowed(merchant: str, *scopes: str) -> Actor:
    return Actor(subject="key:key_1", roles=(MERCHANT_ADMIN,), merchant_id=merchant, scopes=scopes)


async def test_a_key_that_manages_keys_gives_no_more_than_it_has(app):
    merchant = await onboarded(app)
    wide = await issued(app, merchant)
    keys = app.context.services.get(ApiKeys)
    actor = narrowed(merchant, "api_keys:manage", "merchants:read")

    def call() -> IdempotentCall:
        return IdempotentCall(key=key(), fingerprint=Sent())

    beyond = NewKey(name="x", scopes=("pricing:read",))
    within = NewKey(name="x", scopes=("merchants:read", "api_keys:manage"))
    refused = (await keys.create(merchant, beyond, actor=actor, call=call())).answer
    given = await keys.create(merchant, within, actor=actor, call=call())
    rotated = await keys.rotate(
        merchant, wide["key_id"], overlap_seconds=0, actor=actor, call=call()
    )
    widened = await keys.rescope(
        merchant, given.answer.result["key_id"], ["pricing:read"], actor=actor, call=call()
    )

    codes = [one.result.get("code") for one in (refused, rotated.answer, widened)]
    assert codes == ["scope_not_grantable"] * 3
    assert rotated.secret is None
    assert given.secret is not None
    assert await directory(app).authenticate(wide["secret"]) is not None


async def test_a_merchant_has_no_more_active_keys_than_it_may(app):
    merchant = await onboarded(app)
    first = await issued(app, merchant)
    for _ in range(ACTIVE_KEYS_MAX - 1):
        await issued(app, merchant)
    path = f"/v1/merchants/{merchant}/api-keys"

    refused = await app.post(path, BODY, key=key(), headers=app.headers())
    rotated = await act(app, first, "rotate", {})
    await act(app, rotated.json(), "revoke", {"reason": "x"})
    allowed = await app.post(path, BODY, key=key(), headers=app.headers())

    assert (refused.status_code, refused.json()["code"]) == (409, "api_key_limit_reached")
    assert refused.json()["facts"] == {"limit": ACTIVE_KEYS_MAX}
    assert (rotated.status_code, allowed.status_code) == (201, 201)


async def change_merchant(app: RunningApp, merchant: str, action: str) -> None:
    path = f"/v1/merchants/{merchant}/{action}"
    answer = await app.post(path, {"reason": "x"}, key=key(), headers=app.headers())
    assert answer.status_code == 200, answer.text


async def verify_merchant(app: RunningApp, merchant: str) -> None:
    body = {"outcome": "verified", "reference": "kyb-1", "reason": "seen"}
    path = f"/v1/merchants/{merchant}/verification"
    answer = await app.post(path, body, key=key(), headers=app.headers())
    assert answer.status_code == 200, answer.text


async def test_keys_follow_their_merchant(app):
    merchant = await onboarded(app)
    made = await issued(app, merchant, scopes=["api_keys:manage", "merchants:read"])

    await verify_merchant(app, merchant)
    scopes = []
    for action in ("activate", "suspend", "activate", "suspend"):
        await change_merchant(app, merchant, action)
        found = await directory(app).authenticate(made["secret"])
        assert found is not None
        scopes.append(found.scopes)
    await change_merchant(app, merchant, "close")

    assert scopes == [("api_keys:manage", "merchants:read"), ("merchants:read",)] * 2
    assert await directory(app).authenticate(made["secret"]) is None
    assert await directory(app).current(merchant, made["key_id"]) is None
    refused = await app.post(
        f"/v1/merchants/{merchant}/api-keys", BODY, key=key(), headers=app.headers()
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "merchant_closed")


async def test_another_merchants_key_answers_exactly_as_an_absent_one(app):
    mine, theirs = await onboarded(app), await onboarded(app)
    foreign = (await issued(app, theirs))["key_id"]
    absent = "key_01k9qq3v5kf7wsc0d3jz8y2m4t"
    headers = app.headers(merchant_id=mine)

    def told(answer: Any) -> tuple[int, dict[str, Any]]:
        body = answer.json()
        return answer.status_code, {
            name: value for name, value in body.items() if name not in {"instance", "request_id"}
        }

    for merchant in (mine, theirs):
        for action, body in (
            ("", None),
            ("/rotate", {}),
            ("/revoke", {"reason": "x"}),
            ("/scopes", {"scopes": ["pricing:read"]}),
        ):
            answers = []
            for one in (foreign, absent):
                path = f"/v1/merchants/{merchant}/api-keys/{one}{action}"
                if body is None:
                    answers.append(told(await app.client.get(path, headers=headers)))
                else:
                    answers.append(told(await app.post(path, body, key=key(), headers=headers)))
            assert answers[0] == answers[1]
            assert answers[0][0] == 404
    assert await directory(app).current(mine, foreign) is None
    listed = await app.client.get(f"/v1/merchants/{theirs}/api-keys", headers=headers)
    created = await app.post(f"/v1/merchants/{theirs}/api-keys", BODY, key=key(), headers=headers)
    assert (listed.status_code, created.status_code) == (404, 404)


@pytest.mark.parametrize(
    ("role", "reads", "manages"),
    [
        (PLATFORM_ADMIN, True, True),
        (PLATFORM_OPERATOR, True, False),
        (PLATFORM_FINANCE, False, False),
        (AUDITOR, True, False),
        (MERCHANT_ADMIN, True, True),
        (MERCHANT_OPERATOR, False, False),
        (MERCHANT_VIEWER, False, False),
    ],
)
async def test_roles_do_what_they_may(app, role, reads, manages):
    merchant = await onboarded(app)
    is_merchants = role.startswith("merchant_")
    headers = app.headers(role, merchant_id=merchant if is_merchants else "")
    path = f"/v1/merchants/{merchant}/api-keys"

    listed = await app.client.get(path, headers=headers)
    made = await app.post(path, BODY, key=key(), headers=headers)

    assert listed.status_code == (200 if reads else 403)
    assert made.status_code == (201 if manages else 403)


class Counting:
    """Counts what passes to the real database."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self.sent: list[str] = []

    async def execute(self, statement: Statement) -> Result:
        self.sent.append(statement.name)
        return await self._real.execute(statement)

    async def run(self, sequence: Any) -> list[Result]:
        self.sent += [statement.name for statement in sequence]
        return await self._real.run(sequence)

    async def health(self) -> Any:
        return await self._real.health()

    async def close(self) -> None:
        """The real one belongs to the test."""


async def test_authentication_reads_once_and_not_at_all_where_the_text_cannot_be_a_key(
    app, service
):
    made = await issued(app, await onboarded(app))
    typo = made["secret"][:-1] + ("0" if made["secret"][-1] != "0" else "1")
    live = new_secret(KeyEnvironment.LIVE, lambda _bound: 7)
    unknown = new_secret(KeyEnvironment.TEST, lambda _bound: 7)
    async with HttpDatabase(service) as real:
        counting = Counting(real)
        async with running_app(
            database_url=service, plugins=[plugin], overrides=Overrides(database=counting)
        ) as other:
            counting.sent.clear()
            for text in (typo, live, "", "fk_test_", made["secret"][:-1]):
                assert await directory(other).authenticate(text) is None
            unread = list(counting.sent)
            assert await directory(other).authenticate(unknown) is None
            assert await directory(other).authenticate(made["secret"]) is not None
            assert await directory(other).current(made["merchant_id"], made["key_id"]) is not None

    assert unread == []
    assert counting.sent == [
        "merchants.api_keys.by_digest",
        "merchants.api_keys.by_digest",
        "merchants.api_keys.current",
    ]


async def test_keys_outlive_the_rotation_of_the_applications_secret(app, service, clock):
    made = await issued(app, await onboarded(app))
    settings = {
        "app_secret": "n3w" * 20,
        "app_secret_id": "k2",
        "app_secrets_previous": {"k1": str(SETTINGS["app_secret"])},
    }
    async with running_app(
        database_url=service, plugins=[plugin], settings=settings, overrides=Overrides(clock=clock)
    ) as rotated:
        newer = await issued(rotated, made["merchant_id"])
        found = [await directory(rotated).authenticate(one["secret"]) for one in (made, newer)]
    assert all(found)
    assert await directory(app).authenticate(newer["secret"]) is None  # it does not know k2


async def test_uses_are_written_down_later_once_per_key(app, service, clock):
    made = await issued(app, await onboarded(app))
    await directory(app).authenticate(made["secret"])
    clock.advance(seconds=5)
    await directory(app).authenticate(made["secret"])
    (job,) = plugin.fintech_jobs(app.context)
    before = (await shown(app, made))["last_used_at"]

    calls = len(app.calls)
    await job.run()
    used = app.calls[calls:]
    await job.run()

    assert before is None
    assert (await shown(app, made))["last_used_at"] == clock.now_milliseconds()
    assert len(used) == 1
    assert job.every_seconds >= 60


async def test_a_process_that_writes_late_does_not_turn_the_last_use_back(app, service):
    made = await issued(app, await onboarded(app))
    late = FrozenClock()
    late.advance(seconds=-3_600)
    async with running_app(
        database_url=service, plugins=[plugin], overrides=Overrides(clock=late)
    ) as other:
        await directory(app).authenticate(made["secret"])
        await directory(other).authenticate(made["secret"])
        for one in (app, other):
            (job,) = plugin.fintech_jobs(one.context)
            await job.run()

    assert (await shown(app, made))["last_used_at"] == made["created_at"]


async def test_the_memory_of_uses_is_bounded(app, monkeypatch):
    monkeypatch.setattr(key_directory, "USES_MAX", 2)
    uses = app.context.services.get(key_directory.KeyUses)
    await uses.write()
    for number in (1, 2, 3, 1):
        uses.note("mer_1", f"key_{number}")

    assert list(uses._used) == [("mer_1", "key_1"), ("mer_1", "key_2")]


async def send(app: RunningApp, path: str, body: dict[str, Any], attempt: str) -> httpx.Response:
    return await app.post(path, body, key=attempt, headers=app.headers())


async def test_no_secret_stands_in_a_table_a_log_or_a_repeated_answer(app, database_file, caplog):
    lines: list[str] = []
    sink = logger.add(lines.append, level=0, serialize=True)
    merchant = await onboarded(app)
    path = f"/v1/merchants/{merchant}/api-keys"
    try:
        with caplog.at_level(logging.DEBUG):
            creation = (path, BODY, key())
            first = await send(app, *creation)
            rotation = (f"{path}/{first.json()['key_id']}/rotate", {}, key())
            second = await send(app, *rotation)
            secrets = [first.json()["secret"], second.json()["secret"]]
            for secret in secrets:
                assert await directory(app).authenticate(secret) is not None
            revoked = await act(app, second.json(), "revoke", {"reason": "x"})
            told = [revoked.text, (await send(app, *creation)).text]
            told.append((await send(app, *rotation)).text)
            with sqlite3.connect(database_file) as connection:
                ids = connection.execute(
                    "SELECT operation_id FROM operations WHERE merchant_id = ?", (merchant,)
                ).fetchall()
                dump = "\n".join(connection.iterdump())
            for (operation_id,) in ids:
                answer = await app.client.get(
                    f"/v1/operations/{operation_id}", headers=app.headers()
                )
                told.append(answer.text)
            told.append((await app.client.get(path, headers=app.headers())).text)
            await app.deliver_events()
    finally:
        logger.remove(sink)

    assert len(ids) == 4
    assert first.json()["key_id"] in dump
    assert lines
    for secret in secrets:
        random_part = secret.removeprefix("fk_test_")[:32]
        for place in (dump, "".join(lines), caplog.text, *told):
            assert random_part not in place
