"""A definite answer to a step whose outcome was open, written by whoever learned it."""

from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import ProcessorAnswer
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.operations import OperationCall, Operations

from fintech_payments.domain.commands import ResolvePayment
from fintech_payments.domain.kinds import RESOLVE
from fintech_payments.domain.model import OpenOutcome, Payment


class Resolution:
    """Has ``payments.resolve`` write answers. It is claimed only with a definite one in its request."""

    def __init__(self, *, operations: Operations, clock: Clock) -> None:
        self._operations = operations
        self._clock = clock

    async def write(
        self,
        payment: Payment,
        outcome: OpenOutcome,
        answer: ProcessorAnswer,
        *,
        key: str,
        actor: Actor,
    ) -> None:
        """Write an answer; whoever else learned it too writes the same step, once.

        Raises:
            TryAgainLater: it is recorded and will be finished, or another executor is at it.
            DatabaseError: the database did not do it.
        """
        command = ResolvePayment(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            operation_id=outcome.operation_id,
            effect=outcome.effect,
            refund_id=outcome.refund_id,
            answer=answer,
            requested_at=self._clock.now_milliseconds(),
        )
        await self._operations.run(
            OperationCall(
                kind=RESOLVE,
                merchant_id=payment.merchant_id,
                actor=actor,
                key=key,
                command=to_json(command),
            )
        )
