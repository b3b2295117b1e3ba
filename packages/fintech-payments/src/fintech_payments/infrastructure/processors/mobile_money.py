"""A sandbox of mobile money as M-Pesa does it: every answer comes later, and refunds are whole.

The customer confirms on the phone, so a call is only ever accepted (``pending``); the answer comes by
callback. A request that waits too long in the operator's queue comes back as ``queue_timeout``: nothing
was taken. ``TOKENS`` is the table of its magic tokens; ``mobile_decline_<code>`` declines with any code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fintech_dbclient import DatabaseError
from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.processors import (
    DisputeChanged,
    Outcome,
    ProcessorAnswer,
    ProcessorCapabilities,
    StepAnswered,
)
from fintech_kernel.money import Money

from fintech_payments.infrastructure.processors.books import (
    REFUND,
    SALE,
    Call,
    SandboxBooks,
    out_of_reach,
)
from fintech_payments.infrastructure.processors.letters import Letters

NAME: Final = "sandbox_mobile"
DECLINES: Final = "mobile_decline_"

KEY_RETENTION_SECONDS: Final = 86_400
"""What is promised; the books keep keys longer."""

IN_FLIGHT_LIMIT_SECONDS: Final = 120
"""A request waits in the queue no longer than the customer's prompt stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a token makes of the payment: why it is declined, whether its answer is told by callback."""

    summary: str
    decline_code: str = ""
    tells: bool = True


TOKENS: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "mobile_approve": Behaviour(summary="pending, then approved through the callback"),
        "mobile_queue_timeout": Behaviour(
            summary="pending, then declined with `queue_timeout`: it waited too long in the queue",
            decline_code="queue_timeout",
        ),
        "mobile_silent": Behaviour(
            summary="pending, then approved; nobody calls, it must be asked for", tells=False
        ),
    }
)


class MobileMoneyProcessor:
    """Implements ``contracts.processors.Processor`` and calls back; takes money at once or not at all."""

    name: str = NAME
    capabilities: ProcessorCapabilities = ProcessorCapabilities(
        partial_capture=False,
        multiple_capture=False,
        partial_refund=False,
        asynchronous=True,
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
        manual_capture=False,
    )

    def __init__(self, books: SandboxBooks, letters: Letters, *, late_seconds: float) -> None:
        self._books = books
        self._letters = letters
        self._late_milliseconds = round(late_seconds * MILLISECONDS_PER_SECOND)

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        """Ask the customer to pay; only with ``capture``."""
        if not capture:
            return _declined("manual_capture_unsupported")
        behaviour = behaviour_of(payment_method)
        return await self._accept(
            Call(
                key=key,
                processor=self.name,
                payment_id=payment_id,
                effect=SALE,
                amount=amount,
                token=payment_method,
                decline_code=behaviour.decline_code,
                answers_at=self._later,
                told=not behaviour.tells,
            )
        )

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        """Decline: money is taken at once or not at all."""
        del key, payment_id, amount
        return _declined("manual_capture_unsupported")

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        """Decline: nothing is ever reserved."""
        del key, payment_id
        return _declined("manual_capture_unsupported")

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        """Reverse a payment, as a whole."""
        del refund_id  # its books know refunds by key
        try:
            first = await self._books.first_of(payment_id)
        except DatabaseError as error:
            return out_of_reach(key, error)
        if first is None or first.final.outcome is not Outcome.APPROVED:
            return _declined("no_payment")
        if amount != first.amount:
            return _declined("partial_refund_unsupported")
        return await self._accept(
            Call(
                key=key,
                processor=self.name,
                payment_id=payment_id,
                effect=REFUND,
                amount=amount,
                token=first.token,
                decline_code="",
                answers_at=self._later,
                told=False,
            )
        )

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        """Return what the books say of a key."""
        try:
            call = await self._books.find(key)
        except DatabaseError as error:
            return out_of_reach(key, error)
        return call.answer(now=self._books.now) if call else None

    def read_callback(
        self, *, headers: Mapping[str, str], body: bytes, now: int
    ) -> StepAnswered | DisputeChanged:
        """Return what a letter of its own says.

        Raises:
            CallbackRejected: it is none.
        """
        return self._letters.read(headers=headers, body=body, now=now)

    @property
    def _later(self) -> int:
        return self._books.now + self._late_milliseconds

    async def _accept(self, call: Call) -> ProcessorAnswer:
        try:
            entered, _ = await self._books.enter(call)
        except DatabaseError as error:
            return out_of_reach(call.key, error)
        return entered.answer(now=self._books.now)


def behaviour_of(token: str) -> Behaviour:
    """Return what a token makes of the payment."""
    if token.startswith(DECLINES):
        return Behaviour(summary="declined", decline_code=token.removeprefix(DECLINES))
    return TOKENS.get(token, Behaviour(summary="unknown", decline_code="unknown_token"))


def _declined(code: str) -> ProcessorAnswer:
    return ProcessorAnswer(outcome=Outcome.DECLINED, decline_code=code)
