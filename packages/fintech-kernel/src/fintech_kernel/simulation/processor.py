"""The model of a processor: books of its own, one answer per key while it remembers the key.

Magic tokens: ``approve``, ``decline``, ``capture_fails``, ``refund_fails``, ``cancel_fails``.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
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


@dataclass(slots=True, kw_only=True)
class Remembered:
    """What a key stands for: the request, the answer, and when it is told."""

    request: tuple[str, str, int, str]
    answer: ProcessorAnswer
    at: float
    definite_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something that the processor did: money reserved, taken, given up or given back."""

    key: str
    payment_id: str
    effect: str
    amount: int
    currency: str


@dataclass(slots=True, kw_only=True)
class Standing:
    """What the processor holds for a payment, minor units."""

    token: str
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    is_canceled: bool = False


class ProcessorBooks:
    """What the processor knows and did. ``faults`` are contradictions that it saw in our requests."""

    def __init__(self) -> None:
        self.keys: dict[str, Remembered] = {}
        self.effects: list[Effect] = []
        self.payments: dict[str, Standing] = {}
        self.faults: list[str] = []

    def copy(self) -> "ProcessorBooks":
        """Return books that go on from here on their own."""
        books = ProcessorBooks()
        books.keys = {key: replace(one) for key, one in self.keys.items()}
        books.effects = list(self.effects)
        books.payments = {key: replace(one) for key, one in self.payments.items()}
        books.faults = list(self.faults)
        return books

    def handle(
        self, key: str, request: tuple[str, str, int, str], token: str, *, now: float, wait: float
    ) -> ProcessorAnswer:
        """Take a request (effect, payment id, amount, currency) and answer it."""
        known = self.keys.get(key)
        if known is not None and now - known.at < KEY_RETENTION_SECONDS:
            if known.request != request:
                self.faults.append(f"key {key} came back with another request: {request}")
            return self.told(known, now)
        answer = self._decide(key, request, token)
        self.keys[key] = Remembered(request=request, answer=answer, at=now, definite_at=now + wait)
        return self.told(self.keys[key], now)

    @staticmethod
    def told(known: Remembered, now: float) -> ProcessorAnswer:
        """Return what is told about a key now."""
        if now < known.definite_at:
            return ProcessorAnswer(outcome=Outcome.PENDING)
        return known.answer

    def _decide(self, key: str, request: tuple[str, str, int, str], token: str) -> ProcessorAnswer:
        effect, payment_id, amount, currency = request
        code = self._refusal(effect, payment_id, amount, token)
        if code:
            return ProcessorAnswer(outcome=Outcome.DECLINED, decline_code=code)
        held = self.payments.setdefault(payment_id, Standing(token=token))
        match effect:
            case "sale":
                held.authorized += amount
                held.captured += amount
            case "authorize":
                held.authorized += amount
            case "capture":
                held.captured += amount
            case "refund":
                held.refunded += amount
            case _:
                held.is_canceled = True
        self.effects.append(
            Effect(key=key, payment_id=payment_id, effect=effect, amount=amount, currency=currency)
        )
        return ProcessorAnswer(
            outcome=Outcome.APPROVED,
            amount=Money(amount=amount, currency=currency) if amount else None,
            processor_reference=f"ref{len(self.effects)}",
        )

    def _refusal(  # noqa: PLR0911 - one line per reason to decline
        self, effect: str, payment_id: str, amount: int, token: str
    ) -> str:
        if effect in {"sale", "authorize"}:
            return "" if token != "decline" else "card_declined"  # noqa: S105 - a magic token
        held = self.payments.get(payment_id)
        if held is None:
            return "no_authorization"
        if held.token == f"{effect}_fails":
            return f"{effect}_declined"
        if effect == "capture" and (held.is_canceled or held.captured + amount > held.authorized):
            return "exceeds_authorization"
        if effect == "refund" and held.refunded + amount > held.captured:
            return "exceeds_captured"
        if effect == "cancel" and held.captured == held.authorized:
            return "already_captured"
        return ""


class SimulatedProcessor:
    """Implements ``Processor`` for every process: the wire to the model."""

    name: str = NAME
    capabilities: ProcessorCapabilities = ProcessorCapabilities(
        partial_capture=True,
        multiple_capture=True,
        partial_refund=True,
        asynchronous=True,
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
    )

    def __init__(self) -> None:
        self.world: World | None = None

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        """Reserve an amount, or take it at once."""
        effect = "sale" if capture else "authorize"
        request = (effect, payment_id, amount.amount, amount.currency)
        return await self._send(key, request, payment_method)

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        """Take some of what was reserved."""
        return await self._send(key, ("capture", payment_id, amount.amount, amount.currency), "")

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        """Give up what was reserved."""
        return await self._send(key, ("cancel", payment_id, 0, ""), "")

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        """Give back some of what was taken."""
        del refund_id
        return await self._send(key, ("refund", payment_id, amount.amount, amount.currency), "")

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        """Return what the books say of a key: they are kept for longer than keys are recognized."""
        world = self._world()

        def steps(fault: Fault | None) -> Generator[bool, None, ProcessorAnswer | None]:
            del fault
            known = world.processor.keys.get(key)
            yield False
            return world.processor.told(known, world.now()) if known else None

        try:
            return await world.network.call(
                Port.PROCESSOR, f"query {key[-18:]}", steps, timeout_seconds=TIMEOUT_SECONDS
            )
        except (Lost, Refused):
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)

    async def _send(
        self, key: str, request: tuple[str, str, int, str], token: str
    ) -> ProcessorAnswer:
        world = self._world()

        def steps(fault: Fault | None) -> Generator[bool, None, ProcessorAnswer]:
            now = world.now()
            wait = SILENCE_SECONDS if fault is Fault.PENDING else 0.0
            if fault is Fault.SILENT:
                world.silent_until[key] = now + SILENCE_SECONDS
            yield False
            return world.processor.handle(key, request, token, now=now, wait=wait)

        try:
            answer = await world.network.call(
                Port.PROCESSOR,
                f"{request[0]} {request[2]} {key[-18:]}",
                steps,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except (Lost, Refused):
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)
        if world.now() < world.silent_until.get(key, 0.0):
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)
        return answer

    def _world(self) -> "World":
        assert self.world is not None, "no schedule is on"  # noqa: S101 - set before anything runs
        return self.world
