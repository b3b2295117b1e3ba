"""Revocations: a signing key, a principal or a single token that counts no more.

A revocation is an operation like any other. Its decision is one journal entry in a stream of its own, its
row is written before it finishes: who was answered can rely on it. ``access`` asks for the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from fintech_dbclient import Database, Row

from fintech_kernel.clock import Clock
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished
from fintech_kernel.domain.journal import Draft, Stream, stream_id_of
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.infrastructure import access_queries

REVOKE: Final = "credentials.revoke"
REVOKED: Final = "credential.revoked"
REVOCATION_PREFIX: Final = "rev"


class RevocationKind(StrEnum):
    """What can be revoked: by ``kid``, by ``sub`` (tokens issued so far), by ``jti``."""

    SIGNING_KEY = "signing_key"
    PRINCIPAL = "principal"
    TOKEN = "token"  # noqa: S105 - a kind of revocation, not a password


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A revocation that stands. ``revoked_at`` is in UTC milliseconds."""

    revocation_id: str
    kind: RevocationKind
    value: str
    reason: str
    revoked_at: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Revocation":
        """Return what a command, an entry or a row says."""
        return cls(
            revocation_id=value["revocation_id"],
            kind=RevocationKind(value["kind"]),
            value=value["value"],
            reason=value["reason"],
            revoked_at=value["revoked_at"],
        )

    @property
    def key(self) -> str:
        """The key of its row."""
        return revocation_key(self.kind, self.value)

    def to_json(self) -> dict[str, str | int]:
        """Return it as commands, entries, results and rows store it."""
        return {
            "revocation_id": self.revocation_id,
            "kind": self.kind.value,
            "value": self.value,
            "reason": self.reason,
            "revoked_at": self.revoked_at,
        }


def revocation_key(kind: RevocationKind, value: str) -> str:
    """Return the key of the row that revokes something."""
    return f"{kind.value}:{value}"


class Revocations:
    """Revokes, and lists what is revoked. Platform scope."""

    def __init__(
        self,
        *,
        operations: Operations,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
    ) -> None:
        self._operations = operations
        self._database = database
        self._identifiers = identifiers
        self._clock = clock

    async def revoke(
        self, kind: RevocationKind, value: str, reason: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Revoke; what was revoked is refused in every request that starts after the answer."""
        revocation = Revocation(
            revocation_id=self._identifiers.new(REVOCATION_PREFIX),
            kind=kind,
            value=value,
            reason=reason,
            revoked_at=self._clock.now_milliseconds(),
        )
        return await self._operations.run(
            OperationCall(
                kind=REVOKE,
                merchant_id=PLATFORM,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=revocation.to_json(),
            )
        )

    async def page(self, *, before: str | None, limit: int) -> tuple[Revocation, ...]:
        """Return what is revoked, the latest first."""
        result = await self._database.execute(
            access_queries.revocations_page(before=before, limit=limit)
        )
        return tuple(Revocation.from_json(row) for row in result.rows)


async def run_revoke(execution: Execution) -> Finished:
    """Record the decision, write the row, finish: in this order, in one trip."""
    revocation = Revocation.from_json(execution.command)
    return await execution.conclude(
        stream=Stream(stream_id_of(PLATFORM, revocation.revocation_id)),
        step="decide",
        decide=lambda _stream: [Draft(type=REVOKED, data=revocation.to_json())],
        complete=_completed,
    )


def _completed(appended: Appended) -> Completion:
    revocation = Revocation.from_json(appended.entries[0].data)
    return Completion(result=revocation.to_json(), writes=(_write(revocation),))


def _write(revocation: Revocation) -> Write:
    row: Row = {"revocation_key": revocation.key, **revocation.to_json()}
    return Write(
        statement=access_queries.put_revocation(
            [row[column] for column in access_queries.REVOCATION_COLUMNS]
        ),
        confirm=access_queries.revocation_by_id(revocation.revocation_id),
        expected=[row],
    )
