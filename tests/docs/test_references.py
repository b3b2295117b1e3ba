"""Pages that the application writes about itself: as fresh as the code, and nothing left unsaid."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fintech_kernel.errors import FintechError, Refusal
from fintech_kernel.host import PluginHost
from fintech_server.assembly import assembled
from fintech_server.references import errors_page, permissions_page

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
