"""Tokens that somebody without our key, or with an old or foreign one, could send.

All start from claims that are accepted; each spoils one thing. ``...`` leaves a claim out.
"""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fintech_kernel.testing.apps import SETTINGS

SECRET: Final = str(SETTINGS["jwt_secret"]).encode()
HEADER: Final = {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
EVIL: Final = "https://evil.test/keys"


def encode(raw: bytes | str) -> str:
    data = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Makes tokens of any header and claims, signed with our secret unless said otherwise."""

    def __init__(self, merchant_id: str) -> None:
        self.now = int(time.time())
        self.claims: dict[str, Any] = {
            "iss": "fintech",
            "aud": "fintech-api",
            "sub": "ann",
            "iat": self.now,
            "exp": self.now + 300,
            "jti": "j1",
            "roles": ["merchant_admin"],
            "merchant_id": merchant_id,
        }

    def token(self, header: dict[str, Any] | None = None, /, **changes: Any) -> str:
        claims = {name: one for name, one in (self.claims | changes).items() if one is not ...}
        return self.signed(json.dumps(HEADER | (header or {})), json.dumps(claims))

    def signed(self, header: bytes | str, payload: bytes | str, key: bytes = SECRET) -> str:
        text = f"{encode(header)}.{encode(payload)}"
        return f"{text}.{encode(hmac.digest(key, text.encode(), hashlib.sha256))}"

    def without_kid(self) -> str:
        return self.signed('{"alg":"HS256","typ":"at+jwt"}', json.dumps(self.claims))

    def headed(self, header: str) -> str:
        return self.signed(header, json.dumps(self.claims))

    def claimed(self, claims: bytes | str) -> str:
        return self.signed(json.dumps(HEADER), claims)

    def doubled(self, member: str) -> str:
        return self.claimed(json.dumps(self.claims)[:-1] + f",{member}}}")

    def unsigned(self, algorithm: object, signature: str = "") -> str:
        header = encode(json.dumps(HEADER | {"alg": algorithm}))
        return f"{header}.{encode(json.dumps(self.claims))}.{signature}"

    def by_another_key(self, algorithm: str) -> str:
        keys = {
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        headers = {"typ": "at+jwt", "kid": "k1"}
        return jwt.encode(self.claims, keys[algorithm](), algorithm, headers)

    def exchanged(self, **changes: Any) -> str:
        head, _, signature = self.token().split(".")
        return f"{head}.{encode(json.dumps(self.claims | changes))}.{signature}"

    def forgeries(self) -> dict[str, str]:
        """Return every forgery by what is wrong with it."""
        return {**self._shapes(), **self._headers(), **self._claims()}

    def _shapes(self) -> dict[str, str]:
        good = self.token()
        head, payload, signature = good.split(".")
        return {
            "empty": "",
            "no parts": "abc",
            "two parts": f"{head}.{payload}",
            "four parts": f"{good}.x",
            "five parts as of an encrypted token": f"{head}..{payload}.{signature}.x",
            "spaces around": f"  {good} ",
            "twice": f"{good} {good}",
            "with a comma": f"{good},{good}",
            "quoted": f'"{good}"',
            "line break inside": f"{head}.\n{payload}.{signature}",
            "NUL inside": f"{head}.{payload}\x00.{signature}",
            "not ASCII": f"{head}.{payload}.{signature}é",
            "padding": good + "=",
            "standard base64 alphabet": f"{head}.{payload}.+/{signature}",
            "signature empty": f"{head}.{payload}.",
            "signature cut": good[:-3],
            "signature of nothing": f"{head}.{payload}.{encode(b'0' * 32)}",
            "signature in a second spelling": good[:-1] + chr(ord(good[-1]) + 1),
            "other secret": self.signed(json.dumps(HEADER), json.dumps(self.claims), b"z" * 48),
            "empty secret": self.signed(json.dumps(HEADER), json.dumps(self.claims), b""),
            "payload exchanged": self.exchanged(roles=["platform_admin"]),
            "merchant exchanged": self.exchanged(merchant_id="mer_1"),
            "oversized": self.token(extra="x" * 9_000),
        }

    def _headers(self) -> dict[str, str]:
        jwk = {"kty": "oct", "k": encode(SECRET)}
        return {
            **{
                f"alg {name!r}": self.unsigned(name, signature)
                for name in ("none", "NONE", "nOnE", "", None, 0, ["HS256"], "HS256 ")
                for signature in ("AAAA",)
            },
            "alg none without signature": self.unsigned("none"),
            "alg lower case": self.token({"alg": "hs256"}),
            "alg HS512 with the signature of HS256": self.token({"alg": "HS512"}),
            "alg RS256 by another key": self.by_another_key("RS256"),
            "alg ES256 by another key": self.by_another_key("ES256"),
            "alg EdDSA by another key": self.by_another_key("EdDSA"),
            "typ JWT": self.token({"typ": "JWT"}),
            "typ missing": self.headed('{"alg":"HS256","kid":"k1"}'),
            "typ null": self.token({"typ": None}),
            "kid of nobody": self.token({"kid": "k2"}),
            "kid missing": self.without_kid(),
            "kid a path": self.token({"kid": "../../../dev/null"}),
            "kid SQL": self.token({"kid": "k1' UNION SELECT 'x"}),
            "kid a list": self.token({"kid": ["k1"]}),
            "kid a number": self.token({"kid": 1}),
            "kid an object": self.token({"kid": {"k1": 1}}),
            "jwk embedded": self.token({"jwk": jwk}),
            "jku": self.token({"jku": EVIL}),
            "x5u": self.token({"x5u": EVIL}),
            "x5c": self.token({"x5c": ["MIIB"]}),
            "crit": self.token({"crit": ["exp"]}),
            "b64 false": self.token({"b64": False, "crit": ["b64"]}),
            "zip": self.token({"zip": "DEF"}),
            "repeated alg": self.headed('{"alg":"none","typ":"at+jwt","kid":"k1","alg":"HS256"}'),
            "header a list": self.headed('["HS256"]'),
            "header not JSON": self.headed("alg=HS256"),
            "header not UTF-8": self.signed(b"\xff\xfe", json.dumps(self.claims)),
            "header deep": self.headed('{"alg":' + "[" * 500 + "]" * 500 + "}"),
        }

    def _claims(self) -> dict[str, str]:
        now, token = self.now, self.token
        past = {"exp": now - 3_600, "iat": now - 3_900}
        return {
            "payload a string": self.claimed('"ann"'),
            "payload null": self.claimed("null"),
            "payload a list": self.claimed("[]"),
            "payload not JSON": self.claimed("{"),
            "payload in UTF-16": self.claimed(json.dumps(self.claims).encode("utf-16")),
            "payload deep": self.claimed('{"a":' + "[" * 500 + "]" * 500 + "}"),
            "payload with NaN": self.doubled('"extra":NaN'),
            "repeated sub": self.doubled('"sub":"bob"'),
            "repeated sub, escaped": self.doubled('"s\\u0075b":"bob"'),
            "repeated roles": self.doubled('"roles":["platform_admin"]'),
            "repeated exp": self.doubled(f'"exp":{now + 900}'),
            "exp missing": token(exp=...),
            "exp past": token(**past),
            "exp null": token(exp=None),
            "exp a float": token(exp=now + 300.5),
            "exp a string": token(exp=str(now + 300)),
            "exp true": token(exp=True),
            "exp beyond all": token(exp=10**400),
            "exp too far away": token(exp=now + 10**6),
            "iat missing": token(iat=...),
            "iat in the future": token(iat=now + 3_600, exp=now + 3_900),
            "iat a float": token(iat=now + 0.5),
            "iat negative": token(iat=-1),
            "nbf in the future": token(nbf=now + 3_600),
            "nbf a string": token(nbf=str(now)),
            "iss missing": token(iss=...),
            "iss of somebody else": token(iss=EVIL),
            "iss a list": token(iss=["fintech"]),
            "aud missing": token(aud=...),
            "aud of another API": token(aud="other-api"),
            "aud an empty list": token(aud=[]),
            "aud an object": token(aud={"fintech-api": True}),
            "aud a prefix": token(aud="fintech"),
            "sub missing": token(sub=...),
            "sub empty": token(sub=""),
            "sub a number": token(sub=1),
            "sub with a line break": token(sub="ann\nbob"),
            "sub of one of our jobs": token(sub="job:settle"),
            "sub endless": token(sub="a" * 500),
            "jti missing": token(jti=...),
            "jti a number": token(jti=7),
            "roles missing": token(roles=...),
            "roles empty": token(roles=[]),
            "roles a string": token(roles="merchant_admin"),
            "roles repeated": token(roles=["merchant_admin", "merchant_admin"]),
            "roles unknown": token(roles=["root"]),
            "role of our jobs": token(roles=["system"], merchant_id=...),
            "platform role of a merchant": token(roles=["platform_admin"]),
            "roles of both kinds": token(roles=["merchant_admin", "platform_admin"]),
            "merchant role of no merchant": token(merchant_id=...),
            "merchant empty": token(merchant_id="", roles=["platform_admin"]),
            "merchant null": token(merchant_id=None, roles=["platform_admin"]),
            "merchant with a slash": token(merchant_id="mer_1/pay_1"),
            "merchant a list": token(merchant_id=[self.claims["merchant_id"]]),
        }
