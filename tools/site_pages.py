"""Lay the documentation out for mkdocs: ``python tools/site_pages.py`` writes ``build/site``.

Documents lie where readers of the repository look for them, and link to whatever they speak of. mkdocs
wants one folder of Markdown. So every document is copied under its path in the repository, where its links
to other documents hold as they are; sources that are linked to become pages that show them; and pages that
the application writes about itself are written. Links into nowhere stay as they are, for mkdocs to complain
about. ``nox -s site`` does both.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from fintech_server.api_reference import api_page
from fintech_server.assembly import assembled

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "build" / "site"

LINK: Final = re.compile(r"(?<=\]\()(?P<path>[^)#\s:]+)(?=(?:#[^)\s]*)?\))")
"""The path of a relative link; the anchor behind it stays."""

FENCE: Final = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE)

LANGUAGES: Final[Mapping[str, str]] = {
    ".py": "python",
    ".toml": "toml",
    ".yml": "yaml",
    ".json": "json",
    ".ex": "elixir",
}

PICTURES: Final = (".svg", ".png")
"""What pages show as it is."""

MADE: Final = {"docs/api.md": api_page}
"""Pages that are made of what is installed and not kept in the repository."""

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Start": ("README.md", "docs/start.md"),
    "Concepts": (
        *("docs/concepts.md", "docs/exactly-once.md", "docs/architecture.md", "docs/payments.md"),
        *("docs/ledger.md", "docs/settlements.md", "docs/reconciliation.md"),
        *("docs/identity.md", "docs/audit.md", "docs/glossary.md"),
    ),
    "How to": (
        *("docs/deploy.md", "docs/modules.md", "docs/moving-to-postgresql.md"),
        *("docs/webhooks.md", "docs/connecting-a-processor.md", "docs/writing-a-plugin.md"),
        *("docs/reading-the-code.md", "docs/bring-your-own-engine.md", "docs/elixir-database.md"),
    ),
    "Reference": (
        *("docs/api.md", "docs/hooks.md", "docs/settings.md", "docs/errors.md"),
        *("docs/permissions.md", "docs/observability.md", "docs/rate-limits.md"),
        *("docs/database-contract.md", "docs/simulation.md", "docs/chaos.md", "docs/security.md"),
        *("docs/performance.md", "docs/versioning.md"),
    ),
}
"""The nav, as far as it is given: a page that is not there is left out, and one that lies in docs/ and is not
named stands at the end of "How to"."""


def stage() -> None:
    """Write pages and nav."""
    shutil.rmtree(TARGET, ignore_errors=True)
    tracked = _tracked()
    documents = {
        name: (ROOT / name).read_text(encoding="utf-8") for name in tracked if name.endswith(".md")
    }
    app = assembled()
    documents |= {name: page(app) for name, page in MADE.items()}
    sources: set[str] = set()
    for name, text in documents.items():
        page = rewritten(text, at=name, tracked=tracked, sources=sources)
        _place(name).write_text(page, encoding="utf-8")
    for name in sources:
        if name.endswith(PICTURES):
            shutil.copyfile(ROOT / name, _place(name))
        else:
            _place(f"{name}.md").write_text(_source_page(name), encoding="utf-8")
    configuration = {
        "INHERIT": str(ROOT / "mkdocs.yml"),
        "docs_dir": str(TARGET / "pages"),
        "site_dir": str(TARGET / "html"),
        "nav": nav(documents),
    }
    # JSON is YAML, too.
    (TARGET / "mkdocs.yml").write_text(json.dumps(configuration, indent=2), encoding="utf-8")
    print(f"{len(documents)} documents and {len(sources)} sources are in {TARGET / 'pages'}")


def rewritten(text: str, *, at: str, tracked: frozenset[str], sources: set[str]) -> str:
    """Return a document whose links lead to pages; ``sources`` learns which files need one.

    Folders lead to their README. What stands in fences is left alone.
    """

    def target(found: re.Match[str]) -> str:
        path = found["path"]
        meant = os.path.normpath(PurePosixPath(at).parent / path)
        if meant.endswith(".md"):
            return path
        if meant in tracked:
            sources.add(meant)
            return path if meant.endswith(PICTURES) else f"{path}.md"
        if f"{meant}/README.md" in tracked:
            return f"{path.rstrip('/')}/README.md"
        return path

    parts: list[str] = []
    end = 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(target, text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, LINK.sub(target, text[end:])])


def nav(documents: Iterable[str]) -> list[dict[str, Any]]:
    """Return the nav: what ``SECTIONS`` name, what they do not, and what there is many of."""
    known = sorted(documents)
    named = {name for names in SECTIONS.values() for name in names} | {"docs/limitations.md"}
    guides = [name for name in known if name.startswith("docs/") and name.count("/") == 1]
    unnamed = [name for name in guides if name not in named]
    sections: list[dict[str, Any]] = [
        {
            title: [
                name for name in (*names, *(unnamed if title == "How to" else ())) if name in known
            ]
        }
        for title, names in SECTIONS.items()
    ]
    packages = [*_of(known, "README.md", ("packages", "apps", "examples"))]
    return [
        *sections,
        {"Packages": _titled(packages)},
        {"Decisions": [name for name in known if name.startswith("docs/decisions/")]},
        {"Limitations": "docs/limitations.md"},
        {"Changelogs": _titled([*_of(known, "CHANGELOG.md", ("packages", "apps", "examples"))])},
        {"Project": ["CONTRIBUTING.md", "SECURITY.md", *_of(known, "*.md", ("docs/reports",))]},
    ]


def _of(names: Iterable[str], pattern: str, folders: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name.startswith(tuple(f"{folder}/" for folder in folders)) and PurePosixPath(name).match(
            pattern
        ):
            yield name


def _titled(names: Iterable[str]) -> list[dict[str, str]]:
    """Return entries that are called like their folders."""
    return [{PurePosixPath(name).parent.name: name} for name in names]


def _source_page(name: str) -> str:
    """Return a page that shows a file; it is not searched for."""
    content = (ROOT / name).read_text(encoding="utf-8").rstrip()
    language = LANGUAGES.get(PurePosixPath(name).suffix, "text")
    title = f"---\ntitle: {PurePosixPath(name).name}\nsearch:\n  exclude: true\n---\n\n`{name}`\n\n"
    return f"{title}~~~~{language}\n{content}\n~~~~\n"


def _place(name: str) -> Path:
    """Return where a page goes; its folder is there."""
    file = TARGET / "pages" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _tracked() -> frozenset[str]:
    """Return the files of the repository, new ones included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(  # noqa: S603 - git, with words of ours
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return frozenset(
        name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()
    )


if __name__ == "__main__":
    stage()
