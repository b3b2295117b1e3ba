"""What is laid out for the site: every document has a place, and links lead to pages that are there."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "site_pages", ROOT / "tools" / "site_pages.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def staged(program: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program.TARGET = tmp_path_factory.mktemp("site")
    program.stage()
    return program.TARGET


def places(nav: object) -> Iterator[str]:
    """Every page that a nav names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for one in nav.values():
            yield from places(one)
    elif isinstance(nav, list):
        for one in nav:
            yield from places(one)


def test_every_document_has_one_place_in_the_nav_and_every_place_a_page(staged: Path) -> None:
    named = [*places(json.loads((staged / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])]
    documents = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(named) == sorted(set(named))
    assert documents - set(named) == set()
    assert [name for name in named if not (staged / "pages" / name).is_file()] == []


def test_links_lead_to_pages(program: ModuleType, staged: Path) -> None:
    pages = staged / "pages"
    for page in pages.rglob("*.md"):
        text = re.sub(
            r"^(```|~~~~).*?^\1$",
            "",
            page.read_text(encoding="utf-8"),
            flags=re.DOTALL | re.MULTILINE,
        )
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)", text):
            assert (page.parent / target).is_file(), f"{page.relative_to(pages)}: {target}"
            assert target.endswith((".md", *program.PICTURES))


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("payments.md#states", "payments.md#states"),
        ("../noxfile.py", "../noxfile.py.md"),
        ("../noxfile.py#L1", "../noxfile.py.md#L1"),
        ("decisions", "decisions/README.md"),
        ("../packages/fintech-kernel/", "../packages/fintech-kernel/README.md"),
        ("results/latency.svg", "results/latency.svg"),
        ("nowhere.py", "nowhere.py"),
        ("https://example.com/noxfile.py", "https://example.com/noxfile.py"),
    ],
)
def test_a_link_becomes(program: ModuleType, link: str, becomes: str) -> None:
    tracked = frozenset(
        {
            *("noxfile.py", "docs/decisions/README.md", "packages/fintech-kernel/README.md"),
            "docs/results/latency.svg",
        }
    )
    text = f"[a]({link}), and\n```\n[left]({link})\n```\n"
    shown = program.rewritten(text, at="docs/a.md", tracked=tracked, sources=set())
    assert shown == f"[a]({becomes}), and\n```\n[left]({link})\n```\n"
