"""Callbacks: what processors tell us of their own accord (docs/decisions/0015).

A callback is verified by its processor, then looked up in the payment's stream: it may answer a step
that stands there and is open, or tell of a dispute of what was captured. What comes too early is sent
away, never recorded.
"""

from collections.abc import Mapping

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import (
    CallbackReader,
    DisputeChanged,
    Processor,
    StepAnswered,
)
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.journal import Journal, Stream
from fintech_kernel.errors import NotFound

from fintech_payments.domain.dispute_service import Disputes
from fintech_payments.domain.errors import CallbackTooEarly
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.resolution import Resolution
from fintech_payments.infrastructure import queries


class Callbacks:
    """Takes processors' callbacks."""

    def __init__(
        self,
        *,
        resolution: Resolution,
        disputes: Disputes,
        journal: Journal,
        database: Database,
        clock: Clock,
        processors: Mapping[str, Processor],
    ) -> None:
        self._resolution = resolution
        self._disputes = disputes
        self._journal = journal
        self._database = database
        self._clock = clock
        self._processors = processors

    async def receive(self, name: str, *, headers: Mapping[str, str], body: bytes) -> None:
        """Take a callback. Returning acknowledges it; otherwise the processor sends it again.

        Raises:
            NotFound: there is no such processor, or it does not call back.
            CallbackRejected: the processor did not sign it.
            CallbackTooEarly: it speaks of a step that does not stand yet.
            TryAgainLater: the answer is recorded and will be finished.
        """
        processor = self._processors.get(name)
        if not isinstance(processor, CallbackReader):
            raise NotFound
        event = processor.read_callback(
            headers=headers, body=body, now=self._clock.now_milliseconds()
        )
        stream = await self._stream(event.payment_id)
        if fold_payment(stream).processor != name:
            raise NotFound
        key = f"{name}:{event.event_id}"
        match event:
            case StepAnswered():
                await self._answer(stream, event, key=key)
            case DisputeChanged():
                await self._disputes.learn(fold_payment(stream), event, key=key)

    async def _stream(self, payment_id: str) -> Stream:
        found = await self._database.execute(queries.payment_owner(payment_id))
        if not found.rows:
            raise CallbackTooEarly(retry_after_seconds=CallbackTooEarly.seconds)
        return await self._journal.existing(str(found.rows[0]["merchant_id"]), payment_id)

    async def _answer(self, stream: Stream, event: StepAnswered, *, key: str) -> None:
        """Have the answer written where its step is open; a step that has its answer keeps it.

        An approval of what stands as declined is undone, and acknowledged only then.
        """
        if not stream.step(event.key):
            raise CallbackTooEarly(retry_after_seconds=CallbackTooEarly.seconds)
        await self._resolution.learned(
            stream, event.key, event.answer, under=key, actor=job_actor("payments.callback")
        )
