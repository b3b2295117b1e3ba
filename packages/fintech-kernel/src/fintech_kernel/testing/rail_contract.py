"""The contract of payout rails as checks: a third party's rail proves itself with them.

::

    @pytest.mark.anyio
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_our_rail_keeps_the_contract(check, case: RailCase) -> None:
        await check(case)

Each check makes payouts of its own through the real calls and reads the rail's own books. A breach raises
``ContractBroken``, which says what was seen and what money that would cost.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutCallbackReader, PayoutRail
from fintech_kernel.contracts.processors import CallbackRejected, Outcome
from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.money import CURRENCY_CODES, Money
from fintech_kernel.testing.processor_contract import ContractBroken

REPEATS: Final = 8
"""How often one call is sent at once: a first request, its retries, a zombie, recovery."""

ASKED_MAX: Final = 50
"""How often an open answer is asked for, with ``settle`` between, before it counts as never given."""

_DEFINITE: Final = frozenset({Outcome.APPROVED, Outcome.DECLINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RailCase:
    """A rail, and how a check steers it and looks into its books.

    Attributes:
        pays: an amount (minor units) that is paid.
        refuses: an amount that is refused; None where the rail refuses nothing by itself.
        sent: what the rail's books say was sent, or ordered, under a batch number, minor units.
        settle: lets answers come that come later (waits, or moves a clock); called between questions.
        currency: what the payouts of the checks are made in; one that the rail pays.
        merchant_id, bank_account_id: whom the checks pay, to an account of a kind that the rail takes.
    """

    rail: PayoutRail
    pays: int
    refuses: int | None
    sent: Callable[[str], Awaitable[int]]
    settle: Callable[[], Awaitable[None]]
    currency: str = "KES"
    merchant_id: str = "mer_contract"
    bank_account_id: str = ""

    async def pay(self, payout: "Payout", amount: int | None = None) -> PayoutAnswer:
        """Send the call of a payout."""
        return await self.rail.pay(
            key=payout.key,
            merchant_id=self.merchant_id,
            amount=Money(amount=self.pays if amount is None else amount, currency=self.currency),
            batch_number=payout.batch_number,
            bank_account_id=self.bank_account_id,
        )

    async def final(self, payout: "Payout", answer: PayoutAnswer) -> PayoutAnswer:
        """Return the definite answer to a payout, asking for it where ``answer`` is none.

        A rail that people answer says ``PENDING`` for as long as nobody does: that is its answer here.

        Raises:
            ContractBroken: it is never given, or the rail says that it knows nothing of the key.
        """
        for _ in range(ASKED_MAX):
            if answer.outcome in _DEFINITE:
                return answer
            if self.rail.capabilities.answered_by_people and answer.outcome is Outcome.PENDING:
                return answer
            await self.settle()
            asked = await self.rail.query(key=payout.key)
            if asked is None:
                raise ContractBroken(
                    f"query({payout.key!r}) says not found of a key that was sent: we would send the"
                    " payout again, or let people give it up"
                )
            answer = asked
        raise ContractBroken(
            f"query({payout.key!r}) gave no definite answer in {ASKED_MAX} questions"
        )

    async def check_paid(self, payout: "Payout", answer: PayoutAnswer) -> None:
        """See that a payout was sent, once.

        Raises:
            ContractBroken: it was not, or more often.
        """
        expected = Outcome.APPROVED
        if self.rail.capabilities.answered_by_people:
            expected = Outcome.PENDING
        _require(answer.outcome is expected, f"{self.pays} is {answer.outcome}, not {expected}")
        sent = await self.sent(payout.batch_number)
        _require(
            sent == self.pays,
            f"{sent} minor units were sent under {payout.batch_number} instead of {self.pays}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """The key and the batch number of one payout."""

    key: str
    batch_number: str

    @classmethod
    def new(cls) -> "Payout":
        """Return one that was never used."""
        name = uuid.uuid4().hex
        return cls(key=f"op_{name}:pay", batch_number=f"STL{name[:26].upper()}")


Check: TypeAlias = Callable[[RailCase], Awaitable[None]]


async def declares_itself_soundly(case: RailCase) -> None:
    """Its name fits into keys, keys live longer than calls are under way, currencies are ISO 4217's."""
    capabilities = case.rail.capabilities
    _require(
        OBJECT_ID.fullmatch(case.rail.name) is not None,
        f"its name {case.rail.name!r} does not match {OBJECT_ID.pattern}",
    )
    _require(
        capabilities.key_retention_seconds > capabilities.in_flight_limit_seconds > 0,
        "it must remember keys for longer than a call may be under way: otherwise no payout can safely"
        " be sent again",
    )
    unknown = sorted(set(capabilities.currencies) - CURRENCY_CODES)
    _require(not unknown, f"it pays currencies that ISO 4217 does not know: {', '.join(unknown)}")


async def repeats_of_a_payout_pay_once(case: RailCase) -> None:
    """One key sent many times at once, and again later, pays once and has one answer."""
    payout = Payout.new()
    first = await asyncio.gather(*(case.pay(payout) for _ in range(REPEATS)))
    final = await case.final(payout, first[0])
    again = await case.final(payout, await case.pay(payout))
    _same_answers(payout, [*first, final, again])
    await case.check_paid(payout, again)


async def a_refusal_stays_a_refusal(case: RailCase) -> None:
    """What was refused under a key is refused with the same code whenever it is sent again."""
    if case.refuses is None:
        return
    payout = Payout.new()
    first = await case.final(payout, await case.pay(payout, case.refuses))
    again = await case.final(payout, await case.pay(payout, case.refuses))
    _require(first.outcome is Outcome.DECLINED, f"{case.refuses} is not refused")
    _require(bool(first.failure_code), "a refusal without a code explains nothing")
    _same_answers(payout, [first, again])
    sent = await case.sent(payout.batch_number)
    _require(sent == 0, f"a refused payout sent {sent} minor units")


async def a_key_that_was_sent_is_never_not_found(case: RailCase) -> None:
    """A question right behind the call knows the key, whatever the answer will be."""
    for amount in (case.pays, case.refuses):
        if amount is None:
            continue
        payout = Payout.new()
        await case.pay(payout, amount)
        asked = await case.rail.query(key=payout.key)
        _require(
            asked is not None,
            "a key that was just accepted is not found: we would believe that nothing was sent",
        )


async def a_key_that_was_never_sent_has_no_outcome(case: RailCase) -> None:
    """Of a key that it never saw a rail says nothing definite."""
    asked = await case.rail.query(key=Payout.new().key)
    _require(
        asked is None or asked.outcome not in _DEFINITE,
        "a key that was never sent has a definite answer: we would record it as the truth",
    )


async def keys_are_remembered_among_others(case: RailCase) -> None:
    """Many keys later the first is still known, and sending it again pays nothing more."""
    payout = Payout.new()
    before = await case.final(payout, await case.pay(payout))
    for _ in range(REPEATS):
        other = Payout.new()
        await case.final(other, await case.pay(other))
    after = await case.final(payout, await case.pay(payout))
    _same_answers(payout, [before, after])
    await case.check_paid(payout, after)


async def the_batch_number_goes_out(case: RailCase) -> None:
    """Each payout stands in the books under its own batch number: it is the bank reference."""
    first, second = Payout.new(), Payout.new()
    for payout in (first, second):
        await case.final(payout, await case.pay(payout))
    for payout in (first, second):
        sent = await case.sent(payout.batch_number)
        _require(
            sent == case.pays,
            f"{payout.batch_number} stands for {sent} minor units instead of {case.pays}: what the bank"
            " shows could not be matched",
        )


async def a_question_changes_nothing(case: RailCase) -> None:
    """Asking about a key sends no money, before the call and behind it."""
    payout = Payout.new()
    await case.rail.query(key=payout.key)
    sent = await case.sent(payout.batch_number)
    _require(sent == 0, f"a question sent {sent} minor units")
    answer = await case.final(payout, await case.pay(payout))
    for _ in range(REPEATS):
        await case.rail.query(key=payout.key)
    await case.check_paid(payout, answer)


async def callbacks_that_are_not_its_own_are_rejected(case: RailCase) -> None:
    """A rail that calls back refuses what it did not sign."""
    rail = case.rail
    if not isinstance(rail, PayoutCallbackReader):
        return
    for body in (b"", b"{}", b"[]", b"null", b"\xff", b'{"event_id": "e", "outcome": "approved"}'):
        try:
            rail.read_callback(headers={}, body=body, now=0)
        except CallbackRejected:
            continue
        raise ContractBroken(f"a callback that nobody signed is believed: {body!r}")


CHECKS: Final[tuple[Check, ...]] = (
    declares_itself_soundly,
    repeats_of_a_payout_pay_once,
    a_refusal_stays_a_refusal,
    a_key_that_was_sent_is_never_not_found,
    a_key_that_was_never_sent_has_no_outcome,
    keys_are_remembered_among_others,
    the_batch_number_goes_out,
    a_question_changes_nothing,
    callbacks_that_are_not_its_own_are_rejected,
)
"""Every check; each stands alone."""


def _same_answers(payout: Payout, answers: list[PayoutAnswer]) -> None:
    definite = [one for one in answers if one.outcome in _DEFINITE]
    told = {(one.outcome, one.failure_code) for one in definite}
    _require(
        len(told) <= 1,
        f"the key {payout.key!r} has several final answers: {sorted(map(str, told))}",
    )


def _require(holds: bool, breach: str) -> None:
    if not holds:
        raise ContractBroken(breach)
