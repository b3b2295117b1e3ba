"""The contract kit passes a correct processor, and fails each wrong one at the check that names why."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from fintech_kernel.contracts.processors import (
    CallbackRejected,
    Outcome,
    ProcessorAnswer,
    ProcessorCapabilities,
    StepAnswered,
)
from fintech_kernel.money import Money
from fintech_kernel.testing.processor_contract import (
    CHECKS,
    Check,
    ContractBroken,
    ProcessorCase,
)

pytestmark = pytest.mark.anyio

APPROVED = ProcessorAnswer(outcome=Outcome.APPROVED)


@dataclass(slots=True)
class Acquirer:
    """A correct processor in memory; the wrong ones below change one thing each."""

    name: str = "acquirer"
    capabilities: ProcessorCapabilities = field(
        default_factory=lambda: ProcessorCapabilities(
            partial_capture=True,
            multiple_capture=True,
            partial_refund=True,
            asynchronous=False,
            key_retention_seconds=86_400,
            in_flight_limit_seconds=60,
        )
    )
    answers: dict[str, ProcessorAnswer] = field(default_factory=dict)
    captured: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    refunded: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        if payment_method == "no":
            return await self.once(
                key, ProcessorAnswer(outcome=Outcome.DECLINED, decline_code="no"), {}, "", 0
            )
        taken = amount.amount if capture else 0
        return await self.once(key, self.approval(amount), self.captured, payment_id, taken)

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        approval = self.approval(amount)
        return await self.once(key, approval, self.captured, payment_id, amount.amount)

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        return await self.once(key, APPROVED, self.captured, payment_id, 0)

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        del refund_id  # it knows refunds by key
        approval = self.approval(amount)
        return await self.once(key, approval, self.refunded, payment_id, amount.amount)

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        return self.answers.get(key)

    def approval(self, amount: Money) -> ProcessorAnswer:
        return ProcessorAnswer(outcome=Outcome.APPROVED, amount=amount)

    async def once(
        self, key: str, answer: ProcessorAnswer, books: dict[str, int], payment_id: str, amount: int
    ) -> ProcessorAnswer:
        if key not in self.answers:
            self.answers[key] = answer
            books[payment_id] = books.get(payment_id, 0) + amount
        return self.answers[key]


class ForgetsKeys(Acquirer):
    async def once(self, key, answer, books, payment_id, amount):
        if len(self.answers) > 5:
            self.answers.pop(next(iter(self.answers)))
        return await super().once(key, answer, books, payment_id, amount)


class ChargesTwice(Acquirer):
    """Looks first and writes later, as a processor without a unique key does."""

    async def once(self, key, answer, books, payment_id, amount):
        is_known = key in self.answers
        await asyncio.sleep(0)
        if not is_known:
            self.answers.pop(key, None)
        return await super().once(key, answer, books, payment_id, amount)


class NotFoundWhileWorking(Acquirer):
    async def authorize(self, *, key, payment_id, amount, payment_method, capture):
        await super().authorize(
            key=f"later:{key}",
            payment_id=payment_id,
            amount=amount,
            payment_method=payment_method,
            capture=capture,
        )
        return ProcessorAnswer(outcome=Outcome.PENDING)


class ChangesItsMind(Acquirer):
    async def authorize(self, *, key, payment_id, amount, payment_method, capture):
        if payment_method == "no" and self.answers.pop(key, None):
            payment_method = "yes"
        return await super().authorize(
            key=key,
            payment_id=payment_id,
            amount=amount,
            payment_method=payment_method,
            capture=capture,
        )


class KnowsEverything(Acquirer):
    async def query(self, *, key: str) -> ProcessorAnswer | None:
        return await super().query(key=key) or APPROVED


class RoundsUp(Acquirer):
    def approval(self, amount: Money) -> ProcessorAnswer:
        rounded = Money(amount=amount.amount + 50, currency=amount.currency)
        return ProcessorAnswer(outcome=Outcome.APPROVED, amount=rounded)


class CapturesAtOnce(Acquirer):
    async def authorize(self, *, key, payment_id, amount, payment_method, capture):
        del capture
        return await super().authorize(
            key=key,
            payment_id=payment_id,
            amount=amount,
            payment_method=payment_method,
            capture=True,
        )


class RefundsEverything(Acquirer):
    async def refund(self, *, key, payment_id, refund_id, amount):
        whole = Money(amount=self.captured[payment_id], currency=amount.currency)
        return await super().refund(
            key=key, payment_id=payment_id, refund_id=refund_id, amount=whole
        )


class BelievesAnybody(Acquirer):
    def read_callback(self, *, headers: Mapping[str, str], body: bytes, now: int) -> StepAnswered:
        del headers, body, now
        return StepAnswered(event_id="e", payment_id="p", key="k", answer=APPROVED)


class ReadsCarefully(Acquirer):
    def read_callback(self, *, headers: Mapping[str, str], body: bytes, now: int) -> StepAnswered:
        del headers, body, now
        raise CallbackRejected("not signed")


def case_of(acquirer: Acquirer) -> ProcessorCase:
    async def captured(payment_id: str) -> int:
        return acquirer.captured[payment_id]

    async def refunded(payment_id: str) -> int:
        return acquirer.refunded[payment_id]

    async def settle() -> None:
        await asyncio.sleep(0)

    return ProcessorCase(
        processor=acquirer,
        approve="yes",
        decline="no",
        captured=captured,
        refunded=refunded,
        settle=settle,
    )


async def breaches(acquirer: type[Acquirer]) -> set[str]:
    """Return the names of the checks that an acquirer fails."""
    failed: set[str] = set()
    for check in CHECKS:
        try:
            await check(case_of(acquirer()))
        except ContractBroken:
            failed.add(check.__name__)
    return failed


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("acquirer", [Acquirer, ReadsCarefully])
async def test_a_correct_processor_passes(acquirer: type[Acquirer], check: Check) -> None:
    await check(case_of(acquirer()))


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (ForgetsKeys, "keys_are_remembered_among_others"),
        (ChargesTwice, "repeats_of_a_sale_take_the_money_once"),
        (ChargesTwice, "repeats_of_a_refund_give_back_once"),
        (NotFoundWhileWorking, "a_key_that_was_sent_is_never_not_found"),
        (ChangesItsMind, "a_decline_stays_a_decline"),
        (KnowsEverything, "a_key_that_was_never_sent_has_no_outcome"),
        (RoundsUp, "approved_amounts_are_what_was_asked"),
        (CapturesAtOnce, "manual_capture_is_as_declared"),
        (CapturesAtOnce, "captures_are_as_declared"),
        (CapturesAtOnce, "a_cancellation_gives_the_authorization_up"),
        (RefundsEverything, "refunds_of_parts_are_as_declared"),
        (BelievesAnybody, "callbacks_that_are_not_its_own_are_rejected"),
    ],
)
async def test_a_wrong_processor_fails_the_check_that_names_why(
    wrong: type[Acquirer], check: str
) -> None:
    assert check in await breaches(wrong)


async def test_a_processor_that_forgets_faster_than_calls_travel_is_unsound() -> None:
    acquirer = Acquirer(name="Not A Name")
    with pytest.raises(ContractBroken, match="its name"):
        await CHECKS[0](case_of(acquirer))
