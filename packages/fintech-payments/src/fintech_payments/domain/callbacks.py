"""Callbacks: what processors tell us of their own accord (docs/decisions/0015).

A callback is verified by its processor, then looked up in the payment's stream: it may answer a step
that stands there and is open, and nothing else. What comes too early is sent away, never recorded.
"""

from collections.abc import Mapping

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import CallbackReader, Processor, StepAnswered
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.journal import Journal
from fintech_kernel.errors import NotFound

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
        journal: Journal,
        database: Database,
        clock: Clock,
        processors: Mapping[str, Processor],
    ) -> None:
        self._resolution = resolution
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
        await self._answer(name, event)

    async def _answer(self, name: str, event: StepAnswered) -> None:
        """Have the answer written where its step is open; a step that has its answer keeps it."""
        found = await self._database.execute(queries.payment_owner(event.payment_id))
        if not found.rows:
            raise CallbackTooEarly(retry_after_seconds=CallbackTooEarly.seconds)
        merchant_id = str(found.rows[0]["merchant_id"])
        stream = await self._journal.stream(merchant_id, event.payment_id)
        if not stream.step(event.key):
            raise CallbackTooEarly(retry_after_seconds=CallbackTooEarly.seconds)
        payment = fold_payment(stream)
        outcome = next((one for one in payment.open_outcomes if one.key == event.key), None)
        if outcome is None or payment.processor != name:
            return
        await self._resolution.write(
            payment,
            outcome,
            event.answer,
            key=f"{name}:{event.event_id}",
            actor=job_actor("payments.callback"),
        )
