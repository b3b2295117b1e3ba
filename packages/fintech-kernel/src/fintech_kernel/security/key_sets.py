"""Which keys a deployment has: those of its settings, of its own key file, or an outside issuer's.

``JWT_SECRET`` or ``JWT_PUBLIC_KEY`` and ``JWT_PRIVATE_KEY`` are one key. With ``JWT_KEYS_FILE`` the file
signs, and the settings' key, where it is still given, only verifies: so one moves from the one to the other.
With ``JWT_JWKS_FILE`` nothing signs here.
"""

from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from fintech_kernel.errors import StartupFault
from fintech_kernel.security.jwk_files import FileOfKeys
from fintech_kernel.security.token_keys import (
    HMAC_KEY_BYTES_MIN,
    KINDS_OF_KEYS,
    KeySet,
    SignKey,
    TokenKey,
    VerifyKey,
    fits,
    public_half,
)
from fintech_kernel.settings import Environment, KernelSettings


def key_set(settings: KernelSettings) -> KeySet:
    """Return the keys of a deployment.

    Raises:
        StartupFault: a key is missing, malformed, too weak, or of another algorithm.
    """
    if settings.jwt_jwks_file is not None:
        outside = FileOfKeys(
            path=Path(settings.jwt_jwks_file), setting="JWT_JWKS_FILE", is_outside=True
        )
        return KeySet(outside.read(check_mode=False))
    if settings.jwt_keys_file is None:
        return KeySet([_key_of_settings(settings)])
    own = FileOfKeys(path=Path(settings.jwt_keys_file), setting="JWT_KEYS_FILE", is_outside=False)
    keys = own.read(check_mode=settings.app_env is not Environment.DEVELOPMENT)
    if not any(key.sign_with is not None for key in keys):
        raise StartupFault(["JWT_KEYS_FILE: no key in it signs: `fintech keys rotate` adds one"])
    if settings.jwt_secret is None and settings.jwt_public_key is None:
        return KeySet(keys)
    return KeySet([*keys, _key_of_settings(settings, signs=False)])


def _key_of_settings(settings: KernelSettings, *, signs: bool = True) -> TokenKey:
    if settings.jwt_algorithm.startswith("HS"):
        secret = _shared_secret(settings)
        verify_with, sign_with = secret, secret
    else:
        verify_with, sign_with = _pair(settings)
    return TokenKey(
        key_id=settings.jwt_key_id,
        algorithm=settings.jwt_algorithm,
        verify_with=verify_with,
        sign_with=sign_with if signs else None,
    )


def _shared_secret(settings: KernelSettings) -> bytes:
    secret = settings.jwt_secret.get_secret_value().encode() if settings.jwt_secret else b""
    needed = HMAC_KEY_BYTES_MIN[settings.jwt_algorithm]
    if len(secret) < needed:
        raise StartupFault(
            [f"JWT_SECRET needs at least {needed} bytes for {settings.jwt_algorithm}"]
        )
    return secret


def _pair(settings: KernelSettings) -> tuple[VerifyKey, SignKey | None]:
    public, private = _public_key(settings), _private_key(settings)
    found = [("JWT_PUBLIC_KEY", public), ("JWT_PRIVATE_KEY", private)]
    faults = [
        f"{name} does not fit {settings.jwt_algorithm}: {KINDS_OF_KEYS}"
        for name, key in found
        if key is not None and not fits(settings.jwt_algorithm, key)
    ]
    if not faults and private is not None and public_half(cast("SignKey", private)) != public:
        faults.append("JWT_PUBLIC_KEY is not the public half of JWT_PRIVATE_KEY")
    if faults:
        raise StartupFault(faults)
    return cast("VerifyKey", public), cast("SignKey | None", private)


def _public_key(settings: KernelSettings) -> object:
    pem = settings.jwt_public_key.get_secret_value() if settings.jwt_public_key else ""
    try:
        return load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise StartupFault(["JWT_PUBLIC_KEY is not a public key in PEM form"]) from None


def _private_key(settings: KernelSettings) -> object | None:
    if settings.jwt_private_key is None:
        return None
    try:
        return load_pem_private_key(
            settings.jwt_private_key.get_secret_value().encode(), password=None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StartupFault(
            ["JWT_PRIVATE_KEY is not an unencrypted private key in PEM form"]
        ) from None
