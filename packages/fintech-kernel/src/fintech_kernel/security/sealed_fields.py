"""Fields that the database keeps and cannot read: AES-256-GCM (NIST SP 800-38D) under a key of their own.

The key is derived from the application's secret for one purpose and named by the secret's id, so that a
field sealed before a rotation still opens and can be sealed anew. A field is bound to its place: moved to
another row it does not open. What does not live here: the transparency log's seals (``domain.sealing``).
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fintech_kernel.errors import FintechError, InvariantBroken
from fintech_kernel.security.secrets import KeyRing

NONCE_BYTES: Final = 12
"""96 random bits, as GCM wants them: safe for 2**32 fields under one key (SP 800-38D section 8.3)."""


class SealingKeyUnknown(FintechError):
    """The field was sealed under a secret that is no longer configured.

    Attributes:
        key_id: the secret's id; it belongs into APP_SECRETS_PREVIOUS.
    """

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedField:
    """A sealed field: the id of the secret behind its key, and base64url of nonce and ciphertext."""

    key_id: str
    text: str


class FieldSealer:
    """Seals and opens the fields of one purpose."""

    def __init__(self, keyring: KeyRing, *, purpose: str) -> None:
        self._keyring = keyring
        self._purpose = purpose

    @property
    def key_id(self) -> str:
        """The id of the secret that fields are sealed under now."""
        return self._keyring.current_id

    def seal(self, plaintext: str, *, bound_to: str, nonce: bytes) -> SealedField:
        """Return a plaintext sealed; ``nonce`` is fresh and random, ``bound_to`` names its place.

        Raises:
            InvariantBroken: the nonce is not of ``NONCE_BYTES``.
        """
        if len(nonce) != NONCE_BYTES:
            raise InvariantBroken("a nonce of another length")
        ciphertext = self._cipher(self.key_id).encrypt(nonce, plaintext.encode(), bound_to.encode())
        text = base64.urlsafe_b64encode(nonce + ciphertext).decode()
        return SealedField(key_id=self.key_id, text=text)

    def open(self, sealed: SealedField, *, bound_to: str) -> str:
        """Return the plaintext of a field.

        Raises:
            SealingKeyUnknown: its secret is not configured.
            InvariantBroken: it was changed, or moved from where it was sealed for.
        """
        if not self._keyring.knows(sealed.key_id):
            raise SealingKeyUnknown(sealed.key_id)
        try:
            raw = base64.b64decode(sealed.text, altchars=b"-_", validate=True)
            nonce, ciphertext = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return (
                self._cipher(sealed.key_id).decrypt(nonce, ciphertext, bound_to.encode()).decode()
            )
        except (InvalidTag, binascii.Error, ValueError):
            raise InvariantBroken("a sealed field does not open where it stands") from None

    def _cipher(self, key_id: str) -> AESGCM:
        return AESGCM(self._keyring.subkey(key_id, self._purpose))
