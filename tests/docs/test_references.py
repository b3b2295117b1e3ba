"""Pages that the application writes about itself: as fresh as the code, and nothing left unsaid."""

import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fintech_kernel.errors import FintechError, Refusal
from fintech_kernel.host import PluginHost
from fintech_kernel.settings import KernelSettings
from fintech_server.api_reference import api_page
from fintech_server.assembly import assembled
from fintech_server.references import errors_page, permissions_page
from fintech_server.settings_reference import setting_names, settings_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return assembled()


def test_the_page_of_errors_is_fresh(app: FastAPI) -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert page == errors_page(app), "run: fintech docs errors > docs/errors.md"


def test_the_page_of_permissions_is_fresh(app: FastAPI) -> None:
    page = (DOCS / "permissions.md").read_text(encoding="utf-8")
    fresh = permissions_page(app, PluginHost.installed())
    assert page == fresh, "run: fintech docs permissions > docs/permissions.md"


def test_the_page_of_settings_is_fresh() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(PluginHost.installed()), (
        "run: fintech docs settings > docs/settings.md"
    )


def test_every_setting_says_what_it_is_for_and_what_it_takes() -> None:
    models = [KernelSettings, *(spec.model for spec in PluginHost.installed().settings())]
    silent = [
        name
        for model in models
        for name, schema in setting_names(model)
        if not schema.get("description")
    ]
    assert silent == [], "give each a Field(description=...)"
    for line in settings_page(PluginHost.installed()).splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line


def test_the_page_of_the_api_has_every_operation_with_its_bodies(app: FastAPI) -> None:
    page = api_page(app)
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            section = page.partition(f"\n### {operation['operationId']}\n")[2].partition("\n### ")[
                0
            ]
            assert f"`{method.upper()} {path}`" in section
            assert ("\nTakes, for instance:\n" in section) == ("requestBody" in operation)
            assert "\nAnswers 2" in section


def test_the_openapi_document_is_fresh(app: FastAPI) -> None:
    document = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))
    assert document == json.loads(json.dumps(app.openapi())), (
        "`nox -s openapi` names the differences; then: fintech docs openapi > docs/openapi.json"
    )


def test_every_problem_has_a_section_that_its_type_leads_to(app: FastAPI) -> None:
    sections = set(re.findall(r"^## (\w+)$", errors_page(app), re.MULTILINE))
    for known in app.state.problems.entries():
        _, body = app.state.problems.present(known.code, {})
        assert str(body["type"]).removeprefix("/problems/") in sections


def test_every_problem_says_when_it_happens_and_what_to_do_in_words_of_its_own(
    app: FastAPI,
) -> None:
    roots = {FintechError.code, Refusal.code}
    for known in app.state.problems.entries():
        assert known.when.endswith("."), known.code
        assert known.remedy.endswith("."), known.code
        if known.code not in roots:
            assert known.remedy not in {FintechError.remedy, Refusal.remedy}, known.code
