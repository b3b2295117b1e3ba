"""The key that signs tree heads: configured, or in development derived from the application's secret."""

import base64
import binascii
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fintech_kernel.domain.checkpoints import CheckpointRejected, Signer, VerificationKey
from fintech_kernel.errors import StartupFault
from fintech_kernel.settings import KernelSettings

SEED_BYTES: Final = 32
_INFO: Final = b"fintech/v1/audit-signing"
_PEM: Final = "-----BEGIN"


def audit_signer(settings: KernelSettings) -> Signer:
    """Return the signer of tree heads.

    Raises:
        StartupFault: AUDIT_SIGNING_KEY is no Ed25519 private key.
    """
    configured = settings.audit_signing_key
    key = (
        _derived(settings.app_secret.get_secret_value())
        if configured is None
        else _configured(configured.get_secret_value())
    )
    return Signer(settings.audit_log_origin, key)


def audit_keys_previous(settings: KernelSettings) -> tuple[VerificationKey, ...]:
    """Return the keys whose tree heads are trusted beside our own.

    Raises:
        StartupFault: one of AUDIT_KEYS_PREVIOUS is no verification key.
    """
    try:
        return tuple(VerificationKey.parse(text) for text in settings.audit_keys_previous)
    except CheckpointRejected as error:
        raise StartupFault([f"AUDIT_KEYS_PREVIOUS: {error}"]) from error


def _configured(text: str) -> Ed25519PrivateKey:
    try:
        if text.lstrip().startswith(_PEM):
            key = load_pem_private_key(text.encode(), password=None)
            if isinstance(key, Ed25519PrivateKey):
                return key
        else:
            seed = base64.b64decode(text.strip(), validate=True)
            if len(seed) == SEED_BYTES:
                return Ed25519PrivateKey.from_private_bytes(seed)
    except (binascii.Error, ValueError, TypeError):
        pass  # whatever is wrong with it, the fault below says what it should be
    raise StartupFault(
        ["AUDIT_SIGNING_KEY: give an Ed25519 private key, PEM or base64 of its 32 bytes"]
    )


def _derived(secret: str) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=SEED_BYTES, salt=None, info=_INFO).derive(
        secret.encode()
    )
    return Ed25519PrivateKey.from_private_bytes(seed)
