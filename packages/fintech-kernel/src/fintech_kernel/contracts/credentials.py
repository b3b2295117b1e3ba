"""What the kernel needs of whoever keeps API keys: who stands behind a secret, as of now.

A token that was issued for an API key names the key as its ``client_id``, and every request with such a
token asks ``current`` again: what was revoked, narrowed or expired counts from the next request on.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A merchant's API key that is usable now.

    Attributes:
        credential_id: names the key, in logs too; never its secret.
        merchant_id: whose key it is; never empty.
        scopes: names of the permissions that it has, at most those that its merchant's
            administrators have.
        expires_at: UTC milliseconds, None where it does not expire.
    """

    credential_id: str
    merchant_id: str
    scopes: tuple[str, ...]
    expires_at: int | None = None


class CredentialDirectory(Protocol):
    """Knows API keys. Both questions are answered from what is stored at that moment."""

    async def authenticate(self, secret: str) -> Credential | None:
        """Return the usable key that has this secret, or None. Takes one read at most."""
        ...

    async def current(self, merchant_id: str, credential_id: str) -> Credential | None:
        """Return a merchant's key where it is usable now, or None. Takes one read."""
        ...
