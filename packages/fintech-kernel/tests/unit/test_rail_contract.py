"""The contract kit passes correct rails, and fails each wrong one at the check that names why."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutAnswered, RailCapabilities
from fintech_kernel.contracts.processors import CallbackRejected, Outcome
from fintech_kernel.money import Money
from fintech_kernel.testing.processor_contract import ContractBroken
from fintech_kernel.testing.rail_contract import CHECKS, Check, RailCase

pytestmark = pytest.mark.anyio

PAID = PayoutAnswer(outcome=Outcome.APPROVED, rail_reference="r-1")
REFUSED = PayoutAnswer(outcome=Outcome.DECLINED, failure_code="account_closed")
PENDING = PayoutAnswer(outcome=Outcome.PENDING)
REFUSED_AMOUNT = 13


@dataclass(slots=True)
class Bank:
    """A correct rail in memory; the wrong ones below change one thing each."""

    name: str = "bank"
    capabilities: RailCapabilities = field(
        default_factory=lambda: RailCapabilities(
            key_retention_seconds=86_400, in_flight_limit_seconds=60
        )
    )
    answers: dict[str, PayoutAnswer] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    async def pay(
        self, *, key: str, merchant_id: str, amount: Money, batch_number: str, bank_account_id: str
    ) -> PayoutAnswer:
        del merchant_id, bank_account_id
        if amount.amount == REFUSED_AMOUNT:
            return await self.once(key, REFUSED, batch_number, 0)
        return await self.once(key, PAID, batch_number, amount.amount)

    async def query(self, *, key: str) -> PayoutAnswer | None:
        return self.answers.get(key)

    async def once(
        self, key: str, answer: PayoutAnswer, batch_number: str, amount: int
    ) -> PayoutAnswer:
        if key not in self.answers:
            self.answers[key] = answer
            self.sent[batch_number] = self.sent.get(batch_number, 0) + amount
        return self.answers[key]


class Clerk(Bank):
    """People answer it."""

    async def once(self, key, answer, batch_number, amount):
        del answer
        return await super().once(key, PENDING, batch_number, amount)


class ForgetsKeys(Bank):
    async def once(self, key, answer, batch_number, amount):
        if len(self.answers) > 5:
            self.answers.pop(next(iter(self.answers)))
        return await super().once(key, answer, batch_number, amount)


class PaysTwice(Bank):
    """Looks first and writes later, as a rail without a unique key does."""

    async def once(self, key, answer, batch_number, amount):
        is_known = key in self.answers
        await asyncio.sleep(0)
        if not is_known:
            self.answers.pop(key, None)
        return await super().once(key, answer, batch_number, amount)


class NotFoundWhileWorking(Bank):
    async def once(self, key, answer, batch_number, amount):
        await super().once(f"later:{key}", answer, batch_number, amount)
        return PENDING


class ChangesItsMind(Bank):
    async def once(self, key, answer, batch_number, amount):
        if self.answers.get(key) == REFUSED:
            del self.answers[key]
            answer = PAID
        return await super().once(key, answer, batch_number, amount)


class RefusesWithoutReason(Bank):
    async def once(self, key, answer, batch_number, amount):
        if answer == REFUSED:
            answer = PayoutAnswer(outcome=Outcome.DECLINED)
        return await super().once(key, answer, batch_number, amount)


class KnowsEverything(Bank):
    async def query(self, *, key: str) -> PayoutAnswer | None:
        return self.answers.get(key, PAID)


class NeverDecides(Bank):
    async def once(self, key, answer, batch_number, amount):
        del answer
        await super().once(key, PENDING, batch_number, amount)
        return PENDING


class OneReferenceForAll(Bank):
    async def once(self, key, answer, batch_number, amount):
        del batch_number
        return await super().once(key, answer, "PAYOUT", amount)


class DropsACent(Bank):
    async def once(self, key, answer, batch_number, amount):
        return await super().once(key, answer, batch_number, max(0, amount - 1))


class PaysWhenAsked(Bank):
    async def query(self, *, key: str) -> PayoutAnswer | None:
        for batch_number in self.sent:
            self.sent[batch_number] += 1
        return self.answers.get(key)


class BelievesAnybody(Bank):
    def read_callback(self, *, headers: Mapping[str, str], body: bytes, now: int) -> PayoutAnswered:
        del headers, body, now
        return PayoutAnswered(event_id="e", batch_number="b", key="k", answer=PAID)


class ReadsCarefully(Bank):
    def read_callback(self, *, headers: Mapping[str, str], body: bytes, now: int) -> PayoutAnswered:
        del headers, body, now
        raise CallbackRejected("not signed")


def case_of(bank: Bank) -> RailCase:
    async def sent(batch_number: str) -> int:
        return bank.sent.get(batch_number, 0)

    async def settle() -> None:
        await asyncio.sleep(0)

    return RailCase(rail=bank, pays=10_000, refuses=REFUSED_AMOUNT, sent=sent, settle=settle)


def clerk() -> RailCase:
    capabilities = RailCapabilities(
        key_retention_seconds=86_400, in_flight_limit_seconds=60, answered_by_people=True
    )
    bank = Clerk(capabilities=capabilities)

    async def sent(batch_number: str) -> int:
        return bank.sent.get(batch_number, 0)

    async def settle() -> None:
        await asyncio.sleep(0)

    return RailCase(rail=bank, pays=10_000, refuses=None, sent=sent, settle=settle)


async def breaches(bank: type[Bank]) -> set[str]:
    """Return the names of the checks that a rail fails."""
    failed: set[str] = set()
    for check in CHECKS:
        try:
            await check(case_of(bank()))
        except ContractBroken:
            failed.add(check.__name__)
    return failed


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_correct_rails_pass(check: Check) -> None:
    await check(case_of(Bank()))
    await check(case_of(ReadsCarefully()))
    await check(clerk())


@pytest.mark.parametrize(
    ("bank", "check"),
    [
        (ForgetsKeys, "keys_are_remembered_among_others"),
        (PaysTwice, "repeats_of_a_payout_pay_once"),
        (NotFoundWhileWorking, "a_key_that_was_sent_is_never_not_found"),
        (ChangesItsMind, "a_refusal_stays_a_refusal"),
        (RefusesWithoutReason, "a_refusal_stays_a_refusal"),
        (KnowsEverything, "a_key_that_was_never_sent_has_no_outcome"),
        (NeverDecides, "repeats_of_a_payout_pay_once"),
        (OneReferenceForAll, "the_batch_number_goes_out"),
        (DropsACent, "repeats_of_a_payout_pay_once"),
        (PaysWhenAsked, "a_question_changes_nothing"),
        (BelievesAnybody, "callbacks_that_are_not_its_own_are_rejected"),
    ],
)
async def test_a_wrong_rail_fails_the_check_that_names_why(bank: type[Bank], check: str) -> None:
    assert check in await breaches(bank)


@pytest.mark.parametrize(
    ("name", "retention", "limit", "currencies"),
    [("a/b", 100, 10, ()), ("bank", 10, 10, ()), ("bank", 10, 0, ()), ("bank", 100, 10, ("XYZ",))],
)
async def test_a_rail_that_declares_nonsense_is_told_so(name, retention, limit, currencies) -> None:
    capabilities = RailCapabilities(
        key_retention_seconds=retention, in_flight_limit_seconds=limit, currencies=currencies
    )
    (check,) = (one for one in CHECKS if one.__name__ == "declares_itself_soundly")
    with pytest.raises(ContractBroken):
        await check(case_of(Bank(name=name, capabilities=capabilities)))
