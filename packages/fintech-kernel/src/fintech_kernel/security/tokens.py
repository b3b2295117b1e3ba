"""Access tokens: JWTs of RFC 9068 (``at+jwt``), signed with one key by one algorithm.

PyJWT's algorithms check the signature. Everything else is checked here, against the clock that was
given and over JSON that was read strictly: a claim that occurs twice, a float for a time, a header
that brings its own key are refused. Whatever is wrong, the caller gets one and the same
``Unauthenticated``; the reason is its ``__cause__``, for the log.

A principal belongs to a merchant and has merchant roles, or to the platform and has platform roles.
A token that mixes them, or that has merchant roles without a merchant, is refused: read loosely it
would see every merchant.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.permissions import MERCHANT_ROLES, PLATFORM_ROLES
from fintech_kernel.errors import StartupFault, Unauthenticated
from fintech_kernel.identifiers import MERCHANT_ID, Identifiers
from fintech_kernel.settings import KernelSettings
from fintech_kernel.strict_json import NotStrictJson, SentJson, parse_strict_json

TOKEN_CHARACTERS_MAX: Final = 4_096
"""Longest token that is looked at."""

CLOCK_LEEWAY_SECONDS: Final = 30
"""How far the issuer's clock and ours may be apart."""

ROLES_MAX: Final = 8
"""Roles in one token."""

AUDIENCES_MAX: Final = 8
"""Audiences in one token."""

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068, not a password
RESERVED_SUBJECT_PREFIX: Final = "job:"
"""Subjects of our own jobs; nobody can log in as one of them."""

HMAC_KEY_BYTES_MIN: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""A key must be at least as long as the hash (RFC 7518 section 3.2)."""

RSA_KEY_BITS_MIN: Final = 2_048

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SUBJECT: Final = re.compile(r"[A-Za-z0-9_.:@|+-]{1,128}")
_TOKEN_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

_VerifyKey: TypeAlias = "bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey"
_SignKey: TypeAlias = "bytes | RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey"


class TokenRejected(Exception):
    """Why a token is not accepted: fixed text, for logs. It never reaches a client."""


class TokenVerifier:
    """Verifies tokens with the one key and the one algorithm of the settings."""

    def __init__(self, settings: KernelSettings, clock: Clock) -> None:
        """Read the key.

        Raises:
            StartupFault: the key is missing, malformed, too weak, or of another algorithm.
        """
        self._header = {
            "alg": settings.jwt_algorithm,
            "typ": TOKEN_TYPE,
            "kid": settings.jwt_key_id,
        }
        self._algorithm = jwt.get_algorithm_by_name(settings.jwt_algorithm)
        self._key: object = self._algorithm.prepare_key(_verification_key(settings))
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._lifetime_seconds_max = settings.jwt_lifetime_seconds
        self._clock = clock

    def verify(self, token: str) -> Actor:
        """Return whom a token names.

        Raises:
            Unauthenticated: for every fault alike; ``__cause__`` says which.
        """
        try:
            claims = self._signed_claims(token)
            self._check_times(claims)
            self._check_names(claims)
            return _actor(claims)
        except TokenRejected as reason:
            raise Unauthenticated(Unauthenticated.code) from reason

    def _signed_claims(self, token: str) -> Mapping[str, SentJson]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenRejected("longer than a token may be")
        parts = _COMPACT.fullmatch(token)
        if parts is None:
            raise TokenRejected("not three base64url parts")
        header, payload, signature = (_decoded(part) for part in parts.groups())
        self._check_header(_json_object(header, "header"))
        signed = token.rpartition(".")[0].encode()
        if not self._algorithm.verify(signed, self._key, signature):
            raise TokenRejected("signature does not fit")
        return _json_object(payload, "payload")

    def _check_header(self, header: Mapping[str, SentJson]) -> None:
        for name, expected in self._header.items():
            if header.get(name) != expected:
                raise TokenRejected(f"{name} is not {expected}")
        if len(header) != len(self._header):
            raise TokenRejected("header must hold alg, typ and kid, and nothing else")

    def _check_times(self, claims: Mapping[str, SentJson]) -> None:
        now = self._clock.now_milliseconds() // MILLISECONDS_PER_SECOND
        expires, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
        if now >= expires + CLOCK_LEEWAY_SECONDS:
            raise TokenRejected("expired")
        if issued > now + CLOCK_LEEWAY_SECONDS:
            raise TokenRejected("issued in the future")
        if not 0 < expires - issued <= self._lifetime_seconds_max:
            raise TokenRejected("lives longer than tokens may")
        if "nbf" in claims and _seconds(claims, "nbf") > now + CLOCK_LEEWAY_SECONDS:
            raise TokenRejected("not valid yet")

    def _check_names(self, claims: Mapping[str, SentJson]) -> None:
        if claims.get("iss") != self._issuer:
            raise TokenRejected("iss is not our issuer")
        audience = claims.get("aud")
        if audience != self._audience and not self._is_among(audience):
            raise TokenRejected("aud does not name us")
        token_id = claims.get("jti")
        if not isinstance(token_id, str) or not _TOKEN_ID.fullmatch(token_id):
            raise TokenRejected("jti is missing or malformed")

    def _is_among(self, audience: SentJson) -> bool:
        return (
            isinstance(audience, list)
            and len(audience) <= AUDIENCES_MAX
            and all(isinstance(name, str) for name in audience)
            and self._audience in audience
        )


class TokenIssuer:
    """Issues tokens that a ``TokenVerifier`` with the same settings accepts."""

    def __init__(self, settings: KernelSettings, clock: Clock, identifiers: Identifiers) -> None:
        """Read the key.

        Raises:
            StartupFault: there is no key to sign with, or it is malformed or too weak.
        """
        self._algorithm = settings.jwt_algorithm
        self._key = _signing_key(settings)
        self._key_id = settings.jwt_key_id
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._lifetime_seconds_max = settings.jwt_lifetime_seconds
        self._clock = clock
        self._identifiers = identifiers

    def issue(self, actor: Actor, *, lifetime_seconds: int | None = None) -> str:
        """Return a token for ``actor``; without a lifetime it lives as long as tokens may.

        Raises:
            ValueError: the actor could not log in with it, or the lifetime is out of bounds.
        """
        lifetime = self._lifetime_seconds_max if lifetime_seconds is None else lifetime_seconds
        if not 0 < lifetime <= self._lifetime_seconds_max:
            raise ValueError(f"a token lives 1 to {self._lifetime_seconds_max} seconds")
        now = self._clock.now_milliseconds() // MILLISECONDS_PER_SECOND
        claims: dict[str, SentJson] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": actor.subject,
            "iat": now,
            "exp": now + lifetime,
            "jti": self._identifiers.nonce(),
            "roles": list(actor.roles),
        }
        if not actor.is_platform:
            claims["merchant_id"] = actor.merchant_id
        try:
            _actor(claims)
        except TokenRejected as reason:
            raise ValueError(f"no token for this actor: {reason}") from None
        headers = {"typ": TOKEN_TYPE, "kid": self._key_id}
        return jwt.encode(claims, self._key, algorithm=self._algorithm, headers=headers)


def _actor(claims: Mapping[str, SentJson]) -> Actor:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise TokenRejected("sub is missing or malformed")
    if subject.startswith(RESERVED_SUBJECT_PREFIX):
        raise TokenRejected("sub is reserved for our jobs")
    merchant_id = PLATFORM
    if "merchant_id" in claims:
        merchant_id = _merchant_id(claims["merchant_id"])
    known = MERCHANT_ROLES if merchant_id else PLATFORM_ROLES
    return Actor(subject=subject, roles=_roles(claims.get("roles"), known), merchant_id=merchant_id)


def _merchant_id(claim: SentJson) -> str:
    if not isinstance(claim, str) or not MERCHANT_ID.fullmatch(claim):
        raise TokenRejected("merchant_id is malformed")
    return claim


def _roles(claim: SentJson, known: frozenset[str]) -> tuple[str, ...]:
    if not isinstance(claim, list) or not 0 < len(claim) <= ROLES_MAX:
        raise TokenRejected("roles is not a short list")
    roles = tuple(role for role in claim if isinstance(role, str) and role in known)
    if len(roles) != len(claim) or len(set(roles)) != len(roles):
        raise TokenRejected("roles are unknown, repeated, or of the other kind of principal")
    return roles


def _seconds(claims: Mapping[str, SentJson], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int:
        raise TokenRejected(f"{name} is not an integer")
    return value


def _decoded(part: str) -> bytes:
    """Return what a part encodes; one byte sequence has one encoding (no stray bits at its end)."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise TokenRejected("a part is not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode():
        raise TokenRejected("a part is not base64url in its one form")
    return raw


def _json_object(raw: bytes, name: str) -> Mapping[str, SentJson]:
    try:
        value = parse_strict_json(raw)
    except NotStrictJson as error:
        raise TokenRejected(f"{name}: {error.rule}") from None
    if not isinstance(value, dict):
        raise TokenRejected(f"{name} is not an object")
    return value


def _verification_key(settings: KernelSettings) -> _VerifyKey:
    if settings.jwt_algorithm.startswith("HS"):
        return _shared_secret(settings)
    pem = settings.jwt_public_key
    if pem is None:
        raise StartupFault([f"JWT_PUBLIC_KEY is required with {settings.jwt_algorithm}"])
    try:
        key = load_pem_public_key(pem.get_secret_value().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise StartupFault(["JWT_PUBLIC_KEY is not a public key in PEM form"]) from None
    match settings.jwt_algorithm, key:
        case "RS256", RSAPublicKey() if key.key_size >= RSA_KEY_BITS_MIN:
            return key
        case "ES256", EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return key
        case "EdDSA", Ed25519PublicKey():
            return key
        case _:
            raise StartupFault([_other_key("JWT_PUBLIC_KEY", settings.jwt_algorithm)])


def _signing_key(settings: KernelSettings) -> _SignKey:
    if settings.jwt_algorithm.startswith("HS"):
        return _shared_secret(settings)
    pem = settings.jwt_private_key
    if pem is None:
        raise StartupFault(["JWT_PRIVATE_KEY is required to issue tokens"])
    try:
        key = load_pem_private_key(pem.get_secret_value().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StartupFault(
            ["JWT_PRIVATE_KEY is not an unencrypted private key in PEM form"]
        ) from None
    match settings.jwt_algorithm, key:
        case "RS256", RSAPrivateKey() if key.key_size >= RSA_KEY_BITS_MIN:
            return key
        case "ES256", EllipticCurvePrivateKey() if isinstance(key.curve, SECP256R1):
            return key
        case "EdDSA", Ed25519PrivateKey():
            return key
        case _:
            raise StartupFault([_other_key("JWT_PRIVATE_KEY", settings.jwt_algorithm)])


def _other_key(name: str, algorithm: str) -> str:
    kinds = f"RS256 takes RSA of {RSA_KEY_BITS_MIN} bits or more, ES256 P-256, EdDSA Ed25519"
    return f"{name} does not fit {algorithm}: {kinds}"


def _shared_secret(settings: KernelSettings) -> bytes:
    secret = settings.jwt_secret.get_secret_value().encode() if settings.jwt_secret else b""
    needed = HMAC_KEY_BYTES_MIN[settings.jwt_algorithm]
    if len(secret) < needed:
        raise StartupFault(
            [f"JWT_SECRET needs at least {needed} bytes for {settings.jwt_algorithm}"]
        )
    return secret
