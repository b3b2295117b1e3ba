"""The sandbox: a small card acquirer with durable books of its own, steered by magic tokens.

``TOKENS`` is the table of them; ``sandbox_decline_<code>`` declines with any code. Any other token is
declined with ``unknown_token``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    AUTHORIZE,
    CANCEL,
    CAPTURE,
    FIRSTS,
    REFUND,
    SALE,
    Call,
    SandboxBooks,
    out_of_reach,
)
from fintech_payments.infrastructure.processors.letters import Letters

NAME: Final = "sandbox"
DECLINES: Final = "sandbox_decline_"

KEY_RETENTION_SECONDS: Final = 10 * 365 * 86_400
"""Its books are never cleared."""

IN_FLIGHT_LIMIT_SECONDS: Final = 60
"""A call reaches its books within a database deadline or not at all; a minute is generous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a token makes of calls. Effects not named are approved at once.

    Attributes:
        declines: decline codes by effect.
        later: effects whose answer is pending first and final later.
        tells: whether a later answer is told by a callback; otherwise it must be asked for.
        first_answer_lost: the first call has its effect, and its answer is lost.
        first_call_fails: the first call fails and has no effect.
        amount_off: minor units that the answer reports too little.
        dispute: how a dispute of what was taken ends that is opened later; empty where there is none.
    """

    summary: str
    declines: Mapping[str, str] = field(default_factory=dict[str, str])
    later: frozenset[str] = frozenset()
    tells: bool = True
    first_answer_lost: bool = False
    first_call_fails: bool = False
    amount_off: int = 0
    dispute: str = ""


TOKENS: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "sandbox_approve": Behaviour(summary="everything is approved"),
        "sandbox_timeout": Behaviour(
            summary="authorization succeeds, but the first call times out",
            first_answer_lost=True,
        ),
        "sandbox_error": Behaviour(
            summary="the first authorization call fails like a 5xx, the same call again is approved",
            first_call_fails=True,
        ),
        "sandbox_late": Behaviour(
            summary="authorization is pending, then approved through the callback", later=FIRSTS
        ),
        "sandbox_late_decline": Behaviour(
            summary="authorization is pending, then declined through the callback",
            declines={AUTHORIZE: "late_decline", SALE: "late_decline"},
            later=FIRSTS,
        ),
        "sandbox_silent": Behaviour(
            summary="authorization is pending, then approved; nobody calls, it must be asked for",
            later=FIRSTS,
            tells=False,
        ),
        "sandbox_wrong_amount": Behaviour(
            summary="one minor unit less is authorized than was asked for: the payment is conflicted",
            amount_off=1,
        ),
        "sandbox_capture_fails": Behaviour(
            summary="authorization is approved, captures are declined",
            declines={CAPTURE: "capture_declined"},
        ),
        "sandbox_cancel_fails": Behaviour(
            summary="authorization is approved, its cancellation is declined",
            declines={CANCEL: "cancel_declined"},
        ),
        "sandbox_refund_fails": Behaviour(
            summary="refunds are declined", declines={REFUND: "refund_declined"}
        ),
        "sandbox_refund_fails_later": Behaviour(
            summary="refunds are pending, then declined through the callback",
            declines={REFUND: "refund_declined"},
            later=frozenset({REFUND}),
        ),
        "sandbox_dispute_won": Behaviour(
            summary="what was captured is disputed later, and the merchant wins",
            dispute="dispute_won",
        ),
        "sandbox_dispute_lost": Behaviour(
            summary="what was captured is disputed later, and the merchant loses",
            dispute="dispute_lost",
        ),
    }
)


class SandboxProcessor:
    """Implements ``contracts.processors.Processor`` and calls back."""

    name: str = NAME
    capabilities: ProcessorCapabilities = ProcessorCapabilities(
        partial_capture=True,
        multiple_capture=True,
        partial_refund=True,
        asynchronous=True,
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
    )

    def __init__(self, books: SandboxBooks, letters: Letters, *, late_seconds: float) -> None:
        self._books = books
        self._letters = letters
        self._late_milliseconds = round(late_seconds * MILLISECONDS_PER_SECOND)

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        """Reserve an amount, or take it at once; the token decides."""
        behaviour = behaviour_of(payment_method)
        effect = SALE if capture else AUTHORIZE
        if behaviour.amount_off:
            amount = replace(amount, amount=max(1, amount.amount - behaviour.amount_off))
        call = self._call(key, payment_id, effect, amount, payment_method, behaviour)
        try:
            if behaviour.first_call_fails and await self._books.is_first_try(call):
                return ProcessorAnswer(outcome=Outcome.UNKNOWN)
            entered, is_new = await self._books.enter(call)
            await self._dispute_later(entered)
        except DatabaseError as error:
            return out_of_reach(key, error)
        if behaviour.first_answer_lost and is_new:
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)
        return entered.answer(now=self._books.now)

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        """Take some of what was reserved."""
        return await self._follow_up(key, payment_id, CAPTURE, amount)

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        """Give up what was reserved."""
        return await self._follow_up(key, payment_id, CANCEL, None)

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        """Give back some of what was taken."""
        del refund_id  # its books know refunds by key
        return await self._follow_up(key, payment_id, REFUND, amount)

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

    async def _follow_up(
        self, key: str, payment_id: str, effect: str, amount: Money | None
    ) -> ProcessorAnswer:
        """Answer a later step by the token that the payment was authorized with."""
        try:
            first = await self._books.first_of(payment_id)
            if first is None or first.final.outcome is not Outcome.APPROVED:
                return ProcessorAnswer(outcome=Outcome.DECLINED, decline_code="no_authorization")
            call = self._call(
                key,
                payment_id,
                effect,
                amount or first.amount,
                first.token,
                behaviour_of(first.token),
            )
            entered, _ = await self._books.enter(call)
            await self._dispute_later(entered)
        except DatabaseError as error:
            return out_of_reach(key, error)
        return entered.answer(now=self._books.now)

    async def _dispute_later(self, call: Call) -> None:
        """Enter the dispute of a sale or capture, and its end; again and again the same."""
        end = behaviour_of(call.token).dispute
        if not end or call.effect not in {SALE, CAPTURE}:
            return
        due = self._books.now
        for effect in ("dispute_open", end):
            due += self._late_milliseconds
            key = f"{call.key}#{effect}"
            await self._books.enter(
                replace(call, key=key, effect=effect, answers_at=due, told=False)
            )

    def _call(  # noqa: PLR0917 - one call, spelled out
        self,
        key: str,
        payment_id: str,
        effect: str,
        amount: Money,
        token: str,
        behaviour: Behaviour,
    ) -> Call:
        is_late = effect in behaviour.later
        return Call(
            key=key,
            processor=self.name,
            payment_id=payment_id,
            effect=effect,
            amount=amount,
            token=token,
            decline_code=behaviour.declines.get(effect, ""),
            answers_at=self._books.now + self._late_milliseconds if is_late else 0,
            told=not (is_late and behaviour.tells),
        )


def behaviour_of(token: str) -> Behaviour:
    """Return what a token makes of calls."""
    if token.startswith(DECLINES):
        code = token.removeprefix(DECLINES)
        return Behaviour(summary="declined", declines={AUTHORIZE: code, SALE: code})
    unknown = Behaviour(
        summary="unknown", declines={AUTHORIZE: "unknown_token", SALE: "unknown_token"}
    )
    return TOKENS.get(token, unknown)
