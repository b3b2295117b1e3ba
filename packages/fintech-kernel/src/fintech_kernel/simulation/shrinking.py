"""From a failing plan to the shortest that still fails: delta debugging over its faults.

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from fintech_kernel.simulation.faults import Fault, FixedPlan
from fintech_kernel.simulation.runtime import Runtime
from fintech_kernel.simulation.schedules import Outcome, Story, run_schedule

RUNS_MAX: Final = 300
"""Schedules that shrinking one plan may take."""


def shrink(runtime: Runtime, story: Story, outcome: Outcome, *, seed: int) -> dict[int, Fault]:
    """Return the smallest plan found under which the same invariant fails."""
    wanted = {violation.invariant for violation in outcome.violations}
    runs = 0

    def fails(faults: Mapping[int, Fault]) -> bool:
        nonlocal runs
        runs += 1
        found = run_schedule(runtime, story, FixedPlan(faults), seed=seed).violations
        return any(violation.invariant in wanted for violation in found)

    best = dict(outcome.faults)
    parts = 2
    while best and runs < RUNS_MAX:
        smaller = next((one for one in _without_a_part(best, parts) if fails(one)), None)
        if smaller is not None:
            best, parts = smaller, max(2, parts - 1)
        elif parts >= len(best):
            break
        else:
            parts = min(len(best), parts * 2)
    return best


def _without_a_part(faults: Mapping[int, Fault], parts: int) -> Iterator[dict[int, Fault]]:
    """Yield the plan without each of ``parts`` runs of its faults."""
    numbers = sorted(faults)
    size = -(-len(numbers) // parts)
    for start in range(0, len(numbers), size):
        left_out = set(numbers[start : start + size])
        yield {number: fault for number, fault in faults.items() if number not in left_out}
