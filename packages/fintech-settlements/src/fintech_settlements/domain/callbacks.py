"""Callbacks: what rails tell us of their own accord.

A callback is verified by its rail, then looked up in the settlement's stream: it may answer the payout
that stands there, or tell that it came back. What comes too early is sent away, never recorded.
"""

from collections.abc import Mapping

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.payouts import (
    PayoutAnswered,
    PayoutCallbackReader,
    PayoutRail,
    PayoutSentBack,
)
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal, Stream
from fintech_kernel.domain.operations import OperationCall, Operations
from fintech_kernel.errors import NotFound

from fintech_settlements.domain.commands import ReturnPayout
from fintech_settlements.domain.errors import PayoutCallbackTooEarly
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.kinds import ID_PREFIX, RETURN
from fintech_settlements.domain.model import settlement_id_of
from fintech_settlements.domain.resolution import Resolution
from fintech_settlements.infrastructure import queries


class PayoutCallbacks:
    """Takes rails' callbacks."""

    def __init__(
        self,
        *,
        resolution: Resolution,
        operations: Operations,
        journal: Journal,
        database: Database,
        clock: Clock,
        rails: Mapping[str, PayoutRail],
    ) -> None:
        self._resolution = resolution
        self._operations = operations
        self._journal = journal
        self._database = database
        self._clock = clock
        self._rails = rails

    async def receive(self, name: str, *, headers: Mapping[str, str], body: bytes) -> None:
        """Take a callback. Returning acknowledges it; otherwise the rail sends it again.

        Raises:
            NotFound: there is no such rail, or it does not call back.
            CallbackRejected: the rail did not sign it.
            PayoutCallbackTooEarly: it speaks of a payout that does not stand yet.
            TryAgainLater: the answer is recorded and will be finished.
        """
        rail = self._rails.get(name)
        if not isinstance(rail, PayoutCallbackReader):
            raise NotFound
        event = rail.read_callback(headers=headers, body=body, now=self._clock.now_milliseconds())
        stream = await self._stream(event.batch_number)
        if fold_settlement(stream).rail != name:
            raise NotFound
        key = f"{name}:{event.event_id}"
        match event:
            case PayoutAnswered():
                await self._answer(stream, event, key=key)
            case PayoutSentBack():
                await self._send_back(stream, event, key=key)

    async def _stream(self, batch_number: str) -> Stream:
        settlement_id = settlement_id_of(batch_number, ID_PREFIX)
        found = await self._database.execute(queries.owner_of(settlement_id))
        if not found.rows:
            raise PayoutCallbackTooEarly(retry_after_seconds=PayoutCallbackTooEarly.seconds)
        return await self._journal.existing(str(found.rows[0]["merchant_id"]), settlement_id)

    async def _answer(self, stream: Stream, event: PayoutAnswered, *, key: str) -> None:
        """Have the answer written where its payout is open; one that has its answer keeps it."""
        if not stream.step(event.key):
            raise PayoutCallbackTooEarly(retry_after_seconds=PayoutCallbackTooEarly.seconds)
        actor = job_actor("settlements.callback")
        await self._resolution.learned(stream, event.key, event.answer, under=key, actor=actor)

    async def _send_back(self, stream: Stream, event: PayoutSentBack, *, key: str) -> None:
        """Record that the money came back; it stands as paid first, and comes back once."""
        settlement = fold_settlement(stream)
        if settlement.return_code:
            return
        if not stream.step(event.key) or not settlement.is_out:
            raise PayoutCallbackTooEarly(retry_after_seconds=PayoutCallbackTooEarly.seconds)
        actor = job_actor("settlements.callback")
        command = ReturnPayout(
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            return_code=event.return_code,
            reference=event.event_id,
            recorded_by=actor.subject,
        )
        await self._operations.run(
            OperationCall(
                kind=RETURN,
                merchant_id=settlement.merchant_id,
                actor=actor,
                key=key,
                command=to_json(command),
            )
        )
