"""Loaded plugins and what they declared, and where two of them are in each other's way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fintech_kernel.hooks import PluginManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A loaded plugin and where it came from."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...]
    manifest: PluginManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A declaration with the plugin that made it."""

    plugin: Plugin
    item: Any


def duplicates(hook: str, declared: Sequence[Declared]) -> list[tuple[str, Declared]]:
    """Return what is declared twice, with the second declaration."""
    seen: dict[str, Declared] = {}
    return [
        (
            f"{hook}: {one.item.name!r} is declared by {origin(other.plugin)} and by {origin(one.plugin)}",
            one,
        )
        for one in declared
        if (other := seen.setdefault(one.item.name, one)) is not one
    ]


def clashes(plugins: Sequence[Plugin]) -> Iterator[tuple[str, str]]:
    """Yield what two manifests have in common and must not, with the name of the second plugin."""
    for what in ("name", "table_prefix", "route_prefix"):
        seen: dict[str, Plugin] = {}
        for plugin in plugins:
            value = str(getattr(plugin.manifest, what))
            other = seen.setdefault(value, plugin) if value else plugin
            if other is not plugin:
                words = what.replace("_", " ")
                yield (
                    f"{words} {value!r} is used by {origin(other)} and by {origin(plugin)}",
                    plugin.name,
                )


def origin(plugin: Plugin) -> str:
    """Return how a fault names a plugin: its distribution, where it came from one."""
    return plugin.distribution if plugin.distribution != plugin.name else f"plugin {plugin.name!r}"
