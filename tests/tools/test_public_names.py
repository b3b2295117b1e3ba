"""What others rely on stays: ``docs/public-names/`` has a file per package, and the sources keep its word."""

from pathlib import Path

import pytest
from public_names import FOLDER, offered_names, public_names, read_pinned
from workspace import read_packages

REPOSITORY = Path(__file__).parents[2]
OFFERED = offered_names(REPOSITORY)
PUBLIC = public_names(REPOSITORY)


def lost(pinned: dict[str, set[str]], public: dict[str, set[str]]) -> list[str]:
    """Return pinned names that the sources have no more."""
    return [
        f"{place}: {name}"
        for place, names in sorted(pinned.items())
        for name in sorted(names - public.get(place, set()) - OFFERED.get(place, set()))
        if f"{place}.{name}" not in OFFERED  # a module is a name of its package
    ]


@pytest.mark.parametrize("name", read_packages(REPOSITORY))
def test_no_public_name_of_a_package_is_gone(name):
    gone = lost(read_pinned(REPOSITORY / FOLDER / f"{name}.txt"), PUBLIC[name])
    assert gone == [], "breaks whoever uses it: keep it, or see docs/versioning.md on removals"


@pytest.mark.parametrize("name", read_packages(REPOSITORY))
def test_every_public_name_of_a_package_is_pinned(name):
    pinned = read_pinned(REPOSITORY / FOLDER / f"{name}.txt")
    new = [
        f"{place}: {one}"
        for place, names in PUBLIC[name].items()
        for one in sorted(names - pinned.get(place, set()))
    ]
    assert new == [], "run: python tools/public_names.py"


@pytest.mark.parametrize(
    ("owner", "place", "name"),
    [
        ("fintech-dbclient", "fintech_dbclient", "Statement"),
        ("fintech-kernel", "fintech_kernel.hooks", "hookimpl"),
        ("fintech-kernel", "fintech_kernel.contracts.ledger", "Ledger"),
        ("fintech-kernel", "fintech_kernel.domain.execution", "Execution"),
        ("fintech-kernel", "fintech_kernel.testing.apps", "running_app"),
        ("fintech-payments", "settings of fintech_payments.settings", "PAYMENTS_PROCESSOR"),
        ("fintech-payments", "entry points fintech.plugins", "payments"),
        ("fintech-server", "commands", "fintech"),
    ],
)
def test_a_name_of_each_kind_is_pinned_and_missed_when_it_goes(owner, place, name):
    pinned = read_pinned(REPOSITORY / FOLDER / f"{owner}.txt")
    assert name in pinned[place]
    assert lost({place: {f"{name}_of_yesterday"}}, PUBLIC[owner]) == [
        f"{place}: {name}_of_yesterday"
    ]
