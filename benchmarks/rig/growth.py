"""Growth: the figures of ``payments_growth.py`` and ``ledger_growth.py``, and what is judged of them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rig.contenders import BENCHMARKS
from rig.measuring import Plan

LARGEST = 6
"""10 to this power."""

JUDGED = {
    "create": ("payments_growth.py", ("create",)),
    "get": ("payments_growth.py", ("GET by id",)),
    "list": ("payments_growth.py", ("list", "list of everybody")),
    "balance": ("ledger_growth.py", ("balance of a merchant", "balance of the processor")),
}
"""What is compared between the smallest and the largest size."""


def measure(plan: Plan) -> dict[str, Any]:
    """Run both programs on both engines; takes as long as a million payments take to be written."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for program in sorted({program for program, _ in JUDGED.values()}):
            figures = Path(folder) / f"{program}.json"
            plan.say(f"  {program} to 10^{LARGEST}")
            command = [sys.executable, program, "--largest", str(LARGEST), "--json", str(figures)]
            subprocess.run(command, cwd=BENCHMARKS, check=True)  # noqa: S603 - our own
            found[program] = json.loads(figures.read_text())
    return {"median_ms": found, "worst": worst_of(found)}


def worst_of(found: dict[str, Any]) -> dict[str, float]:
    """Return for each use the largest ratio of the largest size to the smallest, over engines."""
    worst: dict[str, float] = {}
    for use, (program, reads) in JUDGED.items():
        ratios: list[float] = []
        for by_size in found[program].values():
            sizes = sorted(by_size, key=int)
            small, large = by_size[sizes[0]], by_size[sizes[-1]]
            ratios += [large[read] / small[read] for read in reads]
        worst[use] = round(max(ratios), 3)
    return worst
