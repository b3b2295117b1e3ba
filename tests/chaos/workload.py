"""What the clients do: shops that take payments and change their minds, finance, an operator.

What lives here: which calls are made, in which order, how many at once. Amounts, tokens, races and
repeats are chosen by a seeded random. What deliberately does not: sending (``clients``).
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from clients import Answer, Call, Clients, NotAnswered, Principal

CURRENCY: Final = "KES"
ADMIN: Final = Principal(role="platform_admin", subject="chaos_admin")
APPROVER: Final = Principal(role="platform_finance", subject="chaos_finance_1")
PAYER: Final = Principal(role="platform_finance", subject="chaos_finance_2")

TOKENS: Final = (
    *(["sandbox_approve"] * 12),
    "sandbox_timeout",
    "sandbox_timeout",
    "sandbox_decline_insufficient_funds",
    "sandbox_capture_fails",
    "sandbox_refund_fails",
    "sandbox_refund_fails",
)

PRICINGS: Final[tuple[list[dict[str, Any]], ...]] = (
    [],
    [{"currency": CURRENCY, "basis_points": 290, "fixed": 60}],
    [{"currency": CURRENCY, "basis_points": 150, "minimum": 30, "refund_policy": "return"}],
    [{"basis_points": 100}],
)
"""One merchant per pricing; the last one is suspended and activated all the time."""

SECOND_KEY: Final = 0.15
"""Probability that a call is sent by two clients at once, under one key."""

ABANDONED: Final = 0.04
REFERENCE: Final = 0.7
REUSED_REFERENCE: Final = 0.08
REPEATED: Final = 0.15
LOOKED_AT: Final = 0.1
CANCELED_SETTLEMENT: Final = 0.15


@dataclass
class Workload:
    """Runs until ``is_over``; then every call that was begun still gets its answer.

    Attributes:
        is_over: no new scenario begins.
        patience_over: calls without a final answer are given up: that is a violation.
    """

    clients: Clients
    random: Random
    is_over: Callable[[], bool]
    patience_over: Callable[[], bool]
    merchants: tuple[Principal, ...] = ()
    scenarios: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._references: list[str] = []

    # --- before the faults

    async def onboard(self) -> None:
        """Onboard one merchant per pricing, verify and activate it."""
        found: list[Principal] = []
        for rules in PRICINGS:
            body = {
                "name": f"Chaos {len(found) + 1}",
                "currencies": [CURRENCY],
                "settlement": {"delay_days": 0, "minimum": 500},
                "pricing": rules,
            }
            created = await self._ask(self._call("merchants.create", "/v1/merchants", ADMIN, body))
            merchant_id = str(created.body["merchant_id"])
            path = f"/v1/merchants/{merchant_id}/verification"
            check = {"outcome": "verified", "reference": "chaos"}
            await self._ask(self._call("merchants.verify", path, ADMIN, check))
            await self._ask(self._status_call(merchant_id, "activate"))
            found.append(
                Principal(role="merchant_operator", subject="shop", merchant_id=merchant_id)
            )
        self.merchants = tuple(found)

    # --- while the faults last

    async def run(self, *, shops: int, finance: int) -> None:
        """Run shops, finance and the operator side by side until it is over."""
        async with asyncio.TaskGroup() as group:
            for _ in range(shops):
                group.create_task(self._repeatedly(self.shop))
            for _ in range(finance):
                group.create_task(self._repeatedly(self.settle))
            group.create_task(self._repeatedly(self.operate))

    async def _repeatedly(self, scenario: Callable[[], Any]) -> None:
        while not self.is_over():
            try:
                await scenario()
            except NotAnswered as error:
                self.clients.memory.unexpected.append(f"no final answer: {error}")
                return
            self.scenarios += 1

    async def shop(self) -> None:
        """Take a payment; capture, cancel and refund it, some of that at once; repeat old keys."""
        random = self.random
        shop = random.choice(self.merchants)
        amount = random.randrange(200, 50_000)
        capture = random.choice(("automatic", "manual"))
        created = await self._ask(self._payment_call(shop, amount, capture))
        if random.random() < REPEATED:
            await self._repeat_something()
        if not created.is_success:
            return
        payment_id = str(created.body["payment_id"])
        waiting = self._steps(shop, payment_id, amount, capture)
        while waiting:
            together = random.randint(1, len(waiting))
            await self._together(waiting[:together])
            waiting = waiting[together:]
        if random.random() < LOOKED_AT:
            await self._look(shop, payment_id)

    async def settle(self) -> None:
        """Settle a merchant, twice at once now and then; approve, pay or cancel."""
        random = self.random
        body = {"merchant_id": random.choice(self.merchants).merchant_id, "currency": CURRENCY}
        creations = [
            self._call("settlements.create", "/v1/settlements", APPROVER, body)
            for _ in range(random.choice((1, 1, 2, 3)))
        ]
        for created in await self._together(creations):
            if not created.is_success or created.body["status"] != "open":
                continue
            path = f"/v1/settlements/{created.body['settlement_id']}"
            approve = self._call("settlements.approve", f"{path}/approve", APPROVER)
            pay = self._call("settlements.pay", f"{path}/pay", PAYER)
            cancel = self._call("settlements.cancel", f"{path}/cancel", APPROVER)
            second = self._call("settlements.pay", f"{path}/pay", PAYER)
            await self._together([approve])
            rivals = [cancel] if random.random() < CANCELED_SETTLEMENT else []
            rivals += [second] if random.random() < SECOND_KEY else []
            await self._together([pay, *rivals])
        await asyncio.sleep(random.uniform(0.0, 1.0))

    async def operate(self) -> None:
        """Suspend a merchant, and activate it again."""
        merchant_id = self.merchants[-1].merchant_id
        for action in ("suspend", "activate"):
            await self._together([self._status_call(merchant_id, action)])
            await asyncio.sleep(self.random.uniform(1.0, 4.0))

    # --- when everything is over

    async def repeat_everything(self, *, at_once: int) -> int:
        """Send every key once more, also those whose clients went away; return how many."""
        memory = self.clients.memory
        calls = [*memory.answers, *(call for call in memory.abandoned)]
        self.random.shuffle(calls)
        gate = asyncio.Semaphore(at_once)

        async def repeat(call: Call) -> None:
            async with gate:
                try:
                    await self.clients.ask(call, until=self.patience_over, patient=True)
                except NotAnswered as error:
                    memory.unexpected.append(f"no answer to a repeat: {error}")

        await asyncio.gather(*(repeat(call) for call in calls))
        return len(calls)

    # --- the calls

    def _payment_call(self, shop: Principal, amount: int, capture: str) -> Call:
        random = self.random
        body: dict[str, Any] = {
            "amount": amount,
            "currency": CURRENCY,
            "capture": capture,
            "payment_method": {"type": "card", "token": random.choice(TOKENS)},
        }
        if random.random() < REFERENCE:
            reference = f"order-{next(self._numbers)}"
            if self._references and random.random() < REUSED_REFERENCE:
                reference = random.choice(self._references[-50:])
            self._references.append(reference)
            body["reference"] = reference
        return self._call("payments.create", "/v1/payments", shop, body)

    def _steps(self, shop: Principal, payment_id: str, amount: int, capture: str) -> list[Call]:
        """Return what is asked of a payment; together it is more than there is to capture or refund."""
        random = self.random
        path = f"/v1/payments/{payment_id}"
        steps: list[Call] = []
        if capture == "manual":
            for _ in range(random.randint(0, 3)):
                part = {"amount": {"amount": random.randint(1, amount), "currency": CURRENCY}}
                body = random.choice((part, part, {}))
                steps.append(self._call("payments.capture", f"{path}/capture", shop, body))
            if random.random() < 0.4:
                steps.append(self._call("payments.cancel", f"{path}/cancel", shop, {}))
            random.shuffle(steps)
        for _ in range(random.choice((0, 0, 1, 2, 4))):
            part = {"amount": {"amount": random.randint(1, amount), "currency": CURRENCY}}
            body = random.choice((part, part, {"reason": "all of it"}))
            steps.append(self._call("payments.refund", f"{path}/refunds", shop, body))
        return steps

    def _status_call(self, merchant_id: str, action: str) -> Call:
        path = f"/v1/merchants/{merchant_id}/{action}"
        return self._call(f"merchants.{action}", path, ADMIN, {"reason": "chaos"})

    def _call(
        self, kind: str, path: str, principal: Principal, body: dict[str, Any] | None = None
    ) -> Call:
        key = f"chaos-{next(self._numbers)}"
        return Call(key=key, kind=kind, path=path, principal=principal, body=body)

    # --- sending them

    async def _together(self, calls: Sequence[Call]) -> list[Answer]:
        """Send calls at once; return the answers of those whose clients stayed."""
        answers = await asyncio.gather(*(self._maybe_abandoned(call) for call in calls))
        return [answer for answer in answers if answer is not None]

    async def _maybe_abandoned(self, call: Call) -> Answer | None:
        if self.random.random() < ABANDONED:
            await self.clients.abandon(call)
            return None
        return await self._ask(call)

    async def _ask(self, call: Call) -> Answer:
        """Send a call, now and then by two clients at once."""
        asks = 2 if self.random.random() < SECOND_KEY else 1
        both = [self.clients.ask(call, until=self.patience_over) for _ in range(asks)]
        return (await asyncio.gather(*both))[0]

    async def _repeat_something(self) -> None:
        known = self.clients.memory.answers
        if known:
            index = self.random.randrange(len(known))
            await self._ask(next(itertools.islice(known, index, None)))

    async def _look(self, shop: Principal, payment_id: str) -> None:
        """An acknowledged payment is there at once, at every server."""
        found = await self.clients.get(f"/v1/payments/{payment_id}", shop)
        if found is not None and found[0] == 404:
            self.clients.memory.lost.append(f"{payment_id} is not found after it was acknowledged")
