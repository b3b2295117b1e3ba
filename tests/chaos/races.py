"""Races on PostgreSQL: 64 clients at once on one payment, and on one merchant's settlements.

::

    python tests/chaos/races.py --clients 64 --rounds 300

In every round the clients compete twice: for what a payment has left to capture, cancel or refund, and
for the due lines of a merchant, which settlements claim while refunds add to them. They go through the
shipped domain services, over HTTP, from several application contexts with a database client each, to
the database service on PostgreSQL at READ COMMITTED. No call fails on the way: this is about who is
first, ``chaos`` is about what gets lost.

Beside them runs what everybody writes first, ``INSERT ... SELECT ... WHERE (SELECT SUM(...)) + x <= y``:
it must over-refund in the same run, or the races are not sharp enough to show anything.

The last line is ``rounds=N calls=N violations=0 naive_violations=N``; the exit code is 0 if the first
number of violations is none and the second is not. Disputes and period closes do not exist yet.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import uvloop
from books import Books, read_books
from clients import Memory
from fintech_database.testing import create_database, start_postgresql, start_service
from fintech_dbclient import HttpDatabase, Statement, UniqueViolation
from fintech_kernel.context import AppContext
from fintech_kernel.contracts.merchants import PricingRule
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.errors import TryAgainLater
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import running_app
from fintech_merchants.domain.commands import Action, VerificationOutcome
from fintech_merchants.domain.service import Merchants, NewMerchant
from fintech_payments.domain.events import CaptureMode
from fintech_payments.domain.service import NewPayment, Payments
from fintech_settlements.domain.service import Settlements
from loguru import logger
from verdict import CHECKS

CONTEXTS: Final = 4
"""Application contexts that share the clients; each has a database client and connections of its own."""

CURRENCY: Final = "KES"
PART: Final = 100
PARTS: Final = 20
"""What a payment can be refunded or captured in; far fewer than clients that try."""

PAYMENTS_OF_MERCHANT: Final = 12
ATTEMPTS_MAX: Final = 50
PAUSE_SECONDS_MAX: Final = 0.5
ROUNDS_OF_MERCHANT: Final = 5
"""Rounds after which the race moves on to a new merchant."""

PROGRESS_SECONDS: Final = 10.0
FOIL_CONNECTIONS: Final = 4
FOILS_OF_ROUND: Final = 10
"""The foil fails in one race of three to ten; it is quick."""

SHOWN_MAX: Final = 20

STAFF: Final = Actor(subject="races_admin", roles=("platform_admin",))
SETTINGS: Final = {
    "settlements_chunk_size": 7,
    "app_request_timeout_seconds": 60,
    "operation_lease_seconds": 90,
}
"""Time is not what is raced against: a busy machine must not turn lost races into lost answers."""

_NAIVE_TABLE: Final = Statement(
    name="races.naive.create",
    sql="CREATE TABLE IF NOT EXISTS naive_refunds (refund_id TEXT NOT NULL PRIMARY KEY,"
    " payment_id TEXT NOT NULL, amount BIGINT NOT NULL)",
)


class _Same:
    """The fingerprint of requests that are never compared: keys are not used twice for different ones."""

    value = "k1:races"

    def matches(self, stored: str) -> bool:
        """Whether it is ours."""
        return stored == self.value


Send = Callable[[AppContext, IdempotentCall], Awaitable[Answer]]
"""A call through the services of one context, under a key."""


@dataclass(slots=True)
class Tally:
    """What happened."""

    rounds: int = 0
    calls: int = 0
    retries: int = 0
    naive_violations: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)


class Races:
    """The rounds."""

    def __init__(
        self,
        contexts: Sequence[AppContext],
        foils: Sequence[HttpDatabase],
        *,
        clients: int,
        random: Random,
    ) -> None:
        self.tally = Tally()
        self._contexts = contexts
        self._foils = foils
        self._clients = clients
        self._random = random
        self._keys = 0
        self._merchant_id = ""
        self._merchant_ids: list[str] = []

    async def round(self, number: int) -> None:
        """Race once for a payment, once for a merchant's lines, once with the foil."""
        if number % ROUNDS_OF_MERCHANT == 0:
            await self._sweep()
            self._merchant_id = await self._onboard()
        race = self._refunds if number % 2 == 0 else self._everything
        await race()
        await self._settlements()
        for turn in range(FOILS_OF_ROUND):
            await self._foil(f"foil-{number}-{turn}")
        self.tally.rounds += 1

    async def end(self) -> Books:
        """Settle what is left, and read the books."""
        await self._sweep()
        return await read_books(self._contexts[0].database)

    # --- on one payment

    async def _refunds(self) -> None:
        """Many refunds of equal parts: exactly as many succeed as there are parts."""
        payment_id = await self._pay(PART * PARTS, CaptureMode.AUTOMATIC)
        answers = await self._together([self._refund(payment_id)] * self._clients)
        granted = sum(answer.state is OperationState.SUCCEEDED for answer in answers)
        if granted != min(PARTS, self._clients):
            self.tally.violations.append(f"{payment_id}: {granted} of {PARTS} parts were refunded")

    async def _everything(self) -> None:
        """Captures, cancellations and refunds on one authorization."""
        payment_id = await self._pay(PART * PARTS, CaptureMode.MANUAL)
        sends = [self._capture(payment_id), self._capture(payment_id), self._refund(payment_id)]
        mixed = [sends[index % len(sends)] for index in range(self._clients)]
        for place in self._random.sample(range(self._clients), max(1, self._clients // 16)):
            mixed[place] = self._cancel(payment_id)
        await self._together(mixed)

    # --- on one merchant

    async def _settlements(self) -> None:
        """Settlement runs and refunds at once on a merchant with captured payments."""
        pays = [self._pay(PART * 3, CaptureMode.AUTOMATIC) for _ in range(PAYMENTS_OF_MERCHANT)]
        payment_ids = await asyncio.gather(*pays)
        half = self._clients // 2
        sends = [self._settle()] * half
        sends += [self._refund(payment_ids[index % len(payment_ids)]) for index in range(half)]
        self._random.shuffle(sends)
        await self._together(sends)

    async def _sweep(self) -> None:
        """Settle a merchant once more, alone: now every line is in a settlement."""
        if self._merchant_id:
            await self._together([self._settle()])

    # --- the foil

    async def _foil(self, payment_id: str) -> None:
        """Refund with an aggregate guard, and see whether more went back than was captured."""
        captured = PART * PARTS
        insert = (
            "INSERT INTO naive_refunds (refund_id, payment_id, amount)"
            " SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT)"
            " WHERE (SELECT CAST(COALESCE(SUM(r.amount), 0) AS BIGINT) FROM naive_refunds r"
            " WHERE r.payment_id = ?) + CAST(? AS BIGINT) <= CAST(? AS BIGINT)"
        )

        async def refund(number: int) -> None:
            params = (f"{payment_id}-{number}", payment_id, PART, payment_id, PART, captured)
            statement = Statement(name="races.naive.refund", sql=insert, params=params)
            with contextlib.suppress(UniqueViolation):
                await self._foils[number % len(self._foils)].execute(statement)

        await asyncio.gather(*(refund(number) for number in range(self._clients)))
        total = Statement(
            name="races.naive.total",
            sql="SELECT CAST(SUM(amount) AS BIGINT) AS total FROM naive_refunds WHERE payment_id = ?",
            params=(payment_id,),
        )
        row = (await self._foils[0].execute(total)).rows[0]
        self.tally.naive_violations += int(str(row["total"])) > captured

    # --- the calls

    async def _onboard(self) -> str:
        rule = PricingRule(
            rule_id="", currency=CURRENCY, method="", basis_points=290, fixed=1, minimum=0,
            maximum=None,
        )  # fmt: skip
        new = NewMerchant(
            name="Races",
            currencies=(CURRENCY,),
            settlement_delay_days=0,
            settlement_minimum=0,
            rules=(rule,),
        )
        created = await self._ask(
            lambda context, call: context.services.get(Merchants).create(
                new, actor=STAFF, call=call
            )
        )
        merchant_id = str(created.result["merchant_id"])
        await self._ask(
            lambda context, call: context.services.get(Merchants).verify(
                merchant_id,
                VerificationOutcome.VERIFIED,
                reference="races",
                reason="",
                actor=STAFF,
                call=call,
            )
        )
        await self._ask(
            lambda context, call: context.services.get(Merchants).change_status(
                merchant_id, Action.ACTIVATE, "", actor=STAFF, call=call
            )
        )
        self._merchant_ids.append(merchant_id)
        return merchant_id

    async def _pay(self, amount: int, capture: CaptureMode) -> str:
        new = NewPayment(
            amount=Money(amount=amount, currency=CURRENCY),
            capture=capture,
            method="card",
            token="sandbox_approve",
            reference="",
            metadata={},
        )
        shop = self._shop()
        answer = await self._ask(
            lambda context, call: context.services.get(Payments).create(
                new, merchant_id=shop.merchant_id, actor=shop, call=call
            )
        )
        return str(answer.result["payment_id"])

    def _capture(self, payment_id: str) -> Send:
        shop, amount = self._shop(), Money(amount=PART, currency=CURRENCY)
        return lambda context, call: context.services.get(Payments).capture(
            payment_id, amount, merchant_id=shop.merchant_id, actor=shop, call=call
        )

    def _cancel(self, payment_id: str) -> Send:
        shop = self._shop()
        return lambda context, call: context.services.get(Payments).cancel(
            payment_id, merchant_id=shop.merchant_id, actor=shop, call=call
        )

    def _refund(self, payment_id: str) -> Send:
        shop, amount = self._shop(), Money(amount=PART, currency=CURRENCY)
        return lambda context, call: context.services.get(Payments).refund(
            payment_id, amount, "race", merchant_id=shop.merchant_id, actor=shop, call=call
        )

    def _settle(self) -> Send:
        merchant_id = self._merchant_id
        return lambda context, call: context.services.get(Settlements).create(
            merchant_id=merchant_id, currency=CURRENCY, cutoff=None, actor=STAFF, call=call
        )

    def _shop(self) -> Actor:
        return Actor(subject="shop", roles=("merchant_operator",), merchant_id=self._merchant_id)

    # --- sending them

    async def _together(self, sends: Sequence[Send]) -> list[Answer]:
        return await asyncio.gather(*map(self._ask, sends))

    async def _ask(self, send: Send) -> Answer:
        """Send a call until it has its answer, each time through whichever context."""
        self._keys += 1
        call = IdempotentCall(key=f"race-{self._keys}", fingerprint=_Same())
        for _ in range(ATTEMPTS_MAX):
            try:
                answer = await send(self._random.choice(self._contexts), call)
            except TryAgainLater as error:
                self.tally.retries += 1
                self.tally.outcomes[f"repeated after {error.code}"] += 1
                await asyncio.sleep(self._random.uniform(0.0, PAUSE_SECONDS_MAX))
            else:
                self._note(answer)
                return answer
        raise AssertionError(f"{call.key} had no answer after {ATTEMPTS_MAX} attempts")

    def _note(self, answer: Answer) -> None:
        tally = self.tally
        tally.calls += 1
        tally.answers[answer.operation_id] = answer
        code = answer.result["code"] if answer.state is OperationState.REFUSED else "succeeded"
        tally.outcomes[f"{answer.kind} {code}"] += 1


def judge(tally: Tally, books: Books) -> None:
    """Hold the books against every invariant, and against what the clients were told."""
    for check in CHECKS:
        tally.violations += [f"{check.__name__}: {text}" for text in check(Memory(), books)]
    for operation_id, answer in tally.answers.items():
        if books.operations[operation_id]["state"] != answer.state:
            tally.violations.append(f"{operation_id} was answered {answer.state}")
    claimed = {line["line_key"] for line in books.lines}
    business = ("Settled", "Fee", "Refunded", "FeeRefund")
    tally.violations += [
        f"transfer {transfer_id} is due and in no settlement"
        for transfer_id, row in books.transfers.items()
        if row["kind"] in business and transfer_id not in claimed
    ]


async def race(
    service_url: str, *, clients: int, rounds: int, seed: int, seconds_max: float
) -> Tally:
    """Run the rounds, or as many as there is time for, against a database service and judge them."""
    began_at = shown_at = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        contexts: list[AppContext] = []
        for number in range(CONTEXTS):
            settings = {**SETTINGS, "app_jobs": number == 0}
            app = running_app(database_url=service_url, plugins=None, settings=settings)
            contexts.append((await stack.enter_async_context(app)).context)
        foils = [
            await stack.enter_async_context(
                HttpDatabase(service_url, coalesce=False, max_in_flight=16, requests_open_max=16)
            )
            for _ in range(FOIL_CONNECTIONS)
        ]
        await foils[0].execute(_NAIVE_TABLE)
        races = Races(contexts, foils, clients=clients, random=Random(seed))
        for number in range(rounds):
            if time.monotonic() - began_at > seconds_max:
                break
            await races.round(number)
            if time.monotonic() - shown_at > PROGRESS_SECONDS:
                shown_at = time.monotonic()
                tally = races.tally
                say(
                    f"[{shown_at - began_at:5.0f} s] rounds={tally.rounds} calls={tally.calls}"
                    f" retries={tally.retries} violations={len(tally.violations)}"
                    f" naive_violations={tally.naive_violations}"
                )
        books = await races.end()
    judge(races.tally, books)
    return races.tally


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds-max",
        type=float,
        default=7200,
        help="then the rounds end, however many there were",
    )
    given = parser.parse_args()
    logger.remove()  # a lost race is logged as a warning each time; here it is what is asked for
    began_at = time.monotonic()
    with (
        start_postgresql() as server_url,
        start_service(create_database(server_url), None, "--log-level", "warning") as service_url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        tally = runner.run(
            race(
                service_url,
                clients=given.clients,
                rounds=given.rounds,
                seed=given.seed,
                seconds_max=given.seconds_max,
            )
        )
    for text in tally.violations[:SHOWN_MAX]:
        say(f"VIOLATION {text}")
    for name, count in tally.outcomes.most_common():
        say(f"{name}: {count}")
    say(f"seconds: {time.monotonic() - began_at:.0f}, retries: {tally.retries}")
    say(
        f"rounds={tally.rounds} calls={tally.calls} violations={len(tally.violations)}"
        f" naive_violations={tally.naive_violations}"
    )
    return 0 if not tally.violations and tally.naive_violations else 1


if __name__ == "__main__":
    sys.exit(main())
