"""Redemptions and awards under every single fault, and under random ones; and that the judges judge."""

from dataclasses import replace

import pytest
from fintech_kernel.simulation.campaign import single_tasks
from fintech_kernel.simulation.workload import workloads_of
from fintech_ledger import plugin as ledger
from fintech_loyalty import plugin
from fintech_loyalty.domain import awards, model, workflows
from fintech_merchants import plugin as merchants
from fintech_payments import plugin as payments

SCHEDULES = 50


@pytest.fixture(scope="module")
def plugins(simulate):
    """Loyalty beside what it lives on; the others' own workflows are simulated by their packages."""
    installed = [merchants, ledger, payments, plugin]
    workloads = [
        one if one.name == "loyalty" else replace(one, workflows=(), actions=())
        for one in workloads_of(installed)
    ]
    return simulate(installed, workloads)


@pytest.mark.timeout(600)  # some hundred schedules; seconds, on an idle machine
def test_points_are_awarded_and_redeemed_once_under_every_fault(plugins):
    tally = plugins.holds(schedules=SCHEDULES)

    assert tally.schedules > SCHEDULES
    assert tally.faults > SCHEDULES


def test_a_redemption_that_forgets_earlier_ones_is_found(plugins, monkeypatch):
    monkeypatch.setattr(workflows, "fold_account", lambda _stream: model.Account())

    assert "Y2" in violated(plugins, "loyalty.redeem_too_much")


def test_an_award_whose_key_is_not_the_events_is_found(plugins, monkeypatch):
    numbers = iter(range(10**6))
    insert = awards.queries.insert_points
    monkeypatch.setattr(
        awards.queries,
        "insert_points",
        lambda row: insert(replace(row, entry_id=f"{row.entry_id}#{next(numbers)}")),
    )

    assert "Y1" in violated(plugins, "loyalty.award")


def test_an_award_of_what_a_payment_keeps_now_is_found(plugins, monkeypatch):
    monkeypatch.setattr(
        awards,
        "points_of",
        lambda movements, **_: sum(movement.amount for movement in movements) // 100,
    )

    assert "Y1" in violated(plugins, "loyalty.refund_and_redeem")


def violated(plugins, workflow: str) -> set[str]:
    """Return what the first schedule that goes wrong violates."""
    for task in single_tasks([workflow]):
        tally = plugins.simulation.run_task(task, stop_at_first=True)
        for failure in tally.failures:
            return {one.invariant for one in failure.violations}
    return set()
