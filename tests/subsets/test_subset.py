"""Install only what you want: what is chosen serves, what is not chosen is not there.

``nox -s "subsets(ledger+payments)"`` makes an environment of the wheels of some plugins and what they
declare, and runs this folder in it. ``docs/modules.md`` says what there is to find: these tests read it.
"""

from importlib.metadata import entry_points, packages_distributions
from importlib.util import find_spec

import pytest
from fintech_kernel.errors import StartupFault
from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import running_app
from page import missing, prefix_of, settings_of


def test_exactly_the_chosen_plugins_are_installed(subset):
    assert {point.name for point in entry_points(group="fintech.plugins")} == subset


def test_no_module_of_another_plugin_can_be_imported(subset, modules):
    others = {f"fintech_{name}" for name in modules.keys() - subset - {"kernel"}}
    assert [name for name in sorted(others) if find_spec(name) is not None] == []
    assert others.isdisjoint(packages_distributions())


@pytest.mark.anyio
async def test_the_server_has_what_the_page_says_of_its_modules_and_nothing_else(
    subset, modules, needs, database_url
):
    if missing(needs):
        pytest.skip("this choice is refused; see below")
    async with running_app(
        database_url=database_url, plugins=None, settings=settings_of(needs)
    ) as running:
        host = PluginHost.installed()
        ready = await running.client.get("/health/ready")
        paths = running.app.openapi()["paths"]
        served = {prefix_of(path) for path in paths}
        permissions = {name.partition(":")[0] for name in running.context.permissions.names()}
        jobs = {job.name for job in host.jobs(running.context)}
        commands = {group.name for group in host.commands()}
        answers = {
            prefix: (await running.client.get(prefix, headers=running.headers())).status_code
            for name in modules.keys() - subset - {"kernel"}
            for prefix in modules[name].routes
        }
    there = [modules["kernel"], *(modules[name] for name in subset)]
    assert ready.status_code == 200
    assert served == frozenset().union(*(one.routes for one in there))
    assert permissions == frozenset().union(*(one.permissions for one in there))
    assert jobs == frozenset().union(*(one.jobs for one in there))
    assert commands == frozenset().union(*(one.commands for one in there))
    assert set(answers.values()) <= {404}


@pytest.mark.anyio
async def test_a_choice_that_cannot_work_is_refused_in_words_that_name_what_to_install(
    needs, database_url
):
    if not missing(needs) and not settings_of(needs):
        pytest.skip("this choice needs nothing")
    with pytest.raises(StartupFault) as refused:
        async with running_app(database_url=database_url, plugins=None):
            pass
    told = str(refused.value)
    assert [name for name in missing(needs) if f"install {name}" not in told] == []
    assert [name for name in settings_of(needs) if f"{name.upper()}=true" not in told] == []
