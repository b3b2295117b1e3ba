"""Import every module of a package, one process each, and say which cannot be imported.

Run by ``nox -s "imports(<package>)"`` in an environment that holds the package and its declared
dependencies and nothing else, so that an undeclared dependency shows. It is no test module: test tools
bring packages along (pytest brings pluggy) and would mask what is missing.

Left out: ``*.testing.*``, which the extra ``testing`` of a package equips, and ``__main__``, which runs.
"""

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator

LEFT_OUT = ("testing", "__main__")


def main(package: str) -> int:
    """Import the modules of a package; return the exit code."""
    names = sorted(modules_of(package))
    faults = [name for name in names if not imports_cleanly(name)]
    for name in faults:
        sys.stderr.write(f"cannot be imported: {name}\n")
    sys.stdout.write(f"{package}: {len(names) - len(faults)} of {len(names)} modules imported\n")
    return 1 if faults or not names else 0


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
