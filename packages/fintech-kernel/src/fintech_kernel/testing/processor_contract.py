"""The contract of processors as checks: a third party's processor proves itself with them.

::

    @pytest.mark.anyio
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_our_processor_keeps_the_contract(check, case: ProcessorCase) -> None:
        await check(case)

Each check makes payments of its own through the real calls and reads the processor's own books. What a
processor declares that it cannot do must be declined, not attempted. A breach raises ``ContractBroken``,
which says what was seen and what money that would cost.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from fintech_kernel.contracts.processors import (
    CallbackReader,
    CallbackRejected,
    Outcome,
    Processor,
    ProcessorAnswer,
)
from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.money import Money

REPEATS: Final = 8
"""How often one call is sent at once: a first request, its retries, a zombie, recovery."""

ASKED_MAX: Final = 50
"""How often an open answer is asked for, with ``settle`` between, before it counts as never given."""

AMOUNT: Final = 10_000
PART: Final = 4_000

_DEFINITE: Final = frozenset({Outcome.APPROVED, Outcome.DECLINED})


class ContractBroken(AssertionError):
    """The processor breaks its contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorCase:
    """A processor, and how a check steers it and looks into its books.

    Attributes:
        approve: a token whose payments are approved.
        decline: a token whose authorizations are declined.
        captured: what the processor's books say was taken for a payment, minor units.
        refunded: what they say was given back.
        settle: lets answers come that come later (waits, or moves a clock); called between questions.
        currency: what the payments of the checks are made in.
    """

    processor: Processor
    approve: str
    decline: str
    captured: Callable[[str], Awaitable[int]]
    refunded: Callable[[str], Awaitable[int]]
    settle: Callable[[], Awaitable[None]]
    currency: str = "KES"

    def money(self, amount: int = AMOUNT) -> Money:
        """Return an amount in the currency of the checks."""
        return Money(amount=amount, currency=self.currency)

    async def authorize(
        self, payment_id: str, key: str, *, capture: bool = True, token: str = ""
    ) -> ProcessorAnswer:
        """Send the call that begins a payment."""
        return await self.processor.authorize(
            key=key,
            payment_id=payment_id,
            amount=self.money(),
            payment_method=token or self.approve,
            capture=capture,
        )

    async def final(self, key: str, answer: ProcessorAnswer) -> ProcessorAnswer:
        """Return the definite answer to a key, asking for it where ``answer`` is none.

        Raises:
            ContractBroken: it is never given, or the processor says that it knows nothing of the key.
        """
        for _ in range(ASKED_MAX):
            if answer.outcome in _DEFINITE:
                return answer
            await self.settle()
            asked = await self.processor.query(key=key)
            if asked is None:
                raise ContractBroken(
                    f"query({key!r}) says not found of a key that was sent: we would send the call"
                    " again, or believe that nothing was charged"
                )
            answer = asked
        raise ContractBroken(f"query({key!r}) gave no definite answer in {ASKED_MAX} questions")

    async def paid(self) -> str:
        """Take a payment and return its id.

        Raises:
            ContractBroken: the token that should be approved is not.
        """
        payment_id, key = new_payment()
        answer = await self.final(key, await self.authorize(payment_id, key))
        _require(answer.outcome is Outcome.APPROVED, f"{self.approve!r} is not approved")
        return payment_id


Check: TypeAlias = Callable[[ProcessorCase], Awaitable[None]]


async def declares_itself_soundly(case: ProcessorCase) -> None:
    """Its name fits into accounts and keys, and keys live longer than calls are under way."""
    capabilities = case.processor.capabilities
    _require(
        OBJECT_ID.fullmatch(case.processor.name) is not None,
        f"its name {case.processor.name!r} does not match {OBJECT_ID.pattern}",
    )
    _require(
        capabilities.key_retention_seconds > capabilities.in_flight_limit_seconds > 0,
        "it must remember keys for longer than a call may be under way: otherwise no call can safely"
        " be sent again",
    )


async def repeats_of_a_sale_take_the_money_once(case: ProcessorCase) -> None:
    """One key sent many times at once, and again later, has one effect and one answer."""
    payment_id, key = new_payment()
    first = await asyncio.gather(*(case.authorize(payment_id, key) for _ in range(REPEATS)))
    final = await case.final(key, first[0])
    again = await case.final(key, await case.authorize(payment_id, key))
    _require(final.outcome is Outcome.APPROVED, f"{case.approve!r} is not approved")
    _same_answers(key, [*first, final, again])
    taken = await case.captured(payment_id)
    _require(
        taken == AMOUNT,
        f"one key was sent {REPEATS + 1} times and {taken} minor units were taken instead of {AMOUNT}",
    )


async def a_decline_stays_a_decline(case: ProcessorCase) -> None:
    """What was declined under a key is declined with the same code whenever it is sent again."""
    payment_id, key = new_payment()
    first = await case.final(key, await case.authorize(payment_id, key, token=case.decline))
    again = await case.final(key, await case.authorize(payment_id, key, token=case.decline))
    _require(first.outcome is Outcome.DECLINED, f"{case.decline!r} is not declined")
    _require(bool(first.decline_code), "a decline without a code explains nothing")
    _same_answers(key, [first, again])
    taken = await case.captured(payment_id)
    _require(taken == 0, f"a declined sale took {taken} minor units")


async def a_key_that_was_sent_is_never_not_found(case: ProcessorCase) -> None:
    """A question right behind the call knows the key, whatever the answer will be."""
    for token in (case.approve, case.decline):
        payment_id, key = new_payment()
        await case.authorize(payment_id, key, token=token)
        asked = await case.processor.query(key=key)
        _require(
            asked is not None,
            "a key that was just accepted is not found: we would believe that nothing was charged",
        )


async def a_key_that_was_never_sent_has_no_outcome(case: ProcessorCase) -> None:
    """Of a key that it never saw a processor says nothing definite."""
    asked = await case.processor.query(key=new_payment()[1])
    _require(
        asked is None or asked.outcome not in _DEFINITE,
        "a key that was never sent has a definite answer: we would record it as the truth",
    )


async def keys_are_remembered_among_others(case: ProcessorCase) -> None:
    """Many keys later the first is still known, and sending it again takes nothing more."""
    payment_id, key = new_payment()
    before = await case.final(key, await case.authorize(payment_id, key))
    for _ in range(REPEATS):
        await case.paid()
    after = await case.final(key, await case.authorize(payment_id, key))
    _same_answers(key, [before, after])
    taken = await case.captured(payment_id)
    _require(taken == AMOUNT, f"a forgotten key was taken again: {taken} instead of {AMOUNT}")


async def approved_amounts_are_what_was_asked(case: ProcessorCase) -> None:
    """An approval that names an amount names ours; another one would stop the payment."""
    payment_id, key = new_payment()
    answer = await case.final(key, await case.authorize(payment_id, key))
    _require(
        answer.amount is None or answer.amount == case.money(),
        f"{answer.amount} was approved where {case.money()} was asked for",
    )


async def manual_capture_is_as_declared(case: ProcessorCase) -> None:
    """An authorization takes nothing by itself; without the capability it is declined."""
    payment_id, key = new_payment()
    answer = await case.final(key, await case.authorize(payment_id, key, capture=False))
    can = case.processor.capabilities.manual_capture
    _require(
        (answer.outcome is Outcome.APPROVED) == can,
        f"manual_capture is declared {can}, and an authorization is {answer.outcome}",
    )
    taken = await case.captured(payment_id)
    _require(taken == 0, f"an authorization without capture took {taken} minor units")


async def captures_are_as_declared(case: ProcessorCase) -> None:
    """A capture under one key takes once; parts and several of them where they are declared."""
    capabilities = case.processor.capabilities
    if not capabilities.manual_capture:
        return
    payment_id, key = new_payment()
    await case.final(key, await case.authorize(payment_id, key, capture=False))
    expected = PART if capabilities.partial_capture else AMOUNT
    await _capture(case, payment_id, expected)
    if capabilities.partial_capture and capabilities.multiple_capture:
        await _capture(case, payment_id, AMOUNT - PART)
        expected = AMOUNT
    taken = await case.captured(payment_id)
    _require(taken == expected, f"{taken} minor units were taken by captures of {expected}")


async def a_cancellation_gives_the_authorization_up(case: ProcessorCase) -> None:
    """A canceled authorization took nothing, and a second cancellation changes nothing."""
    if not case.processor.capabilities.manual_capture:
        return
    payment_id, key = new_payment()
    await case.final(key, await case.authorize(payment_id, key, capture=False))
    cancel = f"{new_payment()[1]}:cancel"
    answers = [
        await case.final(cancel, await case.processor.cancel(key=cancel, payment_id=payment_id))
        for _ in range(2)
    ]
    _same_answers(cancel, answers)
    _require(answers[0].outcome is Outcome.APPROVED, "an authorization cannot be given up")
    taken = await case.captured(payment_id)
    _require(taken == 0, f"a canceled authorization took {taken} minor units")


async def repeats_of_a_refund_give_back_once(case: ProcessorCase) -> None:
    """One refund key sent many times gives back once; parts where they are declared."""
    payment_id = await case.paid()
    partial = case.processor.capabilities.partial_refund
    amount = PART if partial else AMOUNT
    key = new_payment()[1]
    first = await asyncio.gather(*(_refund(case, payment_id, key, amount) for _ in range(REPEATS)))
    final = await case.final(key, first[0])
    again = await case.final(key, await _refund(case, payment_id, key, amount))
    _require(final.outcome is Outcome.APPROVED, "a refund of what was captured is not approved")
    _same_answers(key, [*first, final, again])
    given = await case.refunded(payment_id)
    _require(
        given == amount,
        f"one refund key was sent {REPEATS + 1} times and gave back {given} instead of {amount}",
    )


async def refunds_of_parts_are_as_declared(case: ProcessorCase) -> None:
    """Two parts under two keys are both given back; without the capability a part is declined."""
    payment_id = await case.paid()
    outcomes: list[Outcome] = []
    for part in (PART, AMOUNT - PART):
        key = new_payment()[1]
        answer = await case.final(key, await _refund(case, payment_id, key, part))
        outcomes.append(answer.outcome)
    can = case.processor.capabilities.partial_refund
    expected = Outcome.APPROVED if can else Outcome.DECLINED
    _require(
        outcomes == [expected, expected],
        f"partial_refund is declared {can}, and two parts are {', '.join(outcomes)}",
    )
    given = await case.refunded(payment_id)
    _require(given == (AMOUNT if can else 0), f"the parts gave back {given} minor units")


async def callbacks_that_are_not_its_own_are_rejected(case: ProcessorCase) -> None:
    """A processor that calls back refuses what it did not sign."""
    processor = case.processor
    if not isinstance(processor, CallbackReader):
        return
    for body in (b"", b"{}", b"[]", b"null", b"\xff", b'{"event_id": "e", "outcome": "approved"}'):
        try:
            processor.read_callback(headers={}, body=body, now=0)
        except CallbackRejected:
            continue
        raise ContractBroken(f"a callback that nobody signed is believed: {body!r}")


CHECKS: Final[tuple[Check, ...]] = (
    declares_itself_soundly,
    repeats_of_a_sale_take_the_money_once,
    a_decline_stays_a_decline,
    a_key_that_was_sent_is_never_not_found,
    a_key_that_was_never_sent_has_no_outcome,
    keys_are_remembered_among_others,
    approved_amounts_are_what_was_asked,
    manual_capture_is_as_declared,
    captures_are_as_declared,
    a_cancellation_gives_the_authorization_up,
    repeats_of_a_refund_give_back_once,
    refunds_of_parts_are_as_declared,
    callbacks_that_are_not_its_own_are_rejected,
)
"""Every check; each stands alone."""


def new_payment() -> tuple[str, str]:
    """Return a payment id and a key that were never used."""
    name = uuid.uuid4().hex
    return f"pay_{name}", f"op_{name}:authorize"


async def _capture(case: ProcessorCase, payment_id: str, amount: int) -> None:
    key = f"{new_payment()[1]}:capture"
    answers = [
        await case.final(
            key,
            await case.processor.capture(key=key, payment_id=payment_id, amount=case.money(amount)),
        )
        for _ in range(2)
    ]
    _same_answers(key, answers)
    _require(answers[0].outcome is Outcome.APPROVED, f"a capture of {amount} is not approved")


async def _refund(case: ProcessorCase, payment_id: str, key: str, amount: int) -> ProcessorAnswer:
    return await case.processor.refund(
        key=key,
        payment_id=payment_id,
        refund_id=f"ref_{key[3:35]}",
        amount=case.money(amount),
    )


def _same_answers(key: str, answers: list[ProcessorAnswer]) -> None:
    definite = [one for one in answers if one.outcome in _DEFINITE]
    told = {(one.outcome, one.decline_code) for one in definite}
    _require(
        len(told) <= 1,
        f"the key {key!r} has several final answers: {sorted(map(str, told))}",
    )


def _require(holds: bool, breach: str) -> None:
    if not holds:
        raise ContractBroken(breach)
