"""Try to kill the variant that stands on ``sys.path``: what is likely to kill it first.

That is: the faults and pairs of faults of the workflow that it names, a few random schedules, every single
fault of the workflows of the package that it changes, those of all others, more random ones.

Run by ``run.py`` in a process of its own: ``attempt.py SCHEDULES PACKAGE WORKFLOW``. Prints
``KILLED <invariant>: ...`` or ``SURVIVED <schedules>``.
"""

import sys

from fintech_kernel.simulation.campaign import (
    Simulation,
    Task,
    pair_tasks,
    random_tasks,
    single_tasks,
)

WORKFLOWS_OF_PACKAGE = {
    "fintech_ledger": ("ledger.", "settlements."),
    "fintech_merchants": ("merchants.", "api_keys."),
    "fintech_payments": ("payments.",),
    "fintech_settlements": ("settlements.",),
    "fintech_webhooks": ("webhooks.",),
}
"""Whose workflows run a package's code most; the kernel's is run by all."""


def in_order(names: list[str], more: int, package: str, killer: str) -> list[Task]:
    """Return every task, likely killers first."""
    own = WORKFLOWS_OF_PACKAGE.get(package, ())
    likely_first = sorted(names, key=lambda name: not name.startswith(own))
    named = [killer] if killer else []
    return [
        *single_tasks(named),
        *pair_tasks(named, percent=100, rotation=0),
        *random_tasks(100),
        *single_tasks(likely_first),
        *random_tasks(more, first=100),
    ]


def main() -> None:
    simulation = Simulation.installed()
    names = [workflow.name for workflow in simulation.workflows]
    more, package, killer = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    tasks = in_order(names, more, package, killer)
    schedules = 0
    for task in tasks:
        tally = simulation.run_task(task, stop_at_first=True)
        schedules += tally.schedules
        if tally.violations:
            (failure, *_) = tally.failures
            found = failure.violations[0]
            names_of = ",".join(sorted({one.invariant for one in failure.violations}))
            print(f"KILLED {names_of} after {schedules} ({failure.story}): {found.detail[:120]}")  # noqa: T201 - the report
            return
    print(f"SURVIVED {schedules}")  # noqa: T201 - the report


main()
