"""What others may rely on, by package: ``python tools/public_names.py`` adds it to ``docs/public-names/``.

Public are all names of ``fintech_dbclient``, of the kernel's hooks and contracts and of the test kits;
whatever plugins and the examples of docs/hooks.md import from a package below them; commands, entry points
and settings.
A name that was public stays in its file until somebody takes it out by hand, which is a change that breaks
things: the program only adds, and a test fails where a name is missing from the sources or the files.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from workspace import Package, read_packages, read_toml

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = "docs/public-names"
EXAMPLES: Final = "docs/hooks.md"
PLUGINS: Final = "fintech.plugins"
SETTINGS_BASE: Final = "BaseSettings"
WHOLLY_PUBLIC: Final = re.compile(
    r"fintech_dbclient|fintech_kernel\.(hooks|contracts\..+)|\w+\.testing(\..+)?"
)
"""Modules of which every name is public."""

Names = dict[str, set[str]]
"""Names by their place: a module, or what else a line of a file begins with."""


def main() -> int:
    """Add to the file of each package what it lacks."""
    for name, names in public_names(ROOT).items():
        file = ROOT / FOLDER / f"{name}.txt"
        for place, pinned in read_pinned(file).items():
            names[place] |= pinned
        lines = (f"{place}: {' '.join(sorted(many))}\n" for place, many in sorted(names.items()))
        file.write_text("".join(lines), encoding="utf-8")
    return 0


def read_pinned(file: Path) -> Names:
    """Return what a file pins; nothing where there is none."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    rows = (line.partition(": ") for line in text.splitlines())
    return {place: set(names.split()) for place, _, names in rows}


def public_names(root: Path) -> dict[str, Names]:
    """Return what is public now, by package."""
    packages = read_packages(root)
    found: dict[str, Names] = {}
    for package in packages.values():
        found[package.name] = defaultdict(set, _own_names(root, package))
    owners = {package.module: package.name for package in packages.values()}
    for module, name in _used(root, packages):
        owner = owners.get(module.partition(".")[0])
        if owner is not None:
            found[owner][module].add(name)
    return found


def offered_names(root: Path) -> Names:
    """Return every name that a module of any package has, imported ones included."""
    return {
        _module_name(root, package, file): {*_defined(_tree(file)), *_brought(_tree(file))}
        for package in read_packages(root).values()
        for file in _sources(root, package)
    }


def _own_names(root: Path, package: Package) -> Iterator[tuple[str, set[str]]]:
    project = read_toml(root / package.folder / "pyproject.toml")["project"]
    yield from _entry_points(project)
    for file in _sources(root, package):
        module, tree = _module_name(root, package, file), _tree(file)
        yield from ((f"settings of {module}", names) for names in _settings(tree))
        if WHOLLY_PUBLIC.fullmatch(module) and (names := _defined(tree)):
            yield module, names


def _used(root: Path, packages: Mapping[str, Package]) -> Iterator[tuple[str, str]]:
    """Yield module and name of what plugins and the examples import from other packages of ours."""
    page = (root / EXAMPLES).read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield from _imported(ast.parse(block))
    for package in packages.values():
        project = read_toml(root / package.folder / "pyproject.toml")["project"]
        if PLUGINS in project.get("entry-points", {}):
            for file in _sources(root, package):
                for module, name in _imported(_tree(file)):
                    if module.partition(".")[0] != package.module:
                        yield module, name


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def _entry_points(project: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    if "scripts" in project:
        yield "commands", set(project["scripts"])
    for group, points in project.get("entry-points", {}).items():
        yield f"entry points {group}", set(points)


def _sources(root: Path, package: Package) -> Iterator[Path]:
    return (root / package.folder / "src").rglob("*.py")


def _module_name(root: Path, package: Package, file: Path) -> str:
    parts = file.relative_to(root / package.folder / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _defined(tree: ast.Module) -> set[str]:
    """Return the names that a module offers: ``__all__``, or what it defines without an underscore."""
    defined: set[str] = set()
    for node in tree.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                defined.add(node.name)
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                return set(ast.literal_eval(node.value))
            case ast.Assign():
                defined.update(one.id for one in node.targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                defined.add(name)
            case _:
                pass
    return {name for name in defined if not name.startswith("_")}


def _brought(tree: ast.Module) -> set[str]:
    """Return the names that a module has from others."""
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _settings(tree: ast.Module) -> Iterator[set[str]]:
    """Yield the environment's names of each settings model of a module."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        if SETTINGS_BASE not in {base.id for base in node.bases if isinstance(base, ast.Name)}:
            continue
        prefix = next(
            (
                keyword.value.value
                for call in ast.walk(node)
                if isinstance(call, ast.Call)
                for keyword in call.keywords
                if keyword.arg == "env_prefix" and isinstance(keyword.value, ast.Constant)
            ),
            "",
        )
        fields = (
            one.target.id
            for one in node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        )
        yield {f"{prefix}{field}".upper() for field in fields}


if __name__ == "__main__":
    sys.exit(main())
