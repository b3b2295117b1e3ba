"""Who stands behind a token, asked for every request: revocations, API keys, grants; over HTTP, on two apps.

A small plugin keeps API keys in a table of its own, as a real directory does.
"""

import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fintech_dbclient import Database, Migration, Statement
from fintech_kernel.contracts.credentials import Credential, CredentialDirectory
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.journal import stream_id_of
from fintech_kernel.hooks import MigrationSet, PluginManifest, ServiceProvider, hookimpl
from fintech_kernel.security.jwk_files import new_key, write_keys
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_kernel.web.openapi import openapi_faults

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"
PRINCIPAL = "/v1/auth/principal"
REVOCATIONS = "/v1/auth/revocations"
TOKEN = "/v1/auth/token"


TABLE = """
    CREATE TABLE IF NOT EXISTS vault_keys (
        id TEXT NOT NULL PRIMARY KEY, merchant_id TEXT NOT NULL, secret TEXT NOT NULL,
        scopes TEXT NOT NULL, expires_at BIGINT)
    """


@dataclass
class Vault:
    """API keys: what a secret opens, and what it may."""

    database: Database

    async def put(self, credential: Credential, secret: str) -> None:
        await self.database.execute(
            Statement(
                name="vault.put",
                sql="INSERT INTO vault_keys (id, merchant_id, secret, scopes, expires_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET secret = excluded.secret,"
                " scopes = excluded.scopes",
                params=(
                    credential.credential_id,
                    credential.merchant_id,
                    secret,
                    " ".join(credential.scopes),
                    credential.expires_at,
                ),
            )
        )

    async def authenticate(self, secret: str) -> Credential | None:
        return await self._one("SELECT * FROM vault_keys WHERE secret = ?", secret)

    async def current(self, merchant_id: str, credential_id: str) -> Credential | None:
        return await self._one(
            "SELECT * FROM vault_keys WHERE merchant_id = ? AND id = ? AND secret <> ''",
            merchant_id,
            credential_id,
        )

    async def _one(self, sql: Any, *params: str) -> Credential | None:
        result = await self.database.execute(Statement(name="vault.one", sql=sql, params=params))
        for row in result.rows:
            return Credential(
                credential_id=str(row["id"]),
                merchant_id=str(row["merchant_id"]),
                scopes=tuple(str(row["scopes"]).split()),
                expires_at=row["expires_at"],  # pyright: ignore[reportArgumentType] - a BIGINT
            )
        return None


VAULT = SimpleNamespace(
    __name__="vault",
    fintech_plugins=hookimpl(
        lambda: [
            PluginManifest(
                name="vault", summary="", table_prefix="vault_", route_prefix="/v1/vault"
            )
        ]
    ),
    fintech_migrations=hookimpl(
        lambda: [
            MigrationSet(
                name="vault",
                migrations=(
                    Migration(
                        number=1,
                        name="keys",
                        statements=(TABLE,),
                    ),
                ),
            )
        ]
    ),
    fintech_services=hookimpl(
        lambda: [
            ServiceProvider(
                name="vault.directory",
                provides=CredentialDirectory,
                requires=(),
                build=lambda context: Vault(context.database),
            )
        ]
    ),
)


@dataclass
class Key:
    """An API key of a test, which nobody else has."""

    vault: Vault
    credential: Credential
    secret: str

    @property
    def basic(self) -> dict[str, str]:
        pair = f"{self.credential.credential_id}:{self.secret}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    async def narrowed(self, *scopes: str) -> None:
        credential = self.credential
        await self.vault.put(
            Credential(
                credential_id=credential.credential_id,
                merchant_id=credential.merchant_id,
                scopes=scopes,
            ),
            self.secret,
        )

    async def revoked(self) -> None:
        await self.vault.put(self.credential, "")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url, plugins=[VAULT], overrides=Overrides(clock=clock)
    ) as app:
        yield app


@pytest.fixture
async def other(database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    """Another process: the same database and keys, and nothing else in common."""
    async with running_app(
        database_url=database_url, plugins=[VAULT], overrides=Overrides(clock=clock)
    ) as app:
        yield app


@pytest.fixture
def new_api_key(app: RunningApp) -> Any:
    async def make(*scopes: str, expires_at: int | None = None) -> Key:
        name = uuid.uuid4().hex[:12]
        credential = Credential(
            credential_id=f"key_{name}",
            merchant_id=f"mer_{name}",
            scopes=scopes or ("operations:read", "principal:read"),
            expires_at=expires_at,
        )
        vault = Vault(app.context.database)
        key = Key(vault=vault, credential=credential, secret=f"fk_test_{uuid.uuid4().hex}")
        await vault.put(credential, key.secret)
        return key

    return make


def unique(name: str) -> str:
    return f"{name}_{uuid.uuid4().hex[:12]}"


async def revoke(app: RunningApp, kind: str, value: str, **given: Any) -> Any:
    return await app.post(
        REVOCATIONS,
        {"kind": kind, "value": value, "reason": "test"},
        key=given.get("key", uuid.uuid4().hex),
        headers=given.get("headers") or app.headers(subject=unique("admin")),
    )


async def status(app: RunningApp, headers: dict[str, str]) -> int:
    return (await app.client.get(PRINCIPAL, headers=headers)).status_code


def token_id(app: RunningApp, headers: dict[str, str]) -> str:
    verifier = app.context.access._verifier
    return verifier.verify(headers["Authorization"].removeprefix("Bearer ")).token_id


async def test_a_revoked_token_is_refused_by_every_process_at_once(app, other) -> None:
    headers = app.headers(subject=unique("ann"))
    assert [await status(one, headers) for one in (app, other)] == [200, 200]
    answer = await revoke(app, "token", token_id(app, headers))
    assert answer.status_code == 201
    assert [await status(one, headers) for one in (other, app)] == [401, 401]


async def test_a_revoked_principal_may_come_back_with_a_later_token(app, other, clock) -> None:
    subject = unique("ann")
    before = app.headers(subject=subject)
    assert (await revoke(app, "principal", subject)).status_code == 201
    same_second = app.headers(subject=subject)
    clock.advance(seconds=1)
    after = app.headers(subject=subject)
    found = [await status(other, headers) for headers in (before, same_second, after)]
    assert found == [401, 401, 200]


async def test_a_revoked_signing_key_is_refused_by_every_process_at_once(
    database_url: str, tmp_path: Path, app: RunningApp
) -> None:
    file = tmp_path / "keys.json"
    write_keys(file, [new_key("EdDSA", key_id=unique("sig"), created_at=0, signs_from=0)])
    settings = {"jwt_secret": None, "jwt_keys_file": str(file)}
    async with running_app(database_url=database_url, plugins=[], settings=settings) as signed:
        headers = signed.headers()
        published = await signed.client.get("/.well-known/jwks.json")
        key_id = published.json()["keys"][0]["kid"]
        assert await status(signed, headers) == 200
        assert (await revoke(app, "signing_key", key_id)).status_code == 201
        assert await status(signed, headers) == 401


async def test_one_may_revoke_oneself(app) -> None:
    subject = unique("admin")
    headers = app.headers(subject=subject)
    assert (await revoke(app, "principal", subject, headers=headers)).status_code == 201
    assert await status(app, headers) == 401


async def test_a_revocation_is_an_operation_and_stands_in_the_trail(app, other) -> None:
    subject, key = unique("ann"), uuid.uuid4().hex
    headers = app.headers(subject=unique("admin"))
    first = await revoke(app, "principal", subject, key=key, headers=headers)
    again = await revoke(other, "principal", subject, key=key, headers=headers)
    assert (first.json(), again.json()) == (first.json(), first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    stream = await app.context.journal.stream("", first.json()["revocation_id"])
    assert [entry.type for entry in stream.verified().entries] == ["credential.revoked"]
    assert stream.stream_id == stream_id_of("", first.json()["revocation_id"])
    listed = await app.client.get(REVOCATIONS, headers=headers, params={"limit": 200})
    assert first.json() in listed.json()["data"]


async def test_the_list_has_pages(app) -> None:
    headers = app.headers(subject=unique("admin"))
    for _ in range(3):
        await revoke(app, "token", unique("jti"))
    everything = await app.client.get(REVOCATIONS, headers=headers, params={"limit": 200})
    first = (await app.client.get(REVOCATIONS, headers=headers, params={"limit": 2})).json()
    second = await app.client.get(
        REVOCATIONS, headers=headers, params={"limit": 1, "cursor": first["next_cursor"]}
    )
    assert [*first["data"], *second.json()["data"]] == everything.json()["data"][:3]


async def test_a_later_revocation_moves_a_principals_time_forward_only(app, clock) -> None:
    subject = unique("ann")
    later = (await revoke(app, "principal", subject)).json()
    clock.advance(seconds=-60)
    earlier = await revoke(app, "principal", subject)
    assert earlier.status_code == 201
    clock.advance(seconds=60)
    assert await status(app, app.headers(subject=subject)) == 401
    assert later["revoked_at"] > earlier.json()["revoked_at"]


@pytest.mark.parametrize("role", ["platform_operator", "platform_finance", "auditor"])
async def test_only_the_platforms_administrator_revokes(app, role) -> None:
    headers = app.headers(role, subject=unique("ann"))
    assert (await revoke(app, "principal", "bob", headers=headers)).status_code == 403
    listed = await app.client.get(REVOCATIONS, headers=headers)
    assert listed.status_code == (200 if role == "auditor" else 403)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "user", "value": "a", "reason": "b"},
        {"kind": "token", "value": "", "reason": "b"},
        {"kind": "token", "value": "a b", "reason": "b"},
        {"kind": "token", "value": "a" * 129, "reason": "b"},
        {"kind": "token", "value": "a", "reason": ""},
        {"kind": "token", "value": "a", "reason": "b", "revoked_at": 1},
    ],
)
async def test_a_malformed_revocation_is_refused(app, body) -> None:
    answer = await app.post(REVOCATIONS, body, key=uuid.uuid4().hex, headers=app.headers())
    assert answer.status_code == 422


async def test_a_request_asks_once_and_an_api_keys_token_in_the_same_trip(app, new_api_key) -> None:
    key = await new_api_key()
    headers = {"Authorization": f"Bearer {(await granted(app, key))['access_token']}"}
    await status(app, headers)
    app.calls.clear()
    assert await status(app, headers) == 200
    assert [call.names for call in app.calls] == [("revocations.of_token", "vault.one")]
    app.calls.clear()
    assert await status(app, app.headers(subject=unique("ann"))) == 200
    assert [call.names for call in app.calls] == [("revocations.of_token",)]
    app.calls.clear()
    assert await status(app, {"Authorization": f"Bearer {key.secret}"}) == 200
    assert [call.names for call in app.calls] == [("vault.one",)]


async def test_nothing_is_asked_for_what_is_no_token(app) -> None:
    app.calls.clear()
    for bearer in ("x", "fk_", "fk_a.b", "fk_" + "a" * 300, "a.b.c"):
        assert await status(app, {"Authorization": f"Bearer {bearer}"}) == 401
    assert app.calls == []


async def test_without_an_answer_of_the_database_a_request_is_neither_passed_nor_blamed(
    database_url: str, new_api_key
) -> None:
    key = await new_api_key()
    async with running_app(
        database_url=database_url, plugins=[VAULT], settings={"db_timeout_seconds": 0.2}
    ) as app:
        await app.context.database.close()
        asked = [
            await app.client.get(PRINCIPAL, headers=app.headers()),
            await app.client.get(PRINCIPAL, headers={"Authorization": f"Bearer {key.secret}"}),
            await revoke(app, "principal", "bob"),
            await app.client.post(
                TOKEN, data={"grant_type": "client_credentials"}, headers=key.basic
            ),
        ]
    assert [one.status_code for one in asked] == [503] * 4
    assert {one.json()["code"] for one in asked} == {"database_unavailable"}


async def granted(app: RunningApp, key: Key, **fields: str) -> dict[str, Any]:
    answer = await app.client.post(
        TOKEN, data={"grant_type": "client_credentials", **fields}, headers=key.basic
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_api_key_gets_a_short_token_that_is_as_narrow_as_it(app, new_api_key) -> None:
    key = await new_api_key("operations:read", "principal:read")
    token = await granted(app, key, scope="operations:read")
    assert (token["token_type"], token["expires_in"], token["scope"]) == (
        "Bearer",
        900,
        "operations:read",
    )
    shown = await app.client.get(
        PRINCIPAL, headers={"Authorization": f"Bearer {token['access_token']}"}
    )
    assert shown.json() == {
        "subject": f"key:{key.credential.credential_id}",
        "merchant_id": key.credential.merchant_id,
        "roles": ["merchant_admin"],
        "scopes": ["operations:read"],
        "permissions": ["operations:read", "principal:read"],
    }


async def test_an_api_key_is_a_bearer_token_itself(app, new_api_key) -> None:
    key = await new_api_key("operations:read")
    shown = await app.client.get(PRINCIPAL, headers={"Authorization": f"Bearer {key.secret}"})
    assert shown.json()["scopes"] == ["operations:read"]
    await key.revoked()
    assert await status(app, {"Authorization": f"Bearer {key.secret}"}) == 401


async def test_what_a_key_lost_its_tokens_lost_at_once(app, other, new_api_key) -> None:
    key = await new_api_key("operations:read", "principal:read")
    headers = {"Authorization": f"Bearer {(await granted(app, key))['access_token']}"}
    path = f"/v1/operations/op_{'a' * 52}"
    assert (await other.client.get(path, headers=headers)).status_code == 404
    await key.narrowed("principal:read")
    assert (await other.client.get(path, headers=headers)).status_code == 403
    await key.narrowed("operations:read", "merchants:read")
    assert (await other.client.get(PRINCIPAL, headers=headers)).json()["scopes"] == [
        "operations:read"
    ]
    await key.revoked()
    assert await status(other, headers) == 401


async def test_a_token_of_an_api_key_is_nothing_where_nobody_keeps_keys(
    database_url: str, app: RunningApp, clock: FrozenClock, new_api_key
) -> None:
    key = await new_api_key()
    headers = {"Authorization": f"Bearer {(await granted(app, key))['access_token']}"}
    async with running_app(
        database_url=database_url, plugins=[], overrides=Overrides(clock=clock)
    ) as bare:
        assert await status(bare, headers) == 401
        assert await status(bare, {"Authorization": f"Bearer {key.secret}"}) == 401
        assert (await bare.client.post(TOKEN)).status_code == 404


async def test_a_token_does_not_outlive_its_api_key(app, clock, new_api_key) -> None:
    key = await new_api_key(expires_at=clock.now_milliseconds() + 90_500)
    assert (await granted(app, key))["expires_in"] == 90
    ending = await new_api_key(expires_at=clock.now_milliseconds() + 500)
    answer = await app.client.post(
        TOKEN, data={"grant_type": "client_credentials"}, headers=ending.basic
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_id_and_secret_may_stand_in_the_form(app, new_api_key) -> None:
    key = await new_api_key()
    answer = await app.client.post(
        TOKEN,
        data={
            "grant_type": "client_credentials",
            "client_id": key.credential.credential_id,
            "client_secret": key.secret,
            "audience": "ignored",
            "scope": "",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["scope"] == "operations:read principal:read"


GRANT = "grant_type=client_credentials"


@pytest.mark.parametrize(
    ("body", "changes", "refused"),
    [
        ("", {}, (400, "invalid_request")),
        ("scope=operations:read", {}, (400, "invalid_request")),
        (f"{GRANT}&{GRANT}", {}, (400, "invalid_request")),
        (f"{GRANT}&scope=a&scope=b", {}, (400, "invalid_request")),
        (f"{GRANT}&scope", {}, (400, "invalid_request")),
        (f"{GRANT}&scope=%ff", {}, (400, "invalid_request")),
        (f"{GRANT}&x=" + "a" * 9_000, {}, (400, "invalid_request")),
        ("&".join([GRANT, *(f"x{n}=1" for n in range(20))]), {}, (400, "invalid_request")),
        (GRANT, {"content-type": "application/json"}, (400, "invalid_request")),
        (GRANT, {"content-type": ""}, (400, "invalid_request")),
        (f"{GRANT}&client_secret=fk_x", {}, (400, "invalid_request")),
        (f"{GRANT}&client_id=key_other", {}, (400, "invalid_request")),
        ("grant_type=password", {}, (400, "unsupported_grant_type")),
        ("grant_type=CLIENT_CREDENTIALS", {}, (400, "unsupported_grant_type")),
        (f"{GRANT}&scope=payments:create", {}, (400, "invalid_scope")),
        (f"{GRANT}&scope=operations:read++principal:read", {}, (400, "invalid_scope")),
        (f"{GRANT}&scope=operations:read+audit:read", {}, (400, "invalid_scope")),
        (GRANT, {"authorization": None}, (401, "invalid_client")),
        (GRANT, {"authorization": "Bearer x"}, (401, "invalid_client")),
        (GRANT, {"authorization": "Basic"}, (401, "invalid_client")),
        (GRANT, {"authorization": "Basic ####"}, (401, "invalid_client")),
        (GRANT, {"authorization": "Basic bm9jb2xvbg=="}, (401, "invalid_client")),
        (GRANT, {"authorization": "Basic a2V5X3g6ZmtfeA=="}, (401, "invalid_client")),
    ],
)
async def test_a_refused_grant_says_the_word_that_oauth_has_for_it(
    app, new_api_key, body, changes, refused
) -> None:
    key = await new_api_key()
    headers = {"content-type": FORM, **{k.lower(): v for k, v in key.basic.items()}} | changes
    answer = await app.client.post(
        TOKEN, content=body, headers={k: v for k, v in headers.items() if v is not None}
    )
    problem = answer.json()
    assert (answer.status_code, problem["error"]) == refused
    assert problem["status"] == answer.status_code
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    assert key.secret not in answer.text


async def test_another_keys_secret_does_not_fit_an_id(app, new_api_key) -> None:
    mine, others = await new_api_key(), await new_api_key()
    pair = f"{mine.credential.credential_id}:{others.secret}".encode()
    answer = await app.client.post(
        TOKEN,
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_shared_secrets_are_never_published(app) -> None:
    answer = await app.client.get("/.well-known/jwks.json")
    assert answer.json() == {"keys": []}
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["content-type"] == "application/jwk-set+json"


async def test_the_document_offers_both_ways_to_authenticate(app) -> None:
    document = app.app.openapi()
    schemes = document["components"]["securitySchemes"]
    flow = schemes["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == TOKEN
    assert document["paths"][PRINCIPAL]["get"]["security"] == [
        {"bearer": []},
        {"oauth2": ["principal:read"]},
    ]
    assert "security" not in document["paths"][TOKEN]["post"]
    assert set(flow["scopes"]) == set(app.context.permissions.names())
    assert openapi_faults(document) == []


async def test_a_token_names_its_api_key_twice_or_is_none(app) -> None:
    issuer = app.context.token_issuer
    actor = Actor(subject="key:key_1", roles=("merchant_admin",), merchant_id="mer_1")
    for wrong in ({}, {"client_id": "key_2"}):
        with pytest.raises(ValueError, match="do not name one API key"):
            issuer.issue(actor, **wrong)
    with pytest.raises(ValueError, match="do not name one API key"):
        issuer.issue(Actor(subject="ann", roles=("auditor",)), client_id="key_1")
