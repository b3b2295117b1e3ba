"""The model of a payout rail: pays once per key while it remembers the key.

The last two digits of an amount say more: ``FAILING_ENDING`` is refused, ``LATE_ENDING`` and
``VERY_LATE_ENDING`` are paid at once and told later, ``LOST_ENDING`` never reaches the books.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fintech_kernel.contracts.payouts import (
    PayoutAnswer,
    PayoutAnswered,
    PayoutSentBack,
    RailCapabilities,
)
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money
from fintech_kernel.simulation.faults import Fault, Port
from fintech_kernel.simulation.network import Lost, Refused

if TYPE_CHECKING:
    from fintech_kernel.simulation.world import World

NAME: Final = "simulated"
KEY_RETENTION_SECONDS: Final = 86_400
IN_FLIGHT_LIMIT_SECONDS: Final = 7_200
TIMEOUT_SECONDS: Final = 4.0
SILENCE_SECONDS: Final = 600.0
FAILING_ENDING: Final = 13
LATE_ENDING: Final = 19
VERY_LATE_ENDING: Final = 21
LOST_ENDING: Final = 27
LATE_SECONDS: Final = 600.0
VERY_LATE_SECONDS: Final = 30_000.0
"""Later than people may have given a payout up."""

_ENDING: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Money that left through the rail."""

    key: str
    merchant_id: str
    amount: int
    currency: str
    batch_number: str


@dataclass(slots=True, kw_only=True)
class RememberedPayout:
    """What a key stands for."""

    payout: Payout
    answer: PayoutAnswer
    at: float
    definite_at: float


class RailBooks:
    """What the rail knows and did. ``faults`` are contradictions that it saw in our requests."""

    def __init__(self) -> None:
        self.keys: dict[str, RememberedPayout] = {}
        self.payouts: list[Payout] = []
        self.faults: list[str] = []

    def copy(self) -> "RailBooks":
        """Return books that go on from here on their own."""
        books = RailBooks()
        books.keys = {key: replace(one) for key, one in self.keys.items()}
        books.payouts = list(self.payouts)
        books.faults = list(self.faults)
        return books

    def handle(self, payout: Payout, *, now: float, wait: float) -> PayoutAnswer:
        """Take a request and answer it."""
        known = self.keys.get(payout.key)
        if known is not None and now - known.at < KEY_RETENTION_SECONDS:
            if known.payout != payout:
                self.faults.append(f"key {payout.key} came back with another payout")
            return self.told(known, now)
        ending = payout.amount % _ENDING
        if ending == LOST_ENDING:
            return PayoutAnswer(outcome=Outcome.UNKNOWN)
        wait += {LATE_ENDING: LATE_SECONDS, VERY_LATE_ENDING: VERY_LATE_SECONDS}.get(ending, 0.0)
        if ending == FAILING_ENDING:
            answer = PayoutAnswer(outcome=Outcome.DECLINED, failure_code="account_closed")
        else:
            self.payouts.append(payout)
            answer = PayoutAnswer(
                outcome=Outcome.APPROVED, rail_reference=f"rail{len(self.payouts)}"
            )
        self.keys[payout.key] = RememberedPayout(
            payout=payout, answer=answer, at=now, definite_at=now + wait
        )
        return self.told(self.keys[payout.key], now)

    def pay_after_all(self, key: str) -> None:
        """Pay what was refused, against the contract."""
        known = self.keys[key]
        if known.answer.outcome is Outcome.DECLINED:
            self.payouts.append(known.payout)
            answer = PayoutAnswer(outcome=Outcome.APPROVED, rail_reference="after all")
            self.keys[key] = replace(known, answer=answer)

    @staticmethod
    def told(known: RememberedPayout, now: float) -> PayoutAnswer:
        """Return what is told about a key now."""
        return PayoutAnswer(outcome=Outcome.PENDING) if now < known.definite_at else known.answer


class SimulatedRail:
    """Implements ``PayoutRail`` for every process: the wire to the model."""

    name: str = NAME
    capabilities: RailCapabilities = RailCapabilities(
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
    )

    def __init__(self) -> None:
        self.world: World | None = None

    async def pay(
        self,
        *,
        key: str,
        merchant_id: str,
        amount: Money,
        batch_number: str,
        bank_account_id: str,
    ) -> PayoutAnswer:
        """Send money to a merchant."""
        del bank_account_id
        world = self._world()
        payout = Payout(
            key=key,
            merchant_id=merchant_id,
            amount=amount.amount,
            currency=amount.currency,
            batch_number=batch_number,
        )

        def steps(fault: Fault | None) -> Generator[bool, None, PayoutAnswer]:
            now = world.now()
            wait = SILENCE_SECONDS if fault is Fault.PENDING else 0.0
            if fault is Fault.SILENT:
                world.silent_until[key] = now + SILENCE_SECONDS
            yield False
            return world.rail.handle(payout, now=now, wait=wait)

        try:
            answer = await world.network.call(
                Port.RAIL,
                f"pay {amount.amount} {key[-16:]}",
                steps,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except (Lost, Refused):
            return PayoutAnswer(outcome=Outcome.UNKNOWN)
        if world.now() < world.silent_until.get(key, 0.0):
            return PayoutAnswer(outcome=Outcome.UNKNOWN)
        return answer

    async def query(self, *, key: str) -> PayoutAnswer | None:
        """Return what the books say of a key: they are kept for longer than keys are recognized."""
        world = self._world()

        def steps(fault: Fault | None) -> Generator[bool, None, PayoutAnswer | None]:
            del fault
            known = world.rail.keys.get(key)
            yield False
            return world.rail.told(known, world.now()) if known else None

        try:
            return await world.network.call(
                Port.RAIL, f"query {key[-16:]}", steps, timeout_seconds=TIMEOUT_SECONDS
            )
        except (Lost, Refused):
            return PayoutAnswer(outcome=Outcome.UNKNOWN)

    @staticmethod
    def read_callback(
        *, headers: Mapping[str, str], body: bytes, now: int
    ) -> PayoutAnswered | PayoutSentBack:
        """Return what a callback says; nobody forges one here."""
        del headers, now
        told = json.loads(body)
        common = {name: told[name] for name in ("event_id", "batch_number", "key")}
        if told["outcome"] == "returned":
            return PayoutSentBack(**common, return_code="account_closed")
        answer = PayoutAnswer(outcome=Outcome(told["outcome"]), rail_reference="told")
        return PayoutAnswered(**common, answer=answer)

    def _world(self) -> "World":
        assert self.world is not None, "no schedule is on"  # noqa: S101 - set before anything runs
        return self.world
