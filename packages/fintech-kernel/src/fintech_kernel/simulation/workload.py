"""What a plugin offers to be simulated: workflows, actions and invariants of its own.

A plugin's package ships it as ``<package>.simulation.WORKLOAD``. What one plugin's scripts need of
another's they ask of the client by name, so that plugins import one another here as little as anywhere.
"""

import importlib
import importlib.util
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from fintech_kernel.context import AppContext
    from fintech_kernel.simulation.client import Client
    from fintech_kernel.simulation.runtime import Runtime
    from fintech_kernel.simulation.world import World

Script: TypeAlias = "Callable[[Client], Awaitable[None]]"
OfferedScript: TypeAlias = "Callable[..., Awaitable[Any]]"
Invariant: TypeAlias = "Callable[[World], Iterable[str]]"


async def nothing(_client: "Client") -> None:
    """Prepare nothing."""


def has_nothing_to_do(_world: "World") -> bool:
    """Say that a plugin's jobs never have anything left to do."""
    return True


def prepared_by(plugin: str) -> Script:
    """Return the script that prepares what a plugin needs, whoever wants it prepared."""

    async def run(client: "Client") -> None:
        await client.prepare(plugin)

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One thing that people do, from its first request on; ``enumerate`` strikes each of its calls.

    ``setup`` happens before, without faults. ``kinds`` are the operations that it runs.
    """

    name: str
    kinds: tuple[str, ...]
    run: Script
    setup: Script = nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that a client of a random schedule may do next, drawn by weight."""

    name: str
    weight: int
    run: Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A plugin's part of the simulation.

    Attributes:
        name: the plugin's name.
        prepare: what stands before a random schedule begins; faultless.
        scripts: what other workloads may run, by name (``client.script("payments.create")``).
        invariants: functions from a world to its violations, by name.
        platform_statements: names of statements that read a merchant's tables without saying whose:
            platform scope, each for a reason.
        settings: of the plugin under simulation.
        closing: what is asked once faults are over: whatever was left must then be dealt with.
        is_quiet: whether its jobs have nothing left to do.
        forget: ends what a process of its plugin remembers, before a schedule begins.
        services: models of what its plugin reaches outside, in place of what the plugin builds: made once
            per runtime, whose world they ask for.
    """

    name: str
    workflows: tuple[Workflow, ...] = ()
    actions: tuple[Action, ...] = ()
    invariants: Mapping[str, Invariant] = field(default_factory=dict[str, Invariant])
    prepare: Script = nothing
    scripts: Mapping[str, OfferedScript] = field(default_factory=dict[str, OfferedScript])
    platform_statements: frozenset[str] = frozenset()
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    closing: Script = nothing
    is_quiet: "Callable[[World], bool]" = has_nothing_to_do
    forget: "Callable[[AppContext], None]" = lambda _context: None
    services: "Mapping[type[Any], Callable[[Runtime], object]]" = field(
        default_factory=dict[type[Any], "Callable[[Runtime], object]"]
    )


def workloads_of(plugins: Sequence[object]) -> tuple[Workload, ...]:
    """Return the workloads of plugins, in the order in which they build on one another."""
    found = [one for plugin in plugins if (one := _workload_of(plugin)) is not None]
    order = ("merchants", "ledger", "payments", "settlements")
    return tuple(
        sorted(found, key=lambda one: order.index(one.name) if one.name in order else len(order))
    )


def _workload_of(plugin: object) -> Workload | None:
    package = str(getattr(plugin, "__name__", "")).partition(".")[0]
    module = f"{package}.simulation"
    if not package or not _exists(module):
        return None
    loaded: Any = importlib.import_module(module)
    return loaded.WORKLOAD


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
