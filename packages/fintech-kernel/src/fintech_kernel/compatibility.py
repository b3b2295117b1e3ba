"""Whether what is installed lies within the ranges that plugins declare: plugin, needs, found.

The one source of truth is each distribution's own ``Requires-Dist``. Installers check it once; what was
installed afterwards, or without dependencies, shows here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKED_REQUIREMENTS: Final = ("fintech-", "pluggy")
"""Distributions whose declared ranges are checked against what is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compatibility:
    """One line of the table plugin / needs / found."""

    plugin: str
    needs: str
    found: str
    is_met: bool


def compatibility_lines(plugin: str, requirements: Iterable[str]) -> Iterator[Compatibility]:
    """Yield a line for each requirement of a plugin's distribution that is checked."""
    for text in requirements:
        requirement = Requirement(text)
        if not canonicalize_name(requirement.name).startswith(CHECKED_REQUIREMENTS):
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        yield _line(plugin, requirement)


def _line(plugin: str, requirement: Requirement) -> Compatibility:
    needs = f"{requirement.name}{requirement.specifier}"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Compatibility(plugin=plugin, needs=needs, found="nothing", is_met=False)
    is_met = requirement.specifier.contains(found, prereleases=True)
    return Compatibility(plugin=plugin, needs=needs, found=found, is_met=is_met)
