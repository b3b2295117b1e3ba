"""Keys of access tokens: one algorithm bound to one key, always, and a static set of them by ``kid``.

The ``kid`` of a token chooses the key, and the key says the algorithm; a token never does. Where keys
come from is told in ``key_sets``, their file form in ``jwk_files``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from fintech_kernel.errors import StartupFault

HMAC_KEY_BYTES_MIN: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""A key must be at least as long as the hash (RFC 7518 section 3.2)."""

RSA_KEY_BITS_MIN: Final = 2_048

ALGORITHMS: Final = (*HMAC_KEY_BYTES_MIN, "RS256", "ES256", "EdDSA")
"""Every algorithm that a key may have."""

KINDS_OF_KEYS: Final = (
    f"RS256 takes RSA of {RSA_KEY_BITS_MIN} bits or more, ES256 P-256, EdDSA Ed25519"
)

VerifyKey: TypeAlias = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
SignKey: TypeAlias = bytes | RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A key of tokens. Times are in seconds since 1970; nothing of it shows in its ``repr``.

    Attributes:
        sign_with: None where it only verifies.
        signs_from: from when on it signs; it verifies before, so that it can be distributed first.
        retires_at: from when on its tokens are refused; None where that is not decided.
        is_outside: an outside issuer's, whose tokens name clients of its own.
    """

    key_id: str
    algorithm: str
    verify_with: VerifyKey
    sign_with: SignKey | None = None
    created_at: int = 0
    signs_from: int = 0
    retires_at: int | None = None
    is_outside: bool = False

    def __repr__(self) -> str:
        """Name it, and nothing more."""
        return f"TokenKey({self.key_id!r}, {self.algorithm})"

    @property
    def is_symmetric(self) -> bool:
        """Whether who verifies could sign."""
        return isinstance(self.verify_with, bytes)

    def is_retired(self, now: int) -> bool:
        """Whether its tokens are refused."""
        return self.retires_at is not None and now >= self.retires_at

    def signs(self, now: int) -> bool:
        """Whether it may sign."""
        return self.sign_with is not None and self.signs_from <= now and not self.is_retired(now)

    def has_signed(self, signed: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's, by this key's algorithm."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        return algorithm.verify(signed, self.verify_with, signature)

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half of an asymmetric key as a JWK (RFC 7517)."""
        return jwk_of(self.algorithm, self.verify_with) | {
            "alg": self.algorithm,
            "kid": self.key_id,
            "use": "sig",
        }


class KeySet:
    """The keys whose tokens are accepted here, read at start."""

    def __init__(self, keys: Sequence[TokenKey]) -> None:
        """Take the keys.

        Raises:
            StartupFault: there is none, or two have one ``kid``.
        """
        self._keys = {key.key_id: key for key in keys}
        faults = [f"two keys of tokens have the kid {name!r}" for name in _repeated(keys)]
        if not keys:
            faults.append("there is no key of tokens")
        if faults:
            raise StartupFault(faults)

    def find(self, key_id: object) -> TokenKey | None:
        """Return the key that a header names, None where it names none of ours."""
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    def signer(self, now: int) -> TokenKey | None:
        """Return the key that signs now: of those that may, the one that came last."""
        ready = [key for key in self._keys.values() if key.signs(now)]
        ordered = sorted(ready, key=lambda key: (key.signs_from, key.created_at))
        return ordered[-1] if ordered else None

    @property
    def can_sign(self) -> bool:
        """Whether any of them is a signing key."""
        return any(key.sign_with is not None for key in self._keys.values())

    def published(self, now: int) -> list[dict[str, Any]]:
        """Return the public keys that others may verify with, those that sign later included."""
        return [
            key.public_jwk()
            for key in self._keys.values()
            if not key.is_symmetric and not key.is_retired(now)
        ]


def fits(algorithm: str, key: object) -> bool:
    """Whether a key, public, private or shared, is of an algorithm's kind and strong enough."""
    match algorithm, key:
        case "RS256", RSAPublicKey() | RSAPrivateKey():
            return key.key_size >= RSA_KEY_BITS_MIN
        case "ES256", EllipticCurvePublicKey() | EllipticCurvePrivateKey():
            return isinstance(key.curve, SECP256R1)
        case "EdDSA", Ed25519PublicKey() | Ed25519PrivateKey():
            return True
        case "HS256" | "HS384" | "HS512", bytes():
            return len(key) >= HMAC_KEY_BYTES_MIN[algorithm]
        case _:
            return False


def public_half(key: SignKey) -> VerifyKey:
    """Return what verifies the signatures of a key."""
    return key if isinstance(key, bytes) else key.public_key()


def jwk_of(algorithm: str, key: VerifyKey | SignKey) -> dict[str, Any]:
    """Return a key as a JWK: what it is, without its name and use."""
    worker: Any = jwt.get_algorithm_by_name(algorithm)
    jwk: dict[str, Any] = worker.to_jwk(key, as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"}


def _repeated(keys: Sequence[TokenKey]) -> Iterator[str]:
    names = [key.key_id for key in keys]
    yield from sorted({name for name in names if names.count(name) > 1})
