"""Access tokens: JWTs of RFC 9068 (``at+jwt``), each signed with one key by that key's one algorithm.

The header's ``kid`` chooses the key among those that were read at start, and PyJWT's algorithms check
the signature. Everything else is checked here, against the clock that was given and over JSON that was
read strictly: a claim that occurs twice, a float for a time, a header that brings its own key are
refused. Whatever is wrong, the caller gets one and the same ``Unauthenticated``; the reason is its
``__cause__``, for the log. Whether a token was revoked since is asked elsewhere (``domain.access``).

A principal belongs to a merchant and has merchant roles, or to the platform and has platform roles.
A token that mixes them, or that has merchant roles without a merchant, is refused: read loosely it
would see every merchant.
"""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jwt

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.domain.access import API_KEY_SUBJECT_PREFIX, AccessToken, TokenRejected
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.permissions import MERCHANT_ROLES, PLATFORM_ROLES
from fintech_kernel.errors import InvariantBroken, StartupFault, Unauthenticated
from fintech_kernel.identifiers import MERCHANT_ID, Identifiers
from fintech_kernel.security.key_sets import key_set
from fintech_kernel.security.token_keys import KeySet, SignKey, TokenKey
from fintech_kernel.settings import KernelSettings
from fintech_kernel.strict_json import NotStrictJson, SentJson, parse_strict_json

TOKEN_CHARACTERS_MAX: Final = 4_096
"""Longest token that is looked at."""

KNOWN_TOKENS_MAX: Final = 4_096
"""Verified tokens that are remembered, by their digest: about 2 kB each."""

CLOCK_LEEWAY_SECONDS: Final = 30
"""How far the issuer's clock and ours may be apart."""

ROLES_MAX: Final = 8
"""Roles in one token."""

SCOPES_MAX: Final = 64
"""Scopes in one token."""

AUDIENCES_MAX: Final = 8
"""Audiences in one token."""

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068, not a password
RESERVED_SUBJECT_PREFIX: Final = "job:"
"""Subjects of our own jobs; nobody can log in as one of them."""

HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid"})
"""What a header holds, and nothing else: no key, no address of one, nothing to be understood."""

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SUBJECT: Final = re.compile(r"[A-Za-z0-9_.:@|+-]{1,128}")
_TOKEN_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")


class TokenVerifier:
    """Verifies tokens with the keys that were read at start."""

    def __init__(self, settings: KernelSettings, clock: Clock, keys: KeySet | None = None) -> None:
        """Take the keys; None reads those of the settings.

        Raises:
            StartupFault: a key is missing, malformed, too weak, or of another algorithm.
        """
        self._keys = keys or key_set(settings)
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._lifetime_seconds_max = settings.jwt_lifetime_seconds
        self._clock = clock
        self._known: OrderedDict[bytes, _KnownToken] = OrderedDict()

    def verify(self, token: str) -> AccessToken:
        """Return what a token says.

        A client sends one token with many requests. What its bytes say never changes, so it is worked out
        once (0.1 ms of CPU, with EdDSA 0.3); the clock, and the end of its key, are looked at every time.

        Raises:
            Unauthenticated: for every fault alike; ``__cause__`` says which.
        """
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        known = self._known.get(digest)
        try:
            if known is None:
                known = self._verified(token)
                self._remember(digest, known)
            else:
                self._known.move_to_end(digest)
            _check_in_use(known.key, self._now())
            self._check_times(known.claims)
        except TokenRejected as reason:
            raise Unauthenticated(Unauthenticated.code) from reason
        return known.says

    def _verified(self, token: str) -> "_KnownToken":
        key, claims = self._signed_claims(token)
        self._check_times(claims)
        self._check_names(claims)
        return _KnownToken(key, claims, _access_token(claims, key))

    def _remember(self, digest: bytes, known: "_KnownToken") -> None:
        self._known[digest] = known
        if len(self._known) > KNOWN_TOKENS_MAX:
            self._known.popitem(last=False)

    def _signed_claims(self, token: str) -> tuple[TokenKey, Mapping[str, SentJson]]:
        header, payload, signature = parts_of(token)
        key = self._key(header)
        if not key.has_signed(token.rpartition(".")[0].encode(), signature):
            raise TokenRejected("signature does not fit")
        return key, json_object(payload, "payload")

    def _key(self, raw_header: bytes) -> TokenKey:
        header = json_object(raw_header, "header")
        if header.keys() ^ HEADER_MEMBERS:
            raise TokenRejected("header must hold alg, typ and kid, and nothing else")
        if header["typ"] != TOKEN_TYPE:
            raise TokenRejected(f"typ is not {TOKEN_TYPE}")
        key = self._keys.find(header["kid"])
        if key is None:
            raise TokenRejected("kid names no key of ours")
        if header["alg"] != key.algorithm:
            raise TokenRejected("alg is not its key's")
        _check_in_use(key, self._now())
        return key

    def _now(self) -> int:
        return self._clock.now_milliseconds() // MILLISECONDS_PER_SECOND

    def _check_times(self, claims: Mapping[str, SentJson]) -> None:
        now = self._now()
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

    def _is_among(self, audience: SentJson) -> bool:
        return (
            isinstance(audience, list)
            and len(audience) <= AUDIENCES_MAX
            and all(isinstance(name, str) for name in audience)
            and self._audience in audience
        )


@dataclass(frozen=True, slots=True)
class _KnownToken:
    """A token that was verified: its key, and what its bytes say."""

    key: TokenKey
    claims: Mapping[str, SentJson]
    says: AccessToken


class TokenIssuer:
    """Issues tokens that a ``TokenVerifier`` of the same deployment accepts."""

    def __init__(
        self,
        settings: KernelSettings,
        clock: Clock,
        identifiers: Identifiers,
        keys: KeySet | None = None,
    ) -> None:
        """Take the keys; None reads those of the settings.

        Raises:
            StartupFault: there is no key to sign with, or one is malformed or too weak.
        """
        self._keys = keys or key_set(settings)
        if not self._keys.can_sign:
            raise StartupFault(
                ["JWT_PRIVATE_KEY is required to issue tokens, or JWT_KEYS_FILE with a signing key"]
            )
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self.lifetime_seconds_max: Final = settings.jwt_lifetime_seconds
        self._clock = clock
        self._identifiers = identifiers

    def issue(
        self, actor: Actor, *, lifetime_seconds: int | None = None, client_id: str | None = None
    ) -> str:
        """Return a token for ``actor``; without a lifetime it lives as long as tokens may.

        ``client_id`` names the API key that it is issued for.

        Raises:
            ValueError: the actor could not log in with it, or the lifetime is out of bounds.
            InvariantBroken: every key is retired, or signs later.
        """
        maximum = self.lifetime_seconds_max
        lifetime = maximum if lifetime_seconds is None else lifetime_seconds
        if not 0 < lifetime <= maximum:
            raise ValueError(f"a token lives 1 to {maximum} seconds")
        now = self._clock.now_milliseconds() // MILLISECONDS_PER_SECOND
        key = self._keys.signer(now)
        if key is None:
            raise InvariantBroken("no key signs tokens now")
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
        if actor.scopes is not None:
            claims["scope"] = " ".join(actor.scopes)
        if client_id is not None:
            claims["client_id"] = client_id
        try:
            _access_token(claims, key)
        except TokenRejected as reason:
            raise ValueError(f"no token for this actor: {reason}") from None
        headers = {"typ": TOKEN_TYPE, "kid": key.key_id}
        return jwt.encode(claims, _signing_half(key), algorithm=key.algorithm, headers=headers)


def parts_of(token: str) -> tuple[bytes, bytes, bytes]:
    """Return header, payload and signature of a token, decoded and unchecked.

    Raises:
        TokenRejected: it is no compact JWS.
    """
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise TokenRejected("longer than a token may be")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise TokenRejected("not three base64url parts")
    header, payload, signature = (_decoded(part) for part in parts.groups())
    return header, payload, signature


def json_object(raw: bytes, name: str) -> Mapping[str, SentJson]:
    """Return an object of a token.

    Raises:
        TokenRejected: it is none, or not strict JSON.
    """
    try:
        value = parse_strict_json(raw)
    except NotStrictJson as error:
        raise TokenRejected(f"{name}: {error.rule}") from None
    if not isinstance(value, dict):
        raise TokenRejected(f"{name} is not an object")
    return value


def _check_in_use(key: TokenKey, now: int) -> None:
    if key.is_retired(now):
        raise TokenRejected("its key is retired")


def _access_token(claims: Mapping[str, SentJson], key: TokenKey) -> AccessToken:
    actor = _actor(claims)
    return AccessToken(
        actor=actor,
        key_id=key.key_id,
        token_id=_token_id(claims),
        issued_at=_seconds(claims, "iat"),
        expires_at=_seconds(claims, "exp"),
        client_id=_client_id(claims, actor, key),
    )


def _client_id(claims: Mapping[str, SentJson], actor: Actor, key: TokenKey) -> str | None:
    """Return the API key that a token was issued for.

    RFC 9068 has an outside issuer name its own clients there: those are no keys of ours, and such an
    issuer cannot speak for one of them.
    """
    is_of_api_key = actor.subject.startswith(API_KEY_SUBJECT_PREFIX)
    if key.is_outside:
        if is_of_api_key:
            raise TokenRejected("sub is reserved for API keys")
        return None
    client_id = claims.get("client_id")
    if client_id is None and "client_id" not in claims and not is_of_api_key:
        return None
    if not isinstance(client_id, str) or actor.subject != API_KEY_SUBJECT_PREFIX + client_id:
        raise TokenRejected("sub and client_id do not name one API key")
    if actor.is_platform:
        raise TokenRejected("an API key is a merchant's")
    return client_id


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
    return Actor(
        subject=subject,
        roles=_roles(claims.get("roles"), known),
        merchant_id=merchant_id,
        scopes=_scopes(claims["scope"]) if "scope" in claims else None,
    )


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


def _scopes(claim: SentJson) -> tuple[str, ...]:
    """Return the scopes of a token (RFC 6749 section 3.3)."""
    names = claim.split(" ", SCOPES_MAX) if isinstance(claim, str) else []
    is_list = 0 < len(names) <= SCOPES_MAX and len(set(names)) == len(names)
    if not is_list or not all(map(_SCOPE.fullmatch, names)):
        raise TokenRejected("scope is no list of names, a space between")
    return tuple(names)


def _token_id(claims: Mapping[str, SentJson]) -> str:
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not _TOKEN_ID.fullmatch(token_id):
        raise TokenRejected("jti is missing or malformed")
    return token_id


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


def _signing_half(key: TokenKey) -> SignKey:
    if key.sign_with is None:
        raise InvariantBroken("a key that only verifies was chosen to sign")
    return key.sign_with
