"""Install only what you want: what is chosen serves, what is not chosen is not there.

``nox -s "subsets(ledger+payments)"`` makes an environment of the wheels of some plugins and what they
declare, and runs this module in it. A choice that cannot work is refused at start-up, in words that
say what to install.
"""

from importlib.metadata import entry_points, packages_distributions
from importlib.util import find_spec

import pytest
from fintech_kernel.errors import StartupFault
from fintech_kernel.testing.apps import running_app

PLUGINS = {"ledger", "merchants", "payments", "settlements"}

NEEDS = {"payments": {"ledger", "merchants"}, "settlements": {"ledger", "merchants"}}
"""What a plugin cannot do without. Settings can spare merchants, see ``SPARED``."""

SPARED = {frozenset({"ledger", "payments"}): {"payments_without_merchants": True}}
"""Choices that work where a setting says so, and the setting."""

SERVED_BY_KERNEL = (
    "/health/",
    "/v1/operations/",
    "/v1/operations",
    "/v1/audit",
    "/v1/auth/",
    "/.well-known/jwks.json",
    "/metrics",
)


def missing(subset: frozenset[str]) -> set[str]:
    return {need for plugin in subset for need in NEEDS.get(plugin, ())} - subset


def works(subset: frozenset[str]) -> bool:
    return not missing(subset) or subset in SPARED


@pytest.fixture(autouse=True)
def environment_without_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no .env


def test_exactly_the_chosen_plugins_are_installed(subset):
    assert {point.name for point in entry_points(group="fintech.plugins")} == subset


def test_no_module_of_another_plugin_can_be_imported(subset):
    others = {f"fintech_{name}" for name in PLUGINS - subset}
    assert [name for name in sorted(others) if find_spec(name) is not None] == []
    assert others.isdisjoint(packages_distributions())


@pytest.mark.anyio
async def test_the_server_serves_the_chosen_routes_and_no_others(subset, database_url):
    if not works(subset):
        pytest.skip("this choice is refused; see below")
    async with running_app(
        database_url=database_url, plugins=None, settings=SPARED.get(subset)
    ) as running:
        ready = await running.client.get("/health/ready")
        paths = running.app.openapi()["paths"]
        permissions = running.context.permissions.names()
        answers = {
            name: (await running.client.get(f"/v1/{name}", headers=running.headers())).status_code
            for name in sorted(PLUGINS - subset)
        }
    assert ready.status_code == 200
    assert {name for name in PLUGINS if any(path.startswith(f"/v1/{name}") for path in paths)} == (
        subset
    )
    ours = tuple(f"/v1/{name}" for name in sorted(subset))
    assert [path for path in paths if not path.startswith((*SERVED_BY_KERNEL, *ours))] == []
    resources = {resource_of(name) for name in permissions}
    assert resources.isdisjoint(PLUGINS - subset)
    assert set(answers.values()) <= {404}


@pytest.mark.anyio
async def test_a_choice_that_cannot_work_is_refused_in_words_that_name_what_to_install(
    subset, database_url
):
    if not missing(subset):
        pytest.skip("this choice lacks nothing")
    with pytest.raises(StartupFault) as refused:
        async with running_app(database_url=database_url, plugins=None):
            pass
    named = {name for name in PLUGINS if f"fintech-{name}" in str(refused.value)} - subset
    assert named
    assert named <= missing(subset)


def resource_of(permission: str) -> str:
    return permission.partition(":")[0]
