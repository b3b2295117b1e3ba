"""Signatures as the Standard Webhooks specification 1.0.0 has them: HMAC-SHA-256 over id, time and body.

A secret is ``whsec_`` and base64 of its bytes. Several secrets give several signatures in one header,
separated by a space, so that receivers may change theirs at any moment of an overlap.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how a secret begins, not one
SECRET_BYTES: Final = 32
"""The specification wants 24 to 64; the length of the hash is enough (RFC 2104)."""

VERSION: Final = "v1"
ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"


def secret_text(raw: bytes) -> str:
    """Return a secret as merchants get it."""
    return SECRET_PREFIX + base64.b64encode(raw).decode()


def signed_headers(
    secrets: Sequence[str], *, message_id: str, timestamp_seconds: int, body: str
) -> dict[str, str]:
    """Return the headers of one attempt; ``secrets`` in the form that merchants have."""
    signed = f"{message_id}.{timestamp_seconds}.{body}".encode()
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp_seconds),
        SIGNATURE_HEADER: " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.digest(key, signed, "sha256")
    return f"{VERSION},{base64.b64encode(digest).decode()}"
