"""Try to kill the variant that stands on ``sys.path``: random schedules, then every single
fault, then more random ones.

Run by ``run.py`` in a process of its own. Prints ``KILLED <invariant>: ...`` or ``SURVIVED <schedules>``.
"""

import sys

from fintech_kernel.simulation.campaign import Simulation, random_tasks, single_tasks


def main() -> None:
    simulation = Simulation.installed()
    names = [workflow.name for workflow in simulation.workflows]
    more = int(sys.argv[1])
    tasks = [
        *random_tasks(100),
        *single_tasks(names),
        *random_tasks(more, first=100),
    ]
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
