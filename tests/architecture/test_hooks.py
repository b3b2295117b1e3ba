"""Every hook is documented with its exact signature, shown in an example that runs, and used."""

import inspect
import re
import sys
from dataclasses import dataclass, fields
from types import ModuleType
from typing import get_args

import pytest
from fastapi import FastAPI
from fintech_kernel import hooks
from fintech_kernel.context import AppContext
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import FintechHooks
from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_kernel.web.app import create_app, migrations
from fintech_kernel.web.openapi import openapi_faults
from typer.testing import CliRunner

SPECIFIED = {
    name: function for name, function in vars(FintechHooks).items() if name.startswith("fintech_")
}


@pytest.fixture(scope="module")
def page(repository) -> str:
    return (repository / "docs" / "hooks.md").read_text()


@pytest.fixture(scope="module")
def sections(page) -> dict[str, str]:
    """The text of each hook's section by its heading."""
    parts = re.split(r"^## (\w+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def notes(page):
    """The examples of the page as the one module that they are."""
    module = ModuleType("notes_of_the_documentation")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    source = "\n\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    exec(compile(source, "docs/hooks.md", "exec"), module.__dict__)  # noqa: S102 - our own documentation
    yield module
    del sys.modules[module.__name__]


def test_every_hook_has_a_section_and_every_section_a_hook(sections):
    assert set(sections) == set(SPECIFIED)


def test_sections_stand_in_the_order_in_which_hooks_are_called(sections):
    before_services = {"fintech_processors", "fintech_payout_rails"}
    names = [name for name in SPECIFIED if name not in before_services]
    assert [name for name in sections if name not in before_services] == names
    assert list(sections).index("fintech_payout_rails") < list(sections).index("fintech_services")


@pytest.mark.parametrize("hook", SPECIFIED)
def test_a_hook_is_documented_with_its_exact_signature(sections, hook):
    (documented,) = re.findall(r"^```\n(.*)\n```$", sections[hook], re.MULTILINE)
    assert documented == hook + signature_of(hook)


def signature_of(hook: str) -> str:
    names = {**vars(hooks), "AppContext": AppContext}
    signature = inspect.signature(SPECIFIED[hook], eval_str=True, globals=names)
    shown = ", ".join(
        f"{parameter.name}: {parameter.annotation.__name__}"
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    )
    return f"({shown}) -> Sequence[{declaration_of(hook).__name__}]"


def declaration_of(hook: str) -> type:
    annotation = inspect.signature(SPECIFIED[hook]).return_annotation
    (item,) = get_args(annotation)
    return item


@pytest.mark.parametrize("hook", SPECIFIED)
def test_a_section_says_when_the_hook_is_called_what_it_yields_and_shows_it(sections, hook):
    section = sections[hook]
    assert "**Called** " in section
    assert "**Yields** " in section
    assert f"def {hook}(" in section
    declaration = declaration_of(hook)
    prose = section.partition("**Yields** ")[2].partition("```")[0]
    undocumented = [field.name for field in fields(declaration) if field.name not in words(prose)]
    assert f"`{declaration.__name__}`" in prose
    assert undocumented == []


def words(prose: str) -> set[str]:
    return set(re.findall(r"\w+", prose))


def test_the_example_implements_every_hook(notes):
    host = PluginHost.of([notes])
    (plugin,) = host.plugins
    assert set(plugin.hooks) == set(SPECIFIED)


@pytest.mark.anyio
async def test_the_example_runs(notes, database_url):
    async with running_app(database_url=database_url, plugins=[notes]) as app:
        merchant = app.headers(merchant_id="mch_01k9qq3v5kf7wsc0d3jz8y2m4t")
        body = {"text": "Closed on Mondays"}
        written = await app.post("/v1/notes", body, key="a", headers=merchant)
        repeated = await app.post("/v1/notes", body, key="a", headers=merchant)
        refused = await app.post("/v1/notes", {"text": "x" * 141}, key="b", headers=merchant)
        await app.deliver_events()
        counted = await app.context.services.get(notes.Notes).count()
        await app.context.gauges.read()
        shown = (await app.client.get("/metrics")).text
        ready = await app.client.get("/health/ready")
        document = app.app.openapi()
    assert written.status_code == 201
    assert written.json()["text"] == "Closed on Mondays"
    assert repeated.json() == written.json()
    assert refused.status_code == 422
    assert refused.json()["code"] == "note_too_long"
    assert counted == 1
    assert "fintech_notes_kept 1.0" in shown
    assert "note.written" in notes.audited
    assert ready.status_code == 200
    assert openapi_faults(document) == []


def test_the_command_of_the_example_runs(notes):
    (group,) = PluginHost.of([notes]).commands()
    assert "What is written stays." in CliRunner().invoke(group.app, []).output


@dataclass(frozen=True)
class Started:
    """A host and its application, and the names under which declarations turn up there."""

    host: PluginHost
    app: FastAPI

    @property
    def context(self) -> AppContext:
        return self.app.state.context

    @property
    def deliveries(self) -> set[str]:
        return {job.name for job in self.context.events.jobs()}


ARRIVALS = {
    "fintech_plugins": ("notes", lambda it: names(one.manifest for one in it.host.plugins)),
    "fintech_settings": ("notes", lambda it: it.context.plugin_settings),
    "fintech_permissions": ("notes:write", lambda it: it.context.permissions.names()),
    "fintech_migrations": ("fintech-notes", lambda it: names(migrations(it.host))),
    "fintech_errors": (
        "note_too_long",
        lambda it: {one.code for one in it.app.state.problems.entries()},
    ),
    "fintech_public_events": ("note.written", lambda it: names(it.context.public_events)),
    "fintech_processors": ("note", lambda it: it.context.processors),
    "fintech_payout_rails": ("note", lambda it: it.context.payout_rails),
    "fintech_services": ("notes", lambda it: names(it.host.service_providers())),
    "fintech_operations": ("notes.write", lambda it: it.context.operations.kinds),
    "fintech_routes": ("/v1/notes", lambda it: it.app.openapi()["paths"]),
    "fintech_event_handlers": ("events.deliver:notes.show", lambda it: it.deliveries),
    "fintech_audit_sinks": ("events.deliver:audit:notes.audit", lambda it: it.deliveries),
    "fintech_health_checks": ("notes", lambda it: names(it.host.health_checks(it.context))),
    "fintech_jobs": ("notes.report", lambda it: names(it.host.jobs(it.context))),
    "fintech_metrics": ("notes", lambda it: names(it.host.gauge_sets(it.context))),
    "fintech_close_checks": ("notes.drafts", lambda it: names(it.host.close_checks(it.context))),
    "fintech_commands": ("notes", lambda it: names(it.host.commands())),
}
"""What the page's example yields from each hook, and where it turns up in an application."""


def names(declarations) -> set[str]:
    return {one.name for one in declarations}


def arrives(hook: str, plugin: ModuleType) -> bool:
    """Whether what a plugin yields from a hook turns up; it does not where nothing can start."""
    name, places = ARRIVALS[hook]
    settings = {**SETTINGS, "db_base_url": "http://127.0.0.1:9"}
    try:
        app = create_app(settings=settings, plugins=[plugin])
        return name in places(Started(PluginHost.of([plugin]), app))
    except (StartupFault, LookupError, StopIteration):
        return False  # what other parts of the plugin build on is missing


@pytest.mark.parametrize("hook", SPECIFIED)
def test_every_hook_is_used_what_it_yields_arrives_and_without_it_does_not(hook, notes):
    without = ModuleType(notes.__name__)
    kept = {name: value for name, value in vars(notes).items() if name != hook}
    without.__dict__.update(kept)

    assert arrives(hook, notes)
    assert not arrives(hook, without)
