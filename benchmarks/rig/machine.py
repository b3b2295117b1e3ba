"""What this machine is, and what processes used of it (Linux: ``/proc``)."""

import os
import platform
import subprocess
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
DISTRIBUTIONS = (
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "orjson"),
    *("asyncpg", "apsw", "sqlalchemy", "aiosqlite"),
)


def facts() -> dict[str, str | int]:
    """Return what figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in DISTRIBUTIONS},
    }


def load_average() -> float:
    """Return how many processes wanted a core in the last minute: above the cores, rates tell little."""
    return os.getloadavg()[0]


def processes_under(roots: Iterable[int]) -> set[int]:
    """Return processes and all that descend from them."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(folder)
            if fields:
                parents[int(folder.name)] = int(fields[1])
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(roots: Collection[int]) -> float:
    """Return the CPU seconds of processes and their descendants, those that ended included."""
    ticks = 0
    for pid in processes_under(roots):
        fields = _stat(Path(f"/proc/{pid}"))
        if fields:
            ticks += sum(int(fields[position]) for position in (11, 12))
            ticks += sum(int(fields[position]) for position in (13, 14)) if pid in roots else 0
    return ticks / TICKS


def cpu_of_threads(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process's main thread, and of all its others."""
    main = others = 0
    for folder in Path(f"/proc/{pid}/task").iterdir():
        fields = _stat(folder)
        if fields:
            used = int(fields[11]) + int(fields[12])
            main, others = (
                (main + used, others) if int(folder.name) == pid else (main, others + used)
            )
    return main / TICKS, others / TICKS


def memory_megabytes(roots: Collection[int]) -> float:
    """Return the resident memory of processes and their descendants; what they share counts once each."""
    pages = 0
    for pid in processes_under(roots):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * PAGE / 1e6


def commit() -> str:
    """Return what was measured."""
    shown = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"],  # noqa: S607 - whichever git made this tree
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip()


def per_payment(used: Mapping[str, float], payments: int) -> dict[str, float]:
    """Return microseconds of CPU for each payment, by layer."""
    return {layer: round(seconds / max(1, payments) * 1e6, 1) for layer, seconds in used.items()}


def _stat(folder: Path) -> list[str]:
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
