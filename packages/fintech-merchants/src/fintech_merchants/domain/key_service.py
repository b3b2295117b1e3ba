"""API keys: what clients ask for, with every input of a decision read before the claim and frozen.

How operations run is told in ``key_workflows``; ``key_directory`` answers who stands behind a secret.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fintech_dbclient import Database
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.domain.permissions import MERCHANT_ADMIN, Permissions
from fintech_kernel.errors import InvalidRequest, NotFound
from fintech_kernel.identifiers import Identifiers

from fintech_merchants.domain.key_projection import filter_of, used_key_view
from fintech_merchants.domain.key_secrets import expecting_secret
from fintech_merchants.domain.keys import (
    ChangeKey,
    CreateKey,
    KeyStatus,
    RescopeKey,
    RevokeKey,
    RotateKey,
)
from fintech_merchants.domain.service import Merchants
from fintech_merchants.infrastructure import key_queries
from fintech_merchants.infrastructure.key_queries import KeyRow

CREATE: Final = "api_keys.create"
RESCOPE: Final = "api_keys.rescope"
ROTATE: Final = "api_keys.rotate"
REVOKE: Final = "api_keys.revoke"

KEY_PREFIX: Final = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a client asks for; an end as a time, or as a lifetime from now, or none."""

    name: str
    scopes: tuple[str, ...]
    expires_at: int | None = None
    lifetime_seconds: int | None = None

    def expires(self, now: int) -> int | None:
        """Return when it ends, UTC milliseconds."""
        if self.lifetime_seconds is not None:
            return now + self.lifetime_seconds * MILLISECONDS_PER_SECOND
        return self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The outcome of an operation that made a key; ``secret`` only for the request that made it."""

    answer: Answer
    secret: str | None = field(repr=False)


class ApiKeys:
    """The use cases of API keys."""

    def __init__(
        self,
        *,
        operations: Operations,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        permissions: Permissions,
        merchants: Merchants,
    ) -> None:
        self._operations = operations
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._permissions = permissions
        self._merchants = merchants

    async def create(
        self, merchant_id: str, new: NewKey, *, actor: Actor, call: IdempotentCall
    ) -> Issued:
        """Issue a key.

        Raises:
            NotFound: there is no such merchant for this principal.
            InvalidRequest: a scope that no installed plugin declares.
        """
        self._check_declared(new.scopes)
        is_closed = await self._is_closed(merchant_id, actor)
        now = self._clock.now_milliseconds()
        command = CreateKey(
            merchant_id=merchant_id,
            merchant_is_closed=is_closed,
            key_id=self._identifiers.new(KEY_PREFIX),
            name=new.name,
            scopes=tuple(sorted(new.scopes)),
            grantable=self._grantable(actor),
            expires_at=new.expires(now),
            keys_active=await self._count_active(merchant_id, now),
            requested_at=now,
        )
        return await self._issue(CREATE, command, actor, call)

    async def rotate(
        self,
        merchant_id: str,
        key_id: str,
        *,
        overlap_seconds: int,
        actor: Actor,
        call: IdempotentCall,
    ) -> Issued:
        """Replace a key by a new one with its name, scopes and end.

        Raises:
            NotFound: there is no such key for this principal.
        """
        await self.get(merchant_id, key_id, actor=actor)
        command = RotateKey(
            merchant_id=merchant_id,
            merchant_is_closed=await self._is_closed(merchant_id, actor),
            key_id=key_id,
            rotated_to=self._identifiers.new(KEY_PREFIX),
            overlap_milliseconds=overlap_seconds * MILLISECONDS_PER_SECOND,
            grantable=self._grantable(actor),
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._issue(ROTATE, command, actor, call)

    async def rescope(
        self,
        merchant_id: str,
        key_id: str,
        scopes: Sequence[str],
        *,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Replace a key's scopes from now on.

        Raises:
            NotFound: there is no such key for this principal.
            InvalidRequest: a scope that no installed plugin declares.
        """
        self._check_declared(scopes)
        await self.get(merchant_id, key_id, actor=actor)
        command = RescopeKey(
            merchant_id=merchant_id,
            merchant_is_closed=await self._is_closed(merchant_id, actor),
            key_id=key_id,
            scopes=tuple(sorted(scopes)),
            grantable=self._grantable(actor),
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(RESCOPE, command, actor, call)

    async def revoke(
        self, merchant_id: str, key_id: str, reason: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """End a key: no request that starts after the answer is let in with it.

        Raises:
            NotFound: there is no such key for this principal.
        """
        await self.get(merchant_id, key_id, actor=actor)
        command = RevokeKey(
            merchant_id=merchant_id,
            key_id=key_id,
            reason=reason,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(REVOKE, command, actor, call)

    async def get(self, merchant_id: str, key_id: str, *, actor: Actor) -> Mapping[str, Any]:
        """Return a key as it is in force now, as a view.

        Raises:
            NotFound: there is no such key for this principal.
        """
        if not actor.may_see(merchant_id):
            raise NotFound
        result = await self._database.execute(key_queries.key_by_id(merchant_id, key_id))
        if not result.rows:
            raise NotFound
        (row,) = result.rows
        now = self._clock.now_milliseconds()
        return used_key_view(KeyRow.from_row(row), row["last_used_at"], now=now)

    async def page(
        self,
        merchant_id: str,
        *,
        actor: Actor,
        status: KeyStatus | None,
        before: str | None,
        limit: int,
    ) -> Sequence[Mapping[str, Any]]:
        """Return a merchant's keys newest first, as views.

        Raises:
            NotFound: there is no such merchant for this principal.
        """
        await self._merchants.get(merchant_id, actor=actor)
        now = self._clock.now_milliseconds()
        result = await self._database.execute(
            key_queries.keys_page(
                merchant_id,
                narrowed=filter_of(status, now) if status else None,
                before=before,
                limit=limit,
            )
        )
        return [
            used_key_view(KeyRow.from_row(row), row["last_used_at"], now=now) for row in result.rows
        ]

    def _check_declared(self, scopes: Sequence[str]) -> None:
        declared = self._permissions.names()
        if any(scope not in declared for scope in scopes):
            raise InvalidRequest("/scopes", "must be names of permissions that are declared here")

    def _grantable(self, actor: Actor) -> tuple[str, ...]:
        """Return what a principal may give: what administrators of merchants have, within its own scopes."""
        given = self._permissions.of_role(MERCHANT_ADMIN)
        return tuple(name for name in given if actor.scopes is None or name in actor.scopes)

    async def _is_closed(self, merchant_id: str, actor: Actor) -> bool:
        merchant = await self._merchants.get(merchant_id, actor=actor)
        return merchant.status is MerchantStatus.CLOSED

    async def _count_active(self, merchant_id: str, now: int) -> int:
        narrowed = filter_of(KeyStatus.ACTIVE, now)
        result = await self._database.execute(key_queries.keys_counted(merchant_id, narrowed))
        return int(str(result.rows[0]["counted"]))

    async def _issue(
        self, kind: str, command: CreateKey | RotateKey, actor: Actor, call: IdempotentCall
    ) -> Issued:
        with expecting_secret() as receipt:
            answer = await self._run(kind, command, actor, call)
        return Issued(answer=answer, secret=receipt.secret)

    async def _run(
        self, kind: str, command: CreateKey | ChangeKey, actor: Actor, call: IdempotentCall
    ) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=command.merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )
