"""Import every module of a package, one process each, and check that what it imports is declared.

Each process starts with what comes from outside the package already imported, which takes most of the
time; of the package nothing is, so that no module is helped by what another one imported.

A package declares every distribution that it imports itself: what merely comes along with another one
(pluggy with the kernel) may be gone with that one's next version.

Run by ``nox -s "imports(<package>)"`` in an environment that holds the package and its declared
dependencies and nothing else, so that an undeclared dependency shows. It is no test module: test tools
bring packages along (pytest brings pluggy) and would mask what is missing.

Left out: ``*.testing.*`` and ``pytest_plugin``, which the extra ``testing`` of a package equips, ``otel``,
which the extra of its name does, and ``__main__``, which runs.
"""

import ast
import gc
import importlib
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path

LEFT_OUT = ("testing", "pytest_plugin", "otel", "__main__")


def main(package: str) -> int:
    """Check the modules of a package; return the exit code."""
    names = sorted(modules_of(package))
    import_what_is_from_outside(package, names)
    broken = [name for name in names if not imports_cleanly(name)]
    faults = [f"cannot be imported: {name}" for name in broken]
    faults += [] if broken else sorted(set(undeclared_imports(package, names)))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    sys.stdout.write(f"{package}: {len(names) - len(broken)} of {len(names)} modules imported\n")
    return 1 if faults else 0


def modules_of(package: str) -> Iterator[str]:
    """Yield the names of a package and of all its modules, found without importing them."""
    yield package
    (root,) = importlib.import_module(package).__path__
    waiting = [(package, root)]
    while waiting:
        parent, folder = waiting.pop()
        for module in pkgutil.iter_modules([folder]):
            if module.name in LEFT_OUT:
                continue
            name = f"{parent}.{module.name}"
            yield name
            if module.ispkg:
                waiting.append((name, os.path.join(folder, module.name)))  # noqa: PTH118 - pathlib would only be converted back


def import_what_is_from_outside(package: str, names: list[str]) -> None:
    """Import the modules that a package imports and that are not its own; what is missing shows later."""
    wanted = {imported for name in names for imported in imports_of(name)}
    for imported in sorted(wanted):
        if first_name(imported) not in {package, *sys.stdlib_module_names}:
            with suppress(ImportError):
                importlib.import_module(imported)
    gc.freeze()  # pages of what is imported stay shared with the processes


def imports_cleanly(name: str) -> bool:
    """Import one module in a process of its own: what another one imported must not help it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent must hear of it
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def undeclared_imports(package: str, names: list[str]) -> Iterator[str]:
    """Yield a line for each import of a distribution that the package does not declare."""
    declared = {normal(re.split(r"[^\w.-]", text)[0]) for text in requires(package) or ()}
    origins = packages_distributions()
    for name in names:
        for imported in map(first_name, imports_of(name)):
            if imported in sys.stdlib_module_names or imported == package:
                continue
            if declared.isdisjoint(map(normal, origins.get(imported, ()))):
                yield f"not declared in [project].dependencies: {imported}, imported by {name}"


def imports_of(name: str) -> Iterator[str]:
    """Yield the modules that a module's source imports, lazily or for types only too."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def first_name(module: str) -> str:
    """Return the package that a module belongs to."""
    return module.partition(".")[0]


def normal(name: str) -> str:
    """Return a distribution's name as all spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
