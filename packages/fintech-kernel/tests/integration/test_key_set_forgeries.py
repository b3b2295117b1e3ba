"""Tokens forged against a set of keys, sent over HTTP: one and the same 401, whatever is wrong."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from fintech_kernel.security.jwk_files import new_key, write_keys
from fintech_kernel.security.token_keys import TokenKey
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides

pytestmark = pytest.mark.anyio

NOW = FrozenClock().now_milliseconds() // 1_000
PATH = "/v1/auth/principal"
DIFFERS = ("x-request-id", "traceparent")
"""Headers that name the request, so that no two are alike."""


def key(name: str, algorithm: str, **times: int) -> TokenKey:
    made = {"created_at": 0, "signs_from": 0} | times
    return new_key(algorithm, key_id=name, **made)


RSA, EC, ED, HS = (key(name, name) for name in ("RS256", "ES256", "EdDSA", "HS256"))
STRANGER = key("EdDSA", "EdDSA")
RETIRED = TokenKey(
    key_id="retired",
    algorithm=ED.algorithm,
    verify_with=ED.verify_with,
    sign_with=ED.sign_with,
    retires_at=NOW,
)
CLAIMS: dict[str, Any] = {
    "iss": "fintech",
    "aud": "fintech-api",
    "sub": "ann",
    "iat": NOW,
    "exp": NOW + 300,
    "jti": "j1",
    "roles": ["platform_admin"],
}
API_KEY = {"sub": "key:k", "merchant_id": "mer_1", "roles": ["merchant_admin"]}


def encode(raw: bytes | str) -> str:
    data = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(by: TokenKey, header: dict[str, Any] | str | None = None, **claims: Any) -> str:
    """Return what ``by`` signed by its own algorithm, under whatever header."""
    given = header if isinstance(header, dict) else {}
    says = {"alg": by.algorithm, "typ": "at+jwt", "kid": by.key_id} | given
    text = header if isinstance(header, str) else json.dumps(says)
    body = {k: v for k, v in (CLAIMS | claims).items() if v is not ...}
    signed = f"{encode(text)}.{encode(json.dumps(body))}"
    worker = jwt.get_algorithm_by_name(by.algorithm)
    return f"{signed}.{encode(worker.sign(signed.encode(), by.sign_with))}"


def pem(public: Any) -> bytes:
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def shared(secret: bytes, kid: str, alg: str = "HS256") -> str:
    """Return a token whose shared secret is something that everybody knows."""
    header = json.dumps({"alg": alg, "typ": "at+jwt", "kid": kid})
    signed = f"{encode(header)}.{encode(json.dumps(CLAIMS))}"
    return f"{signed}.{encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def der(public: Any) -> bytes:
    return public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


FORGED = {
    "kid of another key, own alg": forged(ED, {"kid": "ES256"}),
    "kid and alg of another key": forged(ED, {"kid": "ES256", "alg": "ES256"}),
    "alg of another key": forged(ED, {"alg": "RS256"}),
    "alg none under a known kid": forged(ED, {"alg": "none"}),
    "alg HS256 under a public key's kid": forged(HS, {"kid": "RS256"}),
    "the same kid, a stranger's key": forged(STRANGER),
    "RSA public key in PEM as secret": shared(pem(RSA.verify_with), "RS256"),
    "RSA public key in PEM as secret of the HS kid": shared(pem(RSA.verify_with), "HS256"),
    "RSA public key in DER as secret": shared(der(RSA.verify_with), "HS256"),
    "EC public key as secret": shared(pem(EC.verify_with), "ES256"),
    "EC public key as secret of the HS kid": shared(pem(EC.verify_with), "HS256"),
    "JWK of a public key as secret": shared(json.dumps(ED.public_jwk()).encode(), "EdDSA"),
    "x of a JWK as secret": shared(ED.public_jwk()["x"].encode(), "HS256"),
    "empty secret": shared(b"", "HS256"),
    "kid as secret": shared(b"HS256", "HS256"),
    "RS256 header over an HMAC": shared(pem(RSA.verify_with), "RS256", alg="RS256"),
    "jwk embedded": forged(STRANGER, {"jwk": STRANGER.public_jwk()}),
    "jwk embedded, signed by us": forged(ED, {"jwk": ED.public_jwk()}),
    "jku": forged(STRANGER, {"jku": "https://evil.test/jwks.json"}),
    "jku of our own set": forged(ED, {"jku": "http://app.test/.well-known/jwks.json"}),
    "x5u": forged(ED, {"x5u": "https://evil.test/cert"}),
    "x5c": forged(ED, {"x5c": ["MIIB"]}),
    "x5t": forged(ED, {"x5t": "abc"}),
    "crit": forged(ED, {"crit": ["kid"], "kid": "EdDSA"}),
    "crit empty": forged(ED, {"crit": []}),
    "b64 false": forged(ED, {"b64": False, "crit": ["b64"]}),
    "kid a path": forged(ED, {"kid": "../../../../dev/null"}),
    "kid a path beside the file": forged(ED, {"kid": "keys.json"}),
    "kid SQL": forged(ED, {"kid": "EdDSA' OR '1'='1"}),
    "kid SQL union": forged(ED, {"kid": "x' UNION SELECT 'k'--"}),
    "kid with NUL": forged(ED, {"kid": "EdDSA\x00"}),
    "kid with a blank": forged(ED, {"kid": "EdDSA "}),
    "kid of another case": forged(ED, {"kid": "eddsa"}),
    "kid empty": forged(ED, {"kid": ""}),
    "kid null": forged(ED, {"kid": None}),
    "kid a number": forged(ED, {"kid": 0}),
    "kid a list of kids": forged(ED, {"kid": ["EdDSA"]}),
    "kid an object": forged(ED, {"kid": {"EdDSA": 1}}),
    "kid true": forged(ED, {"kid": True}),
    "kid of the settings' default": forged(ED, {"kid": "k1"}),
    "kid missing, one key would fit": forged(ED, '{"alg":"EdDSA","typ":"at+jwt"}'),
    "kid twice": forged(ED, '{"alg":"EdDSA","typ":"at+jwt","kid":"ES256","kid":"EdDSA"}'),
    "alg twice": forged(ED, '{"alg":"none","typ":"at+jwt","kid":"EdDSA","alg":"EdDSA"}'),
    "kid twice, once escaped": forged(
        ED, '{"alg":"EdDSA","typ":"at+jwt","kid":"EdDSA","\\u006bid":"ES256"}'
    ),
    "a retired key": forged(RETIRED),
    "a retired key's signature under a good kid": forged(RETIRED, {"kid": "ES256"}),
    "an API key that does not exist": forged(ED, **API_KEY, client_id="k"),
    "an API key without client_id": forged(ED, **API_KEY),
    "client_id of another API key": forged(ED, **API_KEY, client_id="other"),
    "client_id of a person": forged(ED, client_id="k"),
    "client_id null": forged(ED, client_id=None),
    "an API key of no merchant": forged(ED, sub="key:k", client_id="k"),
    "scope empty": forged(ED, scope=""),
    "scope a list": forged(ED, scope=["audit:read"]),
    "scope with two blanks": forged(ED, scope="audit:read  principal:read"),
    "scope repeated": forged(ED, scope="audit:read audit:read"),
    "scope with a quote": forged(ED, scope='audit:read"'),
    "scopes without end": forged(ED, scope=" ".join(f"a:b{n}" for n in range(65))),
    "signature of the other token": f"{forged(ED).rpartition('.')[0]}."
    + forged(EC).rpartition(".")[2],
    "signature in DER": f"{forged(EC).rpartition('.')[0]}." + encode(b"0D" + b"\x02 " * 34),
    "signature of zeros": f"{forged(EC).rpartition('.')[0]}." + encode(bytes(64)),
    "a JWE": encode('{"alg":"dir","enc":"A128GCM"}') + "..a.b.c",
    "a detached payload": "{0}..{2}".format(*forged(ED).split(".")),
    "JSON serialization": json.dumps({"payload": "e30", "signatures": []}),
    "a nested token": forged(ED, {"cty": "JWT"}),
    "zip": forged(ED, {"zip": "DEF"}),
    "an id token": forged(ED, {"typ": "JWT"}),
    "typ with its prefix": forged(ED, {"typ": "application/at+jwt"}),
    "our JWK set": json.dumps({"keys": [ED.public_jwk()]}).replace(" ", ""),
    "an API key": "fk_live_0000000000000000000000000000",
}


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[RunningApp]:
    file = tmp_path / "keys.json"
    write_keys(file, [RSA, EC, ED, HS, RETIRED])
    async with running_app(
        database_url=database_url,
        plugins=[],
        settings={"jwt_secret": None, "jwt_keys_file": str(file)},
        overrides=Overrides(clock=FrozenClock()),
    ) as app:
        yield app


async def answer_to(app: RunningApp, token: str) -> Any:
    answer = await app.client.get(PATH, headers={"Authorization": f"Bearer {token}"})
    body = {k: v for k, v in answer.json().items() if k not in {"request_id", "instance"}}
    headers = [(k, v) for k, v in answer.headers.items() if k not in DIFFERS]
    length = len(answer.content)
    return answer.status_code, body, headers, length


async def test_every_forgery_gets_one_and_the_same_401(app: RunningApp) -> None:
    assert len(FORGED) >= 70
    expected = await answer_to(app, "nonsense")
    assert expected[0] == 401
    answers = {name: await answer_to(app, token) for name, token in FORGED.items()}
    assert {name: one for name, one in answers.items() if one != expected} == {}


async def test_the_forgeries_start_from_tokens_that_are_accepted(app: RunningApp) -> None:
    for good in (RSA, EC, ED, HS):
        assert (await answer_to(app, forged(good)))[0] == 200
