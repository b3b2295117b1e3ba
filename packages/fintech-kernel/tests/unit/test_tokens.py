import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fintech_kernel.domain.access import TokenRejected
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import StartupFault, Unauthenticated
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security import tokens
from fintech_kernel.security.token_keys import KeySet, TokenKey
from fintech_kernel.security.tokens import (
    CLOCK_LEEWAY_SECONDS,
    TOKEN_CHARACTERS_MAX,
    TokenIssuer,
    TokenVerifier,
)

NOW = 1_800_000_000
SECRET = b"b" * 64
HEADER = {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
CLAIMS: dict[str, Any] = {
    "iss": "fintech",
    "aud": "fintech-api",
    "sub": "ann",
    "iat": NOW,
    "exp": NOW + 300,
    "jti": "j1",
    "roles": ["merchant_admin"],
    "merchant_id": "mch_1",
}


def encode(raw: bytes | str) -> str:
    data = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(
    header: bytes | str, payload: bytes | str, key: bytes = SECRET, algorithm: str = "HS256"
) -> str:
    """Sign raw bytes, so that headers and payloads may be anything at all."""
    signed = f"{encode(header)}.{encode(payload)}"
    worker = jwt.get_algorithm_by_name(algorithm)
    return f"{signed}.{encode(worker.sign(signed.encode(), worker.prepare_key(key)))}"


def token(header: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
    return sign(json.dumps(HEADER | (header or {})), json.dumps(claims))


def raw_claims(**texts: str) -> str:
    """Return a signed token whose claims are JSON texts, so that they need not be valid Python."""
    members = {name: json.dumps(value) for name, value in CLAIMS.items()} | texts
    return sign(json.dumps(HEADER), "{" + ",".join(f'"{k}":{v}' for k, v in members.items()) + "}")


def doubled(member: str) -> str:
    return sign(json.dumps(HEADER), json.dumps(CLAIMS)[:-1] + f", {member}}}")


def header_text(text: str) -> str:
    return sign(text, json.dumps(CLAIMS))


def none_token(algorithm: str, signature: str = "") -> str:
    return f"{encode(json.dumps(HEADER | {'alg': algorithm}))}.{encode(json.dumps(CLAIMS))}.{signature}"


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{encode(json.dumps(CLAIMS | {'roles': ['platform_admin']}))}.{signature}"


def stray_bits(part: int) -> str:
    """Return a token with one part in a second spelling: its unused trailing bits are set."""
    parts = token(jti="j" * 3).split(".")
    if len(parts[part]) % 4 == 0:
        parts = token(jti="j" * 4).split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(parts[part][-1]) | 1]
    parts[part] = parts[part][:-1] + last
    return ".".join(parts)


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
JWK = {"kty": "oct", "k": encode(b"c" * 32)}

FORGED = {
    "empty": "",
    "no parts": "abc",
    "two parts": "a.b",
    "four parts": token() + ".x",
    "five parts as of an encrypted token": "a.b.c.d.e",
    "spaces around": f" {token()} ",
    "newline at the end": token() + "\n",
    "padding": token() + "=",
    "standard base64 alphabet": token().replace("-", "+").replace("_", "/") + "+/",
    "not ascii": token()[:-1] + "\u00e9",
    "unicode digit": token()[:-1] + "\u0661",
    "NUL inside": token()[:-5] + "\x00" + token()[-4:],
    "other secret": sign(json.dumps(HEADER), json.dumps(CLAIMS), b"z" * 64),
    "empty secret": f"{encode(json.dumps(HEADER))}.{encode(json.dumps(CLAIMS))}.{encode(b'0' * 32)}",
    "signature empty": token().rpartition(".")[0] + ".",
    "signature cut": token()[:-3],
    "payload exchanged": tampered(),
    "alg none": none_token("none", "x"),
    "alg none without signature": none_token("none"),
    "alg NONE": none_token("NONE", "x"),
    "alg nOnE": none_token("nOnE", "AAAA"),
    "alg empty": token({"alg": ""}),
    "alg null": token({"alg": None}),
    "alg a list": token({"alg": ["HS256"]}),
    "alg HS512 with the same secret": sign(
        json.dumps(HEADER | {"alg": "HS512"}), json.dumps(CLAIMS), SECRET, "HS512"
    ),
    "alg lower case": token({"alg": "hs256"}),
    "alg RS256": jwt.encode(CLAIMS, RSA_KEY, "RS256", {"typ": "at+jwt", "kid": "k1"}),
    "typ JWT": token({"typ": "JWT"}),
    "typ missing": sign('{"alg":"HS256","kid":"k1"}', json.dumps(CLAIMS)),
    "typ null": token({"typ": None}),
    "typ of another case": token({"typ": "AT+JWT"}),
    "kid of nobody": token({"kid": "k2"}),
    "kid missing": sign('{"alg":"HS256","typ":"at+jwt"}', json.dumps(CLAIMS)),
    "kid a path": token({"kid": "../../dev/null"}),
    "kid SQL": token({"kid": "k1' UNION SELECT 'x"}),
    "kid a number": token({"kid": 1}),
    "kid a list": token({"kid": ["k1"]}),
    "jwk embedded": token({"jwk": JWK}),
    "jku": token({"jku": "https://evil.test/jwks"}),
    "x5u": token({"x5u": "https://evil.test/x"}),
    "x5c": token({"x5c": ["MIIB"]}),
    "crit": token({"crit": ["exp"]}),
    "b64 false": token({"b64": False, "crit": ["b64"]}),
    "zip": token({"zip": "DEF"}),
    "cty JWT": token({"cty": "JWT"}),
    "header with a repeated alg": header_text(
        '{"alg":"none","typ":"at+jwt","kid":"k1","alg":"HS256"}'
    ),
    "header a list": header_text('["HS256"]'),
    "header not JSON": header_text("alg=HS256"),
    "header not UTF-8": sign(b"\xff\xfe", json.dumps(CLAIMS)),
    "header with a trailing object": header_text(json.dumps(HEADER) + "{}"),
    "header in a second spelling": stray_bits(0),
    "payload in a second spelling": stray_bits(1),
    "signature in a second spelling": stray_bits(2),
    "payload a string": sign(json.dumps(HEADER), '"ann"'),
    "payload null": sign(json.dumps(HEADER), "null"),
    "payload not JSON": sign(json.dumps(HEADER), "{"),
    "payload in UTF-16": sign(json.dumps(HEADER), json.dumps(CLAIMS).encode("utf-16")),
    "payload deep": sign(json.dumps(HEADER), '{"a":' + "[" * 1_000 + "]" * 1_000 + "}"),
    "payload with NaN": raw_claims(extra="NaN"),
    "repeated sub": doubled('"sub":"bob"'),
    "repeated roles": doubled('"roles":["platform_admin"]'),
    "repeated exp": doubled(f'"exp":{NOW + 900}'),
    "repeated sub, escaped": doubled('"s\\u0075b":"bob"'),
    "exp missing": token(exp=...),
    "exp past": token(exp=NOW - CLOCK_LEEWAY_SECONDS, iat=NOW - 300),
    "exp null": token(exp=None),
    "exp a float": token(exp=NOW + 300.0),
    "exp a string": token(exp=str(NOW + 300)),
    "exp true": token(exp=True),
    "exp an exponent": raw_claims(exp="18e8"),
    "exp beyond all": raw_claims(exp="9" * 400),
    "exp infinite": raw_claims(exp="1e400"),
    "exp too far away": token(exp=NOW + 901),
    "iat missing": token(iat=...),
    "iat in the future": token(iat=NOW + CLOCK_LEEWAY_SECONDS + 1, exp=NOW + 300),
    "iat a float": token(iat=NOW + 0.5),
    "iat after exp": token(iat=NOW + 20, exp=NOW + 10),
    "iat negative": token(iat=-1),
    "nbf in the future": token(nbf=NOW + CLOCK_LEEWAY_SECONDS + 1),
    "nbf a string": token(nbf=str(NOW)),
    "iss missing": token(iss=...),
    "iss of somebody else": token(iss="https://evil.test"),
    "iss with a slash": token(iss="fintech/"),
    "iss a list": token(iss=["fintech"]),
    "aud missing": token(aud=...),
    "aud of another API": token(aud="other-api"),
    "aud an empty list": token(aud=[]),
    "aud a list of others": token(aud=["a", "b"]),
    "aud a list with a number": token(aud=["fintech-api", 1]),
    "aud an object": token(aud={"fintech-api": True}),
    "aud a prefix": token(aud="fintech"),
    "sub missing": token(sub=...),
    "sub empty": token(sub=""),
    "sub a number": token(sub=1),
    "sub with a newline": token(sub="ann\nbob"),
    "sub of one of our jobs": token(sub="job:settle"),
    "sub endless": token(sub="a" * 129),
    "jti missing": token(jti=...),
    "jti empty": token(jti=""),
    "jti a number": token(jti=7),
    "roles missing": token(roles=...),
    "roles empty": token(roles=[]),
    "roles a string": token(roles="merchant_admin"),
    "roles with a number": token(roles=["merchant_admin", 1]),
    "roles repeated": token(roles=["merchant_admin", "merchant_admin"]),
    "roles unknown": token(roles=["root"]),
    "role of our jobs": token(roles=["system"], merchant_id=...),
    "platform role of a merchant": token(roles=["platform_admin"]),
    "merchant role of no merchant": token(merchant_id=...),
    "merchant empty": token(merchant_id="", roles=["platform_admin"]),
    "merchant null": token(merchant_id=None, roles=["platform_admin"]),
    "merchant with a slash": token(merchant_id="mch_1/pay"),
    "merchant a list": token(merchant_id=["mch_1"]),
    "oversized": token(extra="x" * TOKEN_CHARACTERS_MAX),
    "enormous": "a" * 1_000_000,
}


@pytest.fixture
def verifier(settings, clock) -> TokenVerifier:
    return TokenVerifier(settings, clock)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused_like_any_other(verifier: TokenVerifier, name: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(FORGED[name])
    assert str(refused.value) == "unauthenticated"
    assert isinstance(refused.value.__cause__, TokenRejected)
    assert "evil" not in str(refused.value.__cause__)


def test_the_forgeries_start_from_a_token_that_is_accepted(verifier: TokenVerifier) -> None:
    assert verifier.verify(token()).actor == Actor(
        subject="ann", roles=("merchant_admin",), merchant_id="mch_1"
    )
    assert len(FORGED) >= 70


def test_the_audience_may_be_one_of_several(verifier: TokenVerifier) -> None:
    assert verifier.verify(token(aud=["other", "fintech-api"])).actor.subject == "ann"


def test_the_leeway_counts_on_both_sides(verifier: TokenVerifier) -> None:
    assert verifier.verify(token(exp=NOW - CLOCK_LEEWAY_SECONDS + 1, iat=NOW - 300))
    assert verifier.verify(token(iat=NOW + CLOCK_LEEWAY_SECONDS, nbf=NOW + CLOCK_LEEWAY_SECONDS))


def test_time_is_the_clocks_and_not_the_machines(settings, clock) -> None:
    issuer = TokenIssuer(settings, clock, RandomIdentifiers(clock))
    issued = issuer.issue(Actor(subject="ann", roles=("auditor",)))
    assert TokenVerifier(settings, clock).verify(issued).actor.is_platform
    clock.now += 1_000_000
    with pytest.raises(Unauthenticated):
        TokenVerifier(settings, clock).verify(issued)


def pems(key: Any) -> dict[str, str]:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "jwt_private_key": private.decode(),
        "jwt_public_key": public.decode(),
        "jwt_secret": None,
    }


KEYS = {
    "RS256": RSA_KEY,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", *KEYS])
def test_what_the_issuer_signs_the_verifier_accepts(
    make_settings: Callable[..., Any], clock: Any, algorithm: str
) -> None:
    keys = pems(KEYS[algorithm]) if algorithm in KEYS else {}
    settings = make_settings(jwt_algorithm=algorithm, **keys)
    actor = Actor(subject="ann", roles=("merchant_viewer",), merchant_id="mch_1")
    issued = TokenIssuer(settings, clock, RandomIdentifiers(clock)).issue(
        actor, lifetime_seconds=60
    )
    assert TokenVerifier(settings, clock).verify(issued).actor == actor


def test_the_public_key_is_no_shared_secret(make_settings, clock) -> None:
    verifier = TokenVerifier(make_settings(jwt_algorithm="RS256", **pems(RSA_KEY)), clock)
    import hashlib
    import hmac

    for algorithm in ("HS256", "RS256"):
        signed = f"{encode(json.dumps(HEADER | {'alg': algorithm}))}.{encode(json.dumps(CLAIMS))}"
        signature = hmac.new(RSA_PUBLIC_PEM, signed.encode(), hashlib.sha256).digest()
        with pytest.raises(Unauthenticated):
            verifier.verify(f"{signed}.{encode(signature)}")


@pytest.mark.parametrize(
    "signature", [b"0", b"0" * 63, b"\x00" * 64, b"0" * 65, b"\xff" * 256, b"0" * 900]
)
@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signature_of_any_shape_is_only_refused(
    make_settings, clock, algorithm, signature
) -> None:
    settings = make_settings(jwt_algorithm=algorithm, **pems(KEYS[algorithm]))
    signed = f"{encode(json.dumps(HEADER | {'alg': algorithm}))}.{encode(json.dumps(CLAIMS))}"
    with pytest.raises(Unauthenticated) as refused:
        TokenVerifier(settings, clock).verify(f"{signed}.{encode(signature)}")
    assert str(refused.value.__cause__) == "signature does not fit"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505 - the weak key that must be refused
        ("RS256", KEYS["ES256"]),
        ("ES256", ec.generate_private_key(ec.SECP384R1())),
        ("EdDSA", KEYS["RS256"]),
    ],
)
def test_a_weak_or_foreign_key_stops_the_start(make_settings, clock, algorithm, key) -> None:
    settings = make_settings(jwt_algorithm=algorithm, **pems(key))
    with pytest.raises(StartupFault, match="JWT_PUBLIC_KEY"):
        TokenVerifier(settings, clock)
    with pytest.raises(StartupFault, match="JWT_PRIVATE_KEY"):
        TokenIssuer(settings, clock, RandomIdentifiers(clock))


def test_malformed_and_missing_keys_stop_the_start(make_settings, clock) -> None:
    identifiers = RandomIdentifiers(clock)
    with pytest.raises(StartupFault, match="JWT_PUBLIC_KEY is not a public key"):
        TokenVerifier(make_settings(jwt_algorithm="RS256", jwt_public_key="nonsense"), clock)
    public_only = make_settings(jwt_algorithm="RS256", jwt_public_key=RSA_PUBLIC_PEM.decode())
    with pytest.raises(StartupFault, match="JWT_PRIVATE_KEY is required"):
        TokenIssuer(public_only, clock, identifiers)
    with pytest.raises(StartupFault, match="JWT_PRIVATE_KEY is not"):
        TokenIssuer(
            make_settings(
                jwt_algorithm="RS256", jwt_public_key=RSA_PUBLIC_PEM.decode(), jwt_private_key="x"
            ),
            clock,
            identifiers,
        )
    with pytest.raises(StartupFault, match="64 bytes for HS512"):
        TokenVerifier(make_settings(jwt_algorithm="HS512", jwt_secret="c" * 40), clock)


@pytest.mark.parametrize(
    "actor",
    [
        Actor(subject="job:settle", roles=("platform_admin",)),
        Actor(subject="ann", roles=("merchant_admin",)),
        Actor(subject="ann", roles=("platform_admin",), merchant_id="mch_1"),
        Actor(subject="ann", roles=(), merchant_id="mch_1"),
        Actor(subject="", roles=("auditor",)),
    ],
)
def test_no_token_is_issued_that_would_be_refused(settings, clock, actor) -> None:
    with pytest.raises(ValueError, match="no token for this actor"):
        TokenIssuer(settings, clock, RandomIdentifiers(clock)).issue(actor)


@pytest.mark.parametrize("lifetime", [0, -1, 901])
def test_a_token_lives_no_longer_than_the_settings_say(settings, clock, lifetime) -> None:
    issuer = TokenIssuer(settings, clock, RandomIdentifiers(clock))
    with pytest.raises(ValueError, match="1 to 900"):
        issuer.issue(Actor(subject="ann", roles=("auditor",)), lifetime_seconds=lifetime)


def test_an_enormous_token_costs_nothing(verifier: TokenVerifier) -> None:
    started = time.thread_time()
    with pytest.raises(Unauthenticated):
        verifier.verify("a." * 500_000)
    assert time.thread_time() - started < 0.05


def test_a_token_that_was_verified_before_is_held_to_the_clock_every_time(verifier, clock) -> None:
    sent = token()
    assert verifier.verify(sent) == verifier.verify(sent)
    clock.now += (300 + CLOCK_LEEWAY_SECONDS) * 1_000
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(sent)
    assert str(caught.value.__cause__) == "expired"


def test_a_token_that_was_verified_before_ends_with_its_key(settings, clock) -> None:
    key = TokenKey(key_id="k1", algorithm="HS256", verify_with=SECRET, retires_at=NOW + 60)
    verifier = TokenVerifier(settings, clock, KeySet([key]))
    sent = token()
    verifier.verify(sent)
    clock.now += 60_000
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(sent)
    assert str(caught.value.__cause__) == "its key is retired"


def test_no_more_than_so_many_tokens_are_remembered_and_none_that_was_refused(
    verifier, monkeypatch
) -> None:
    monkeypatch.setattr(tokens, "KNOWN_TOKENS_MAX", 3)
    for number in range(9):
        verifier.verify(token(jti=f"j{number}"))
        with pytest.raises(Unauthenticated):
            verifier.verify(token(jti=f"j{number}", iss="nobody"))
    assert len(verifier._known) == 3
