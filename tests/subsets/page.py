"""``docs/modules.md``, read: what each module adds, and what each choice of modules needs."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "modules.md"


@dataclass(frozen=True)
class Module:
    """What a module adds, as docs/modules.md says it."""

    routes: frozenset[str]
    permissions: frozenset[str]
    jobs: frozenset[str]
    commands: frozenset[str]


def read_modules() -> dict[str, Module]:
    """Return the modules of the page's first table by name."""
    section = PAGE.read_text().partition("## What a module adds")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {
        name.strip(): Module(
            routes=frozenset(re.findall(r"`(.+?)`", routes)),
            permissions=frozenset(filter(None, (one.strip() for one in resources.split(",")))),
            jobs=frozenset(re.findall(r"`(.+?)`", jobs)),
            commands=frozenset(re.findall(r"`(.+?)`", commands)),
        )
        for name, routes, resources, jobs, commands in rows[2:]
    }


def read_choices() -> dict[str, str]:
    """Return the choices of the page's second table, and what each needs."""
    section = PAGE.read_text().partition("## What you get with what")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {choice.strip(" `"): needs.strip() for choice, _, needs in rows}


def settings_of(needs: str) -> dict[str, object]:
    """Return the settings that a choice needs: ``NAME=true`` in the page's words."""
    return {name.lower(): True for name in re.findall(r"`(\w+)=true`", needs)}


def missing(needs: str) -> set[str]:
    return set(re.findall(r"fintech-\w+", needs))


def prefix_of(path: str) -> str:
    """Return the part of a path that a module owns: two levels below the version, one elsewhere."""
    levels = 3 if path.startswith(("/v1/", "/.well-known/")) else 2
    return "/".join(path.split("/")[:levels])
