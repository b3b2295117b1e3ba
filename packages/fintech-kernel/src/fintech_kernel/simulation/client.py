"""Clients: they send requests under a key, repeat them until answered, and note what they were told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from fintech_dbclient import DatabaseError

from fintech_kernel.context import AppContext
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.operations import Answer, IdempotentCall
from fintech_kernel.domain.permissions import MERCHANT_ADMIN, PLATFORM_ADMIN
from fintech_kernel.errors import IdempotencyKeyReused, RequestRefused, TryAgainLater
from fintech_kernel.simulation.processes import Process, ProcessKilled
from fintech_kernel.simulation.workload import OfferedScript
from fintech_kernel.simulation.world import Told, World, current_merchant

TRIES_MAX: Final = 7
REPEATS: Final = 0.2
CHANGES: Final = 0.1
DISCONNECTS: Final = 0.08
"""How often nasty clients repeat concurrently, change a body under a key, and disconnect."""

PATIENCE_SECONDS: Final = 30.0
"""How long a client waits for a reply before it calls the connection dead."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a request looked like: its body, as it is."""

    value: str

    def matches(self, stored: str) -> bool:
        """Whether a stored fingerprint is of the same body."""
        return stored == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that can be sent again: who asks for what, under which key."""

    label: str
    actor: Actor
    key: str
    body: str
    send: Callable[[AppContext, IdempotentCall], Awaitable[Answer]]

    @property
    def identity(self) -> str:
        """The key within its scope: what one operation belongs to."""
        return f"{self.actor.scope}|{self.actor.merchant_id}|{self.key}"


def staff(subject: str = "staff") -> Actor:
    """Return a member of the platform's staff."""
    return Actor(subject=subject, roles=(PLATFORM_ADMIN,), merchant_id=PLATFORM)


def merchant_actor(merchant_id: str) -> Actor:
    """Return a merchant's own principal."""
    return Actor(subject=f"admin@{merchant_id}", roles=(MERCHANT_ADMIN,), merchant_id=merchant_id)


class Client:
    """One client. ``is_nasty`` ones repeat concurrently, disconnect, and change bodies under a key."""

    def __init__(self, world: World, *, is_nasty: bool = False) -> None:
        self.world = world
        self.is_nasty = is_nasty

    @property
    def notes(self) -> dict[str, Any]:
        """What scripts remember for one another."""
        return self.world.notes

    def note(self, what: str, value: object) -> None:
        """Remember something."""
        values: list[Any] = self.world.notes.setdefault(what, [])
        if value not in values:
            values.append(value)

    def pick(self, what: str) -> Any:  # noqa: ANN401 - what was noted is the script's own
        """Return something that was noted, drawn; None where nothing was."""
        values = self.world.notes.get(what)
        return self.world.draw.choice(values) if values else None

    async def prepare(self, plugin: str) -> None:
        """Run a plugin's preparation, where the plugin is simulated."""
        for workload in self.world.runtime.workloads:
            if workload.name == plugin:
                await workload.prepare(self)

    def script(self, name: str) -> OfferedScript:
        """Return a script that a workload offers to others, such as ``payments.create``."""
        offered = {
            f"{workload.name}.{script}": run
            for workload in self.world.runtime.workloads
            for script, run in workload.scripts.items()
        }
        return offered[name]

    def new_key(self, actor: Actor) -> str:
        """Return a key that nobody of this scope used; others may use the same text."""
        return f"key-{self.world.number(actor.scope + actor.merchant_id)}"

    async def ask(
        self,
        label: str,
        actor: Actor,
        send: Callable[[AppContext, IdempotentCall], Awaitable[Answer]],
        *,
        body: str = "",
        key: str = "",
    ) -> Answer | None:
        """Send a request until it has a final answer; None where there was none in reasonable time.

        Raises:
            RequestRefused: it cannot be taken (not found, key reused).
        """
        request = Request(
            label=label, actor=actor, key=key or self.new_key(actor), body=body or label, send=send
        )
        draw = self.world.draw
        if self.is_nasty and draw.random() < REPEATS:
            repeat = asyncio.ensure_future(self._asked(request))
            try:
                answer = await self._asked(request)
            finally:
                await asyncio.gather(repeat, return_exceptions=True)
        else:
            answer = await self._asked(request)
        if self.is_nasty and answer is not None and draw.random() < CHANGES:
            await self._ask_with_other_body(request)
        return answer

    async def _asked(self, request: Request) -> Answer | None:
        return await self.repeat(request, tries=TRIES_MAX)

    async def repeat(self, request: Request, *, tries: int) -> Answer | None:
        """Send a request again and again; see ``ask``."""
        world = self.world
        for _ in range(tries):
            living = world.living()
            if living:
                process = world.draw.choice(living)
                world.trace.add(
                    world.loop.time(), "client", f"asks {process.name}: {request.label}"
                )
                try:
                    answer = await self._sent(request, process)
                except (TryAgainLater, DatabaseError, ProcessKilled, TimeoutError) as error:
                    world.trace.add(
                        world.loop.time(), "client", request.label, "", type(error).__name__
                    )
                except RequestRefused as error:
                    told = world.told.setdefault(request.identity, Told(request=request))
                    told.refusals.append(error.code)
                    raise
                else:
                    told = world.told.setdefault(request.identity, Told(request=request))
                    told.answers.append(answer)
                    world.trace.add(
                        world.loop.time(), "client", request.label, "", answer.state.value
                    )
                    return answer
            await asyncio.sleep(world.draw.choice((0.0, 0.05, 1.0, 5.0, 25.0)))
        world.told.setdefault(request.identity, Told(request=request))
        return None

    async def _sent(self, request: Request, process: Process) -> Answer:
        """Send a request to a process; who dies or hangs is given up."""
        call = IdempotentCall(key=request.key, fingerprint=Fingerprint(request.body))
        token = current_merchant.set(request.actor.merchant_id)
        try:
            task = process.spawn(_served(request, process.context, call))
        finally:
            current_merchant.reset(token)
        patience = PATIENCE_SECONDS
        if self.is_nasty and self.world.draw.random() < DISCONNECTS:
            patience = self.world.draw.uniform(0, 0.05)
        done, _ = await asyncio.wait([task], timeout=patience)
        if not done:
            task.add_done_callback(_retrieve_exception)
            task.cancel()
            raise TimeoutError
        if task.cancelled():
            raise ProcessKilled
        return task.result()

    async def _ask_with_other_body(self, request: Request) -> None:
        """Use an answered key for another request: it must be refused, and change nothing."""
        living = self.world.living()
        if not living:
            return
        other = replace(request, body=request.body + " changed")
        try:
            await self._sent(other, self.world.draw.choice(living))
        except (TryAgainLater, DatabaseError, ProcessKilled, TimeoutError, IdempotencyKeyReused):
            return
        self.world.seen_wrong.append(("I5", f"{request.label}: another body was answered"))


def _retrieve_exception(task: "asyncio.Task[Answer]") -> None:
    """Mark the exception as seen: the client has gone."""
    if not task.cancelled():
        task.exception()


async def _served(request: Request, context: AppContext, call: IdempotentCall) -> Answer:
    return await request.send(context, call)
