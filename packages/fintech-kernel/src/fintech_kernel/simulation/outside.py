"""The plugin that a simulation adds: processor, rail, and a handler that records every event."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fintech_kernel.contracts.payouts import PayoutRail
from fintech_kernel.contracts.processors import Processor
from fintech_kernel.domain.journal import Entry
from fintech_kernel.hooks import (
    EventHandler,
    PayoutRailSpec,
    PluginManifest,
    ProcessorSpec,
    hookimpl,
)
from fintech_kernel.simulation.processes import current_incarnation

if TYPE_CHECKING:
    from fintech_kernel.simulation.runtime import Runtime

RECORDER = "simulation.recorder"


class HandlerFailed(Exception):
    """The recording handler fails on purpose."""


class SimulationPlugin:
    """Implements the hooks of a plugin."""

    def __init__(self, *, processor: Processor, rail: PayoutRail, runtime: "Runtime") -> None:
        self._processor = processor
        self._rail = rail
        self._runtime = runtime

    @hookimpl
    def fintech_plugins(self) -> Sequence[PluginManifest]:
        """Say who we are."""
        return [
            PluginManifest(
                name="simulation",
                summary="What simulated processes reach outside",
                table_prefix="simulation_",
                route_prefix="/v1/simulation",
            )
        ]

    @hookimpl
    def fintech_processors(self) -> Sequence[ProcessorSpec]:
        """Offer the model."""
        return [ProcessorSpec(name=self._processor.name, processor=self._processor)]

    @hookimpl
    def fintech_payout_rails(self) -> Sequence[PayoutRailSpec]:
        """Offer the model."""
        return [PayoutRailSpec(name=self._rail.name, rail=self._rail)]

    @hookimpl
    def fintech_event_handlers(self) -> Sequence[EventHandler]:
        """Record everything that is delivered."""
        return [EventHandler(name=RECORDER, event="*", handle=self._record, attempts_max=1_000)]

    async def _record(self, entry: Entry) -> None:
        world = self._runtime.world
        incarnation = current_incarnation.get()
        if world is None or incarnation is None:
            return
        incarnation.check_alive()
        if world.draw.random() < world.handler_fails:
            raise HandlerFailed
        world.delivered.setdefault(entry.stream_id, []).append(entry.entry_id)
