"""How a call travels: numbered, traced, and struck by its fault.

What is sent is applied by the other side, not by the sender: a call of a process that dies meanwhile
still arrives. What is applied is a generator, one statement per step, so that others come in between.
"""

import asyncio
import random
from collections.abc import Callable, Generator, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import cache
from typing import Final, Generic, Protocol, TypeVar

from fintech_kernel.simulation.faults import FAULTS_OF_PORT, NO_FAULTS, Fault, Plan, Port
from fintech_kernel.simulation.loop import SimulatedLoop
from fintech_kernel.simulation.processes import Incarnation, ProcessKilled, current_incarnation
from fintech_kernel.simulation.trace import Trace

Reply = TypeVar("Reply")

LATE_SECONDS: Final = (5.0, 40.0, 300.0, 3_600.0, 7_000.0)
"""When a given-up call arrives after all: within the in-flight limits that the models declare."""

EARLY_SHARE: Final = 0.5
"""How many senders of a late call give up at once instead of waiting."""

SPREAD_SHARE: Final = 0.3
"""How many calls are applied with pauses between their statements."""

DELAY_SECONDS_MIN: Final = 0.0002
DELAY_SECONDS_MAX: Final = 0.004
"""How long a call is on its way to the other side."""

OUTAGE_SECONDS: Final = 90_000.0
"""How long an outage lasts: longer than the models remember keys."""


class Lost(Exception):
    """No usable reply came: the call may have been applied."""


class Refused(Exception):
    """The other side said that it did nothing."""


class Weather(Protocol):
    """What faults do beyond one call."""

    def break_down(self, port: Port, seconds: float) -> None:
        """Let everybody's calls to a port fail for a while."""
        ...

    def is_down(self, port: Port) -> bool:
        """Whether they do."""
        ...

    def jump_clock(self, incarnation: Incarnation, milliseconds: int) -> None:
        """Move a process's clock."""
        ...

    def black_out(self, seconds: float) -> None:
        """End every process; they start again after a while."""
        ...


@dataclass(slots=True)
class _Delivery(Generic[Reply]):
    """A call on its way: applied step by step by the other side."""

    steps: Generator[bool, None, Reply]
    answer: "asyncio.Future[Reply]"
    draw: random.Random
    network: "Network"
    is_spread: bool
    steps_max: int = 1_000_000

    def run(self) -> None:
        """Apply what is left; where ``is_spread`` or a step asks for it, with pauses."""
        while self.steps_max > 0:
            self.steps_max -= 1
            try:
                wants_pause = next(self.steps)
            except StopIteration as end:
                self.network.in_flight -= 1
                if not self.answer.done():
                    self.answer.set_result(end.value)
                return
            if wants_pause or self.is_spread:
                self.network.later(self.draw.uniform(0, 0.05), self.run)
                return
        self.network.in_flight -= 1
        self.steps.close()


class Network:
    """Carries the calls of one schedule.

    Attributes:
        plan: which call suffers what.
        calls: how many calls were sent so far.
        struck: the faults that came to pass, by number of call.
        possible: the faults that each call could have suffered.
        kinds: what each call was, without whose: its statements, or what the processor was asked.
        in_flight: calls that will still arrive.
        is_calm: nothing new goes wrong any more; calls are not numbered then.
    """

    def __init__(self, loop: SimulatedLoop, trace: Trace, weather: Weather, *, seed: int) -> None:
        self._loop = loop
        self._trace = trace
        self._weather = weather
        self._seed = seed
        self._outside = Context()
        self.plan: Plan = NO_FAULTS
        self.calls = 0
        self.struck: dict[int, Fault] = {}
        self.possible: dict[int, tuple[Fault, ...]] = {}
        self.kinds: dict[int, str] = {}
        self.jitter = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self.in_flight = 0
        self.is_calm = False

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Do something of the world's own in a while."""
        self._loop.call_later(seconds, callback, context=self._outside)

    async def call(
        self,
        port: Port,
        label: str,
        steps: Callable[[Fault | None], Generator[bool, None, Reply]],
        *,
        timeout_seconds: float,
        without: Sequence[Fault] = (),
    ) -> Reply:
        """Send a call and return the reply; ``without`` are faults that it cannot suffer.

        Raises:
            Lost: no reply within ``timeout_seconds``, or a useless one.
            Refused: it was not applied.
            ProcessKilled: the sender is gone.
        """
        sender = current_incarnation.get()
        if sender is not None:
            sender.check_alive()
        if self._weather.is_down(port):
            await asyncio.sleep(self.jitter.uniform(0.1, 1.0))
            raise Refused
        if self.is_calm:
            return await self._calm(sender, steps(None), port, label)
        number = self.calls
        self.calls += 1
        possible = _possible(port, tuple(without))
        fault = self.plan.fault(number, possible)
        who = f"{sender.process.name}.{sender.process.starts}" if sender else "world"
        what = f"#{number} {port.value} {label}"
        if fault is not None:
            self.struck[number] = fault
        self.possible[number] = possible
        self.kinds[number] = label if port is Port.DATABASE else label.partition(" ")[0]
        try:
            reply = await self._sent(number, port, steps, fault, sender, timeout_seconds)
        except (Lost, Refused, ProcessKilled) as error:
            self._note(who, what, fault, type(error).__name__)
            raise
        if sender is not None:
            sender.check_alive()
        if self._trace.is_kept:
            self._note(who, what, fault, outline(reply))
        return reply

    async def _calm(
        self,
        sender: Incarnation | None,
        steps: Generator[bool, None, Reply],
        port: Port,
        label: str,
    ) -> Reply:
        """Carry a call where nothing goes wrong: at once, in an order that the loop chooses."""
        if self._loop.turn():
            await asyncio.sleep(0)
            if sender is not None:
                sender.check_alive()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                if self._trace.is_kept:
                    who = sender.process.name if sender else "world"
                    self._note(who, f"{port.value} {label}", None, outline(end.value))
                return end.value

    async def _sent(  # noqa: PLR0917 - what a call is
        self,
        number: int,
        port: Port,
        steps: Callable[[Fault | None], Generator[bool, None, Reply]],
        fault: Fault | None,
        sender: Incarnation | None,
        patience: float,
    ) -> Reply:
        """Let a call travel to its fault; where it has none it arrives soon."""
        if fault is not None:
            draw = random.Random(self._seed * 999_983 + number)  # noqa: S311 - a schedule, no secret
            return await self._travel(port, steps, fault, draw, sender, patience)
        spread, wait = _chances(self._seed, number)
        delivery = _Delivery(
            steps=steps(None),
            answer=self._loop.create_future(),
            draw=self.jitter,
            network=self,
            is_spread=spread < SPREAD_SHARE,
        )
        self.in_flight += 1
        self.later(DELAY_SECONDS_MIN + (DELAY_SECONDS_MAX - DELAY_SECONDS_MIN) * wait, delivery.run)
        is_in_time = not delivery.is_spread and patience > DELAY_SECONDS_MAX
        if not is_in_time and not await self._waited(delivery.answer, patience):
            raise Lost
        return await delivery.answer

    def _note(self, who: str, what: str, fault: Fault | None, outcome: str) -> None:
        self._trace.add(self._loop.time(), who, what, fault.value if fault else "", outcome)

    async def _travel(  # noqa: C901, PLR0912, PLR0917 - one arm per fault is the clearest table
        self,
        port: Port,
        steps: Callable[[Fault | None], Generator[bool, None, Reply]],
        fault: Fault,
        draw: random.Random,
        sender: Incarnation | None,
        patience: float,
    ) -> Reply:
        if fault is Fault.KILLED_BEFORE:
            raise self._kill(sender)
        if fault is Fault.CLOCK and sender is not None:
            self._weather.jump_clock(sender, int(draw.uniform(-600_000, 600_000)))
        if fault is Fault.REFUSED:
            await asyncio.sleep(0.002)
            raise Refused
        if fault in {Fault.LOST_BEFORE, Fault.DOWN_BEFORE}:
            if fault is Fault.DOWN_BEFORE:
                self._weather.break_down(port, draw.uniform(2, 60))
            await asyncio.sleep(draw.choice((0.002, patience)))
            raise Lost
        delay = draw.uniform(DELAY_SECONDS_MIN, DELAY_SECONDS_MAX)
        if fault is Fault.SLOW:
            delay = draw.uniform(0.1, 2 * patience)
        if fault is Fault.LATE:
            delay = draw.choice(LATE_SECONDS) * draw.uniform(0.5, 1)
        answer = self._deliver(steps(fault), delay, draw, cut=fault is Fault.TORN)
        if fault is Fault.TWICE:
            self._deliver(steps(None), delay + draw.choice((0.001, 0.1, 10)) * draw.random(), draw)
        if fault is Fault.TORN:
            await asyncio.sleep(0.01)
            raise Lost
        gives_up_early = fault is Fault.LATE and draw.random() < EARLY_SHARE
        is_answered = await self._waited(answer, 0.002 if gives_up_early else patience)
        if fault is Fault.KILLED_AFTER:
            raise self._kill(sender)
        if fault is Fault.DOWN_AFTER:
            self._weather.break_down(port, draw.uniform(2, 60))
        if fault is Fault.OUTAGE:
            self._weather.black_out(OUTAGE_SECONDS)
            raise ProcessKilled
        if not is_answered:
            raise Lost
        if fault in {Fault.LOST_AFTER, Fault.DOWN_AFTER}:
            await asyncio.sleep(draw.choice((0.0, patience)))
            raise Lost
        return answer.result()

    async def _waited(self, answer: "asyncio.Future[Reply]", seconds: float) -> bool:
        """Wait for an answer, for a while; whoever is cancelled meanwhile cancels nothing else."""
        over: asyncio.Future[None] = self._loop.create_future()

        def end(_what: object = None) -> None:
            if not over.done():
                over.set_result(None)

        answer.add_done_callback(end, context=self._outside)
        timer = self._loop.call_later(seconds, end, context=self._outside)
        try:
            await over
        finally:
            timer.cancel()
        return answer.done()

    def _deliver(
        self,
        steps: Generator[bool, None, Reply],
        delay: float,
        draw: random.Random,
        *,
        cut: bool = False,
    ) -> "asyncio.Future[Reply]":
        delivery = _Delivery(
            steps=steps,
            answer=self._loop.create_future(),
            draw=draw,
            network=self,
            is_spread=draw.random() < SPREAD_SHARE,
            steps_max=1 + int(draw.random() * 3) if cut else 1_000_000,
        )
        self.in_flight += 1
        self.later(delay, delivery.run)
        return delivery.answer

    @staticmethod
    def _kill(sender: Incarnation | None) -> ProcessKilled:
        if sender is not None:
            sender.kill()
        return ProcessKilled()


def _chances(seed: int, number: int) -> tuple[float, float]:
    """Return two draws for a call, from the seed and its number alone.

    SplitMix64 (Steele, Lea and Flood, 2014), since seeding a generator of Python's costs more than
    carrying the call.
    """
    mixed = (seed * 0xD1342543DE82EF95 + (number + 1) * 0x9E3779B97F4A7C15) & _64_BITS
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _64_BITS
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _64_BITS
    mixed ^= mixed >> 31
    return (mixed >> 32) / 2**32, (mixed & 0xFFFFFFFF) / 2**32


_64_BITS: Final = 2**64 - 1


@cache
def _possible(port: Port, without: tuple[Fault, ...]) -> tuple[Fault, ...]:
    return tuple(one for one in FAULTS_OF_PORT[port] if one not in without)


def outline(reply: object) -> str:
    """Return a reply in a few words, for the trace."""
    if isinstance(reply, list):
        results: list[object] = reply  # pyright: ignore[reportUnknownVariableType] - the one list that travels is of results
        return " ".join(_mark(result) for result in results)
    return str(getattr(reply, "outcome", reply))[:24]


def _mark(result: object) -> str:
    error = getattr(result, "error", None)
    if error is not None:
        return type(error).__name__
    rows: tuple[object, ...] = getattr(result, "rows", ())
    return f"{len(rows)}r" if rows else "ok"
