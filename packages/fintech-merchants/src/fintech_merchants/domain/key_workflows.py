"""How operations on API keys run: decide, write the row that authentication reads, finish.

The row is written before the operation finishes: what was acknowledged is in force. Of a new key's
secret only the HMAC is written; ``key_secrets`` says who gets the secret itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fintech_dbclient import Statement
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.errors import InvariantBroken

from fintech_merchants.domain import keys
from fintech_merchants.domain.key_events import ApiKeyCreated
from fintech_merchants.domain.key_history import CODEC, fold_key
from fintech_merchants.domain.key_projection import key_row, key_view, key_write
from fintech_merchants.domain.key_secrets import SecretSource, hand_over
from fintech_merchants.domain.keys import (
    ApiKey,
    ChangeKey,
    CreateKey,
    RescopeKey,
    RevokeKey,
    RotateKey,
    SealedSecret,
)


class KeyWorkflows:
    """How operations on API keys run, the same for whoever holds them."""

    def __init__(self, secrets: SecretSource) -> None:
        self._secrets = secrets

    async def run_create(self, execution: Execution) -> Finished:
        """Issue a key. Its stream is new; the claim holds the whole input but the secret."""
        command = from_json(CreateKey, execution.command)
        return await self._issue(
            execution,
            stream_id=stream_id_of(command.merchant_id, command.key_id),
            step="decide",
            decide=lambda secret: keys.decide_creation(command, secret),
        )

    @staticmethod
    def opening_of_change(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
        """Read the key's stream in the trip of the claim."""
        return (stream_statement(str(request["merchant_id"]), str(request["key_id"])),)

    async def run_rotate(self, execution: Execution) -> Finished:
        """End a key after its overlap, then issue the one that replaces it: two streams, two steps."""
        command = from_json(RotateKey, execution.command)
        rotated = await execution.append(
            stream=execution.opened_stream(command.merchant_id, command.key_id),
            step="decide",
            decide=lambda stream: [CODEC.draft(keys.decide(fold_key(stream), command))],
            writes=_row,
        )
        if rotated.is_refused:
            return await execution.finish(refused(rotated.entries[0]))
        return await self._issue(
            execution,
            stream_id=stream_id_of(command.merchant_id, command.rotated_to),
            step="issue",
            decide=lambda secret: keys.successor(_decided(rotated), command, secret),
        )

    async def run_rescope(self, execution: Execution) -> Finished:
        """Replace a key's scopes."""
        return await self._run_change(execution, from_json(RescopeKey, execution.command))

    async def run_revoke(self, execution: Execution) -> Finished:
        """End a key."""
        return await self._run_change(execution, from_json(RevokeKey, execution.command))

    async def _run_change(self, execution: Execution, command: ChangeKey) -> Finished:
        return await execution.conclude(
            stream=execution.opened_stream(command.merchant_id, command.key_id),
            step="decide",
            decide=lambda stream: [CODEC.draft(keys.decide(fold_key(stream), command))],
            complete=_completed,
        )

    async def _issue(
        self,
        execution: Execution,
        *,
        stream_id: str,
        step: str,
        decide: Callable[[SealedSecret], ApiKeyCreated],
    ) -> Finished:
        """Append a new key; the secret is known only where the row that stands is of our draw."""
        drawn = self._secrets.draw()
        issued = await execution.append(
            stream=Stream(stream_id),
            step=step,
            decide=lambda _stream: [CODEC.draft(decide(drawn.sealed))],
        )
        if not issued.is_refused and _decided(issued).digest == drawn.sealed.digest:
            hand_over(drawn)
        return await execution.finish(_completed(issued))


def _completed(appended: Appended) -> Completion:
    """A function of the rows that stand, so that every executor ends alike."""
    if appended.is_refused:
        return refused(appended.entries[0])
    key = _decided(appended)
    return Completion(
        result=key_view(key_row(key, appended.entries[-1].seq), now=key.updated_at),
        writes=_row(appended),
    )


def _row(appended: Appended) -> tuple[Write, ...]:
    if appended.is_refused:
        return ()
    return (key_write(_decided(appended), appended.entries[-1].seq),)


def _decided(appended: Appended) -> ApiKey:
    """Return the key as the decision left it."""
    key = fold_key(appended.as_written)
    if key is None:
        raise InvariantBroken("a decision about an API key stands where there is none")
    return key
