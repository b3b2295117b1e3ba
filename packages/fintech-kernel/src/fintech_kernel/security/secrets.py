"""Keys derived from one application secret, one per purpose, and what is signed with them.

A signature names the secret that it was made with (``k1:9f86...``), so that fingerprints stored before
a rotation still compare. Sub-keys: HKDF-SHA-256 (RFC 5869) with the purpose as its ``info``; so a
signature of one purpose means nothing for another.
"""

import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fintech_kernel.errors import StartupFault
from fintech_kernel.settings import SECRET_LENGTH_MIN, KernelSettings

_SUBKEY_BYTES: Final = 32
_INFO_PREFIX: Final = b"fintech/v1/"


class KeyRing:
    """Signs with the current secret, verifies with the previous ones too.

    Purposes are words of our code (``fingerprint``, ``cursor``), never input: their keys are kept.
    What is encrypted under a key of it is the business of ``sealed_fields``.
    """

    def __init__(self, settings: KernelSettings) -> None:
        """Read the secrets.

        Raises:
            StartupFault: a previous secret is short, or has the id of the current one.
        """
        previous = {
            key_id: secret.get_secret_value()
            for key_id, secret in settings.app_secrets_previous.items()
        }
        _check(settings.app_secret_id, previous)
        self._current_id = settings.app_secret_id
        self._secrets = {
            **previous,
            settings.app_secret_id: settings.app_secret.get_secret_value(),
        }
        self._subkeys: dict[tuple[str, str], bytes] = {}

    def sign(self, purpose: str, data: bytes) -> str:
        """Return ``<key id>:<HMAC-SHA-256 in hex>``."""
        return f"{self._current_id}:{self._digest(self._current_id, purpose, data)}"

    def verify(self, purpose: str, data: bytes, signature: str) -> bool:
        """Whether ``signature`` was made for this purpose and data with a secret that is known."""
        key_id, separator, digest = signature.partition(":")
        if not separator or key_id not in self._secrets or not digest.isascii():
            return False
        return hmac.compare_digest(self._digest(key_id, purpose, data), digest)

    @property
    def current_id(self) -> str:
        """The id of the current secret."""
        return self._current_id

    def knows(self, key_id: str) -> bool:
        """Whether a secret has this id."""
        return key_id in self._secrets

    def subkey(self, key_id: str, purpose: str) -> bytes:
        """Return the 256-bit key of a purpose, derived from the secret with this id."""
        subkey = self._subkeys.get((key_id, purpose))
        if subkey is None:
            subkey = _derive(self._secrets[key_id], purpose)
            self._subkeys[key_id, purpose] = subkey
        return subkey

    def signatures(self, purpose: str, data: bytes) -> tuple[str, ...]:
        """Return the signature with every secret that is known: what a stored one may be found by."""
        return tuple(f"{key_id}:{self._digest(key_id, purpose, data)}" for key_id in self._secrets)

    def _digest(self, key_id: str, purpose: str, data: bytes) -> str:
        return hmac.digest(self.subkey(key_id, purpose), data, "sha256").hex()


def _derive(secret: str, purpose: str) -> bytes:
    info = _INFO_PREFIX + purpose.encode()
    return HKDF(algorithm=SHA256(), length=_SUBKEY_BYTES, salt=None, info=info).derive(
        secret.encode()
    )


def _check(current_id: str, previous: Mapping[str, str]) -> None:
    faults = [
        f"APP_SECRETS_PREVIOUS: {key_id!r} needs at least {SECRET_LENGTH_MIN} characters"
        for key_id, secret in previous.items()
        if len(secret) < SECRET_LENGTH_MIN
    ]
    if current_id in previous:
        faults.append(f"APP_SECRETS_PREVIOUS: {current_id!r} is the id of APP_SECRET itself")
    if faults:
        raise StartupFault(faults)
