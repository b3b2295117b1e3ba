"""The one grant there is: an API key for a short token (RFC 6749 section 4.4, client credentials)."""

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import ClassVar

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.contracts.credentials import Credential
from fintech_kernel.domain.access import Access, api_key_actor
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import InvalidRequest, RequestRefused
from fintech_kernel.security.tokens import TokenIssuer


class GrantRefused(RequestRefused):
    """No token is granted. ``error`` is the word of RFC 6749 section 5.2 for it."""

    error: ClassVar[str]
    status: ClassVar[int] = 400


class GrantMalformed(GrantRefused):
    """The request for a token is not well-formed.

    Attributes:
        rule: the rule that it breaks, fixed text.
    """

    code = InvalidRequest.code
    title = InvalidRequest.title
    error = "invalid_request"

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class UnsupportedGrant(GrantRefused):
    """Another grant than client credentials was asked for."""

    code = error = "unsupported_grant_type"
    title = "The only grant is client_credentials."
    remedy = "Send grant_type=client_credentials, and the API key's id and secret."


class InvalidClient(GrantRefused):
    """There is no usable API key with this id and secret: which of it is wrong is not said."""

    code = error = "invalid_client"
    title = "Client authentication failed."
    remedy = "Check the API key's id and secret, and that it is neither expired nor revoked."
    status = 401


class InvalidScope(GrantRefused):
    """A scope is unknown, or the API key does not have it."""

    code = error = "invalid_scope"
    title = "A scope is unknown, or the API key does not have it."
    remedy = "Leave scope out for all that the key has, or name some of its permissions, a space between."


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A token that was granted. ``token`` is secret."""

    token: str
    actor: Actor
    lifetime_seconds: int

    @property
    def scope(self) -> str:
        """What it may do, as OAuth writes it."""
        return " ".join(self.actor.scopes or ())


class ClientCredentials:
    """Grants tokens for API keys."""

    def __init__(self, *, access: Access, issuer: TokenIssuer, clock: Clock) -> None:
        self._access = access
        self._issuer = issuer
        self._clock = clock

    async def grant(
        self, *, client_id: str, secret: str, scopes: Sequence[str] | None = None
    ) -> Grant:
        """Return a token of the API key, narrowed to ``scopes`` where they are given.

        It never outlives the key.

        Raises:
            InvalidClient: there is no usable key with this id and secret.
            InvalidScope: a scope is unknown or not the key's, or the key has none at all.
            NotApplied: the database did not say.
        """
        credential = await self._access.credential(secret)
        if credential is None or not _is_named(credential, client_id):
            raise InvalidClient(InvalidClient.code)
        granted = credential.scopes if scopes is None else tuple(scopes)
        if not granted or not set(granted) <= set(credential.scopes):
            raise InvalidScope(InvalidScope.code)
        actor = api_key_actor(credential, granted)
        lifetime = self._lifetime_seconds(credential)
        token = self._issuer.issue(actor, lifetime_seconds=lifetime, client_id=client_id)
        return Grant(token=token, actor=actor, lifetime_seconds=lifetime)

    def _lifetime_seconds(self, credential: Credential) -> int:
        maximum = self._issuer.lifetime_seconds_max
        if credential.expires_at is None:
            return maximum
        left = credential.expires_at - self._clock.now_milliseconds()
        if left < MILLISECONDS_PER_SECOND:
            raise InvalidClient(InvalidClient.code)
        return min(maximum, left // MILLISECONDS_PER_SECOND)


def _is_named(credential: Credential, client_id: str) -> bool:
    return compare_digest(credential.credential_id.encode(), client_id.encode())
