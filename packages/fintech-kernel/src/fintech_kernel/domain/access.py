"""Access: who stands behind a bearer token, and whether it still counts, as of this request.

A token's signature says who issued it; the database says whether its key, its principal or itself was
revoked since, and for an API key what it may do by now. Both are asked in one trip, for every request,
and nothing of the answer is kept (``docs/decisions/0009``). Every fault is one and the same
``Unauthenticated``, its reason for the log in ``__cause__``; a database that does not answer is neither a
pass nor a fault of the token.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from fintech_dbclient import Database, NotApplied, OutcomeUnknown

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.credentials import Credential, CredentialDirectory
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.permissions import MERCHANT_ADMIN
from fintech_kernel.domain.revocations import RevocationKind, revocation_key
from fintech_kernel.errors import Unauthenticated
from fintech_kernel.infrastructure import access_queries

API_KEY_PREFIX: Final = "fk_"
"""What every API key begins with. No token does: its header begins with a brace."""

API_KEY_CHARACTERS_MAX: Final = 256
"""Longest API key that is looked at."""

API_KEY_SUBJECT_PREFIX: Final = "key:"
"""Subjects of API keys; nobody else can log in as one of them."""

_API_KEY: Final = re.compile(rf"{API_KEY_PREFIX}[A-Za-z0-9_-]{{1,{API_KEY_CHARACTERS_MAX - 3}}}")

Read = TypeVar("Read")


class TokenRejected(Exception):
    """Why a bearer token is not accepted: fixed text, for logs. It never reaches a client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a verified token says. Times are in seconds since 1970.

    ``client_id`` names the API key that it was issued for, None where it was issued for none.
    """

    actor: Actor
    key_id: str
    token_id: str
    issued_at: int
    expires_at: int
    client_id: str | None = None


class Verifier(Protocol):
    """Knows the keys of tokens."""

    def verify(self, token: str) -> AccessToken:
        """Return what a token says.

        Raises:
            Unauthenticated: for every fault alike.
        """
        ...


class Access:
    """Authenticates bearer tokens: our JWTs, and API keys where somebody keeps them."""

    def __init__(self, *, verifier: Verifier, database: Database) -> None:
        self._verifier = verifier
        self._database = database
        self._directory: CredentialDirectory | None = None

    def use_directory(self, directory: CredentialDirectory | None) -> None:
        """Ask for API keys there; called once, when services are built."""
        self._directory = directory

    async def authenticate(
        self, bearer: str, *, beside: Callable[[str], None] | None = None
    ) -> Actor:
        """Return the principal, with the scopes that it has now. Takes one trip.

        ``beside`` is called with the merchant of a token that was verified, right before it is asked about:
        a read that it starts leaves in the same trip. Nothing of it may be told to anybody before this
        returns. An API key's merchant is not known before the trip.

        Raises:
            Unauthenticated: for every fault alike; ``__cause__`` says which.
            NotApplied: the database did not say whether it still counts.
        """
        try:
            if bearer.startswith(API_KEY_PREFIX):
                return await self._of_api_key(bearer)
            token = self._verifier.verify(bearer)
            if beside is not None and not token.actor.is_platform:
                beside(token.actor.merchant_id)
            return await self._of_token(token)
        except TokenRejected as reason:
            raise Unauthenticated(Unauthenticated.code) from reason

    async def credential(self, secret: str) -> Credential | None:
        """Return the API key with this secret, None where there is none that is usable now.

        Raises:
            NotApplied: the database did not say.
        """
        if self._directory is None or not _API_KEY.fullmatch(secret):
            return None
        return await _answered(self._directory.authenticate(secret))

    async def _of_api_key(self, secret: str) -> Actor:
        credential = await self.credential(secret)
        if credential is None:
            raise TokenRejected("no usable API key")
        return api_key_actor(credential, credential.scopes)

    async def _of_token(self, token: AccessToken) -> Actor:
        if token.client_id is None:
            _refuse(await _answered(self._revoked(token)))
            return token.actor
        revoked, credential = await _answered(
            asyncio.gather(self._revoked(token), self._current(token, token.client_id))
        )
        _refuse(revoked)
        if credential is None:
            raise TokenRejected("its API key is not usable any more")
        return replace(token.actor, scopes=_common(token.actor.scopes, credential.scopes))

    async def _revoked(self, token: AccessToken) -> RevocationKind | None:
        """Return which of a token's revocations is in force; None where none is."""
        keys = _keys(token)
        result = await self._database.execute(access_queries.revocations_of(list(keys.values())))
        at = {str(row["revocation_key"]): int(str(row["revoked_at"])) for row in result.rows}
        for kind, key in keys.items():
            if _is_in_force(kind, at.get(key), token):
                return kind
        return None

    async def _current(self, token: AccessToken, client_id: str) -> Credential | None:
        if self._directory is None:
            return None
        return await self._directory.current(token.actor.merchant_id, client_id)


def api_key_actor(credential: Credential, scopes: tuple[str, ...]) -> Actor:
    """Return the principal that an API key is: its merchant's administrator, narrowed to scopes."""
    return Actor(
        subject=API_KEY_SUBJECT_PREFIX + credential.credential_id,
        roles=(MERCHANT_ADMIN,),
        merchant_id=credential.merchant_id,
        scopes=scopes,
    )


def _keys(token: AccessToken) -> Mapping[RevocationKind, str]:
    """Return the keys of the rows that would revoke a token."""
    values = {
        RevocationKind.SIGNING_KEY: token.key_id,
        RevocationKind.PRINCIPAL: token.actor.subject,
        RevocationKind.TOKEN: token.token_id,
    }
    return {kind: revocation_key(kind, value) for kind, value in values.items()}


def _refuse(revoked: RevocationKind | None) -> None:
    if revoked is not None:
        raise TokenRejected(f"{revoked.value} is revoked")


def _is_in_force(kind: RevocationKind, revoked_at: int | None, token: AccessToken) -> bool:
    if revoked_at is None:
        return False
    if kind is RevocationKind.PRINCIPAL:
        return token.issued_at <= revoked_at // MILLISECONDS_PER_SECOND
    return True


def _common(of_token: tuple[str, ...] | None, of_key: tuple[str, ...]) -> tuple[str, ...]:
    return of_key if of_token is None else tuple(name for name in of_token if name in of_key)


async def _answered(question: Awaitable[Read]) -> Read:
    """Return what the database says; a reply that was lost left nothing behind, since we only read."""
    try:
        return await question
    except OutcomeUnknown as error:
        raise NotApplied("the question about a credential was not answered") from error
