"""Key files: JWK sets (RFC 7517, RFC 8037), our own with private members, an outside issuer's without.

Beside what the RFCs say, a key of our own has ``iat``, ``nbf`` and ``exp`` as OpenID Federation has them:
when it was made, from when on it signs, and from when on its tokens are refused. A file is read whole and
strictly; every fault of every key is listed, and none shows a value.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.errors import StartupFault
from fintech_kernel.security.token_keys import (
    ALGORITHMS,
    HMAC_KEY_BYTES_MIN,
    KINDS_OF_KEYS,
    SignKey,
    TokenKey,
    VerifyKey,
    fits,
    jwk_of,
    public_half,
)
from fintech_kernel.strict_json import NotStrictJson, parse_strict_json

FILE_BYTES_MAX: Final = 65_536
"""Longest key file that is read: some sixteen RSA keys with room to spare."""

KEYS_MAX: Final = 16
"""Keys of one file."""

NEW_RSA_KEY_BITS: Final = 3_072
"""As strong as a 256-bit curve until 2030 and beyond (NIST SP 800-57)."""

RSA_EXPONENT: Final = 65_537
FILE_MODE: Final = 0o600

FORBIDDEN_MODE: Final = stat.S_IRWXO | stat.S_IWGRP
"""What a file of private keys may not allow. A group may read: mounted secrets are the group's."""

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JWK that only its owner knows (RFC 7518 section 6)."""

_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TIMES: Final = ("iat", "nbf", "exp")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOfKeys:
    """Where keys are read from, and what may stand there. ``setting`` names it in faults."""

    path: Path
    setting: str
    is_outside: bool

    def read(self, *, check_mode: bool) -> list[TokenKey]:
        """Return the keys.

        Raises:
            StartupFault: all that is wrong with the file or its keys.
        """
        raw = self._raw(check_mode=check_mode)
        try:
            value = parse_strict_json(raw)
        except NotStrictJson as error:
            raise self._fault(f"is not well-formed JSON: {error.rule}") from None
        jwks = value.get("keys") if isinstance(value, dict) else None
        if not isinstance(jwks, list) or not 0 < len(jwks) <= KEYS_MAX:
            raise self._fault(f"is no JWK set of 1 to {KEYS_MAX} keys")
        read = [self._key(number, jwk) for number, jwk in enumerate(jwks, start=1)]
        faults = [one for one in read if isinstance(one, str)]
        if faults:
            raise StartupFault([f"{self.setting}: {fault}" for fault in faults])
        return [one for one in read if isinstance(one, TokenKey)]

    def _raw(self, *, check_mode: bool) -> bytes:
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise self._fault(f"cannot be read ({type(error).__name__})") from None
        if check_mode and mode & FORBIDDEN_MODE:
            raise self._fault("is open to others: chmod 600")
        if len(raw) > FILE_BYTES_MAX:
            raise self._fault(f"is longer than {FILE_BYTES_MAX} bytes")
        return raw

    def _key(self, number: int, jwk: object) -> TokenKey | str:
        """Return a key, or what is wrong with it."""
        if not isinstance(jwk, dict):
            return f"key {number} is no object"
        members = cast("dict[str, Any]", jwk)
        fault = next(self._faults(members), None)
        if fault is not None:
            return f"key {number} {fault}"
        key = _parsed(members)
        if key is None or not fits(members["alg"], key):
            return f"key {number} does not fit its alg, or is too weak: {_KINDS}"
        private = not PRIVATE_MEMBERS.isdisjoint(members)
        return TokenKey(
            key_id=members["kid"],
            algorithm=members["alg"],
            verify_with=public_half(cast("SignKey", key)) if private else cast("VerifyKey", key),
            sign_with=cast("SignKey", key) if private else None,
            created_at=members.get("iat", 0),
            signs_from=members.get("nbf", 0),
            retires_at=members.get("exp"),
            is_outside=self.is_outside,
        )

    def _faults(self, jwk: Mapping[str, Any]) -> Iterator[str]:
        key_id, algorithm = jwk.get("kid"), jwk.get("alg")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            yield "has no kid of 1 to 128 visible ASCII characters"
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            yield f"has no alg of {', '.join(ALGORITHMS)}"
        if jwk.get("use", "sig") != "sig":
            yield "is not for signatures (use)"
        if self.is_outside and (jwk.get("kty") == "oct" or not PRIVATE_MEMBERS.isdisjoint(jwk)):
            yield "has a private or symmetric member: give public keys only"
        for name in _TIMES:
            if name in jwk and type(jwk[name]) is not int:
                yield f"has an {name} that is no integer"

    def _fault(self, text: str) -> StartupFault:
        return StartupFault([f"{self.setting}: {self.path} {text}"])


def new_key(algorithm: str, *, key_id: str, created_at: int, signs_from: int) -> TokenKey:
    """Return a fresh key of an algorithm, from the system's randomness."""
    key: SignKey
    if algorithm == "RS256":
        key = generate_rsa(public_exponent=RSA_EXPONENT, key_size=NEW_RSA_KEY_BITS)
    elif algorithm == "ES256":
        key = generate_ec(SECP256R1())
    elif algorithm == "EdDSA":
        key = Ed25519PrivateKey.generate()
    else:
        key = secrets.token_bytes(HMAC_KEY_BYTES_MIN[algorithm])
    return TokenKey(
        key_id=key_id,
        algorithm=algorithm,
        verify_with=public_half(key),
        sign_with=key,
        created_at=created_at,
        signs_from=signs_from,
    )


def write_keys(path: Path, keys: Sequence[TokenKey]) -> None:
    """Write a key file, whole or not at all, for its owner alone.

    Raises:
        OSError: it could not be written; what stood there stands.
    """
    text = canonical_json({"keys": [_private_jwk(key) for key in keys]})
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(beside, "x", encoding="utf-8", opener=_open_for_owner) as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _private_jwk(key: TokenKey) -> dict[str, Json]:
    half = key.verify_with if key.sign_with is None else key.sign_with
    times = {"iat": key.created_at, "nbf": key.signs_from, "exp": key.retires_at}
    return {
        **jwk_of(key.algorithm, half),
        "alg": key.algorithm,
        "kid": key.key_id,
        "use": "sig",
        **{name: value for name, value in times.items() if value is not None},
    }


def _parsed(jwk: Mapping[str, Any]) -> object | None:
    """Return the key of a JWK; the library's own words would show it, so they are dropped."""
    try:
        return jwt.PyJWK(dict(jwk), algorithm=jwk["alg"]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None


_KINDS: Final = f"{KINDS_OF_KEYS}, HS256 to HS512 as many bytes as the hash"
