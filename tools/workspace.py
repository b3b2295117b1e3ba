"""The packages of this workspace, read from their ``pyproject.toml``, and the pins of all that is outside."""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of this workspace.

    Attributes:
        needs: names of the workspace's packages among its declared dependencies.
        test_needs: its own group ``test``, beyond the group that all packages share.
    """

    name: str
    folder: str
    module: str
    needs: tuple[str, ...]
    test_needs: tuple[str, ...]


def read_packages(root: Path) -> dict[str, Package]:
    """Return the packages of the workspace by distribution name."""
    files = sorted([*root.glob("packages/*/pyproject.toml"), *root.glob("apps/*/pyproject.toml")])
    names = {canonicalize_name(read_toml(file)["project"]["name"]) for file in files}
    packages = (read_package(root, file.parent, workspace=names) for file in files)
    return {package.name: package for package in packages}


def read_package(root: Path, folder: Path, *, workspace: Iterable[str]) -> Package:
    """Return the package in a folder; what it needs of the workspace is what that has by name."""
    content = read_toml(folder / "pyproject.toml")
    project: Mapping[str, Any] = content["project"]
    required = [
        canonicalize_name(Requirement(text).name) for text in project.get("dependencies", ())
    ]
    return Package(
        name=project["name"],
        folder=folder.relative_to(root).as_posix(),
        module=project["name"].replace("-", "_"),
        needs=tuple(name for name in required if name in workspace),
        test_needs=tuple(content.get("dependency-groups", {}).get("test", ())),
    )


def read_choices(page: Path) -> dict[str, tuple[str, ...]]:
    """Return the choices of plugins that docs/modules.md lists, by name; ``all`` are all that it names."""
    lines = page.read_text(encoding="utf-8").splitlines()
    named = [line.split("`")[1] for line in lines if line.startswith("| `")]
    choices = {
        name: tuple(part for part in name.split("+") if part not in {"kernel", "all"})
        for name in named
    }
    if "all" in choices:
        choices["all"] = tuple(sorted({part for choice in choices.values() for part in choice}))
    return choices


def read_toml(file: Path) -> dict[str, Any]:
    """Return what a TOML file says."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def fingerprint(folder: Path) -> str:
    """Return a hash of all that goes into the wheel of a package."""
    digest = hashlib.sha256()
    sources = (file for file in folder.glob("src/**/*") if file.suffix != ".pyc" and file.is_file())
    for file in sorted([folder / "pyproject.toml", folder / "README.md", *sources]):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()[:16]


def closure(names: Iterable[str], packages: Mapping[str, Package]) -> list[Package]:
    """Return packages of the workspace and, below them, those that their dependencies declare."""
    found: dict[str, Package] = {}
    waiting = [*names]
    while waiting:
        package = packages[waiting.pop()]
        if package.name not in found:
            found[package.name] = package
            waiting += package.needs
    return sorted(found.values(), key=lambda package: package.name)


def pinned(requirement: str, lines: Iterable[str]) -> str:
    """Return the version of a tool that constraints.txt pins, as a requirement."""
    name = canonicalize_name(Requirement(requirement).name)
    return next(pin for pin in pins(lines) if pin.startswith(f"{name}=="))


def pins(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``name==version`` of lines that pin something; ours are installed from paths."""
    for line in lines:
        if "==" in line and line[0].isalnum() and " @ " not in line:
            yield line.split()[0]
