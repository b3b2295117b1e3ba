"""Run every broken variant against the simulator: ``python tests/simulation/mutants/run.py``.

The sources are copied, one copy per worker; a variant is written into its copy, tried in a process whose
path begins with that copy, and taken back. The tree itself is never touched. The last line counts.
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))

from mutants import MUTANTS, Mutant  # noqa: E402 - a neighbour, not a package

TIMEOUT_SECONDS = 3_600
"""Much longer than any attempt takes; a schedule that never ends is a finding of the simulator's own."""


def copy_sources(folder: Path) -> Path:
    """Copy every package's modules into one folder."""
    for source in sorted(ROOT.glob("packages/*/src/*")):
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / source.name, ignore=ignore)
    return folder


def attempt(mutant: Mutant, folder: Path, schedules: int) -> str:
    """Write a variant, try to kill it, take it back; return what was said."""
    file = folder / mutant.file
    original = file.read_text()
    count = original.count(mutant.before)
    if count != 1:
        return f"BROKEN its text stands {count} times in {mutant.file}"
    file.write_text(prepared(mutant, original))
    try:
        done = subprocess.run(
            [
                *(sys.executable, str(HERE / "attempt.py"), str(schedules)),
                *(mutant.file.partition("/")[0], mutant.killer),
            ],
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"BROKEN no verdict within {TIMEOUT_SECONDS} s"
    finally:
        file.write_text(original)
        os.utime(file)
    lines = done.stdout.strip().splitlines()
    return lines[-1] if done.returncode == 0 and lines else f"BROKEN {done.stderr[-300:]}"


def prepared(mutant: Mutant, original: str) -> str:
    """Return the source with the change; one variant needs a place to remember its first drafts."""
    changed = original.replace(mutant.before, mutant.after)
    if "self.__class__._first" in mutant.after:
        changed = changed.replace("self.__class__._first", "_FIRST")
        changed = changed.replace(
            "RACES_MAX: Final = 30", "_FIRST: dict = {}\nRACES_MAX: Final = 30"
        )
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=500, help="random schedules per variant")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="part of the names to run")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    killed = equivalent = survived = 0
    with tempfile.TemporaryDirectory() as scratch:
        folders: queue.Queue[Path] = queue.Queue()
        for number in range(options.workers):
            folders.put(copy_sources(Path(scratch) / str(number)))

        def work(mutant: Mutant) -> tuple[Mutant, str]:
            folder = folders.get()
            try:
                return mutant, attempt(mutant, folder, options.schedules)
            finally:
                folders.put(folder)

        with ThreadPoolExecutor(options.workers) as pool:
            order = sorted(chosen, key=lambda mutant: not mutant.equivalent)  # longest first
            for done in as_completed([pool.submit(work, mutant) for mutant in order]):
                mutant, said = done.result()
                verdict = said.partition(" ")[0]
                if mutant.equivalent and verdict == "SURVIVED":
                    equivalent += 1
                    said = f"EQUIVALENT {mutant.equivalent}"
                elif verdict == "KILLED":
                    killed += 1
                else:
                    survived += 1
                print(f"{mutant.name}: {said}", flush=True)  # noqa: T201 - the report
    print(f"mutants={len(chosen)} killed={killed} equivalent={equivalent} survived={survived}")  # noqa: T201 - the report
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
