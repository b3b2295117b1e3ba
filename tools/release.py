"""Prepare a release of one package: ``nox -s release -- fintech-payments minor``.

The version goes into ``pyproject.toml``, the changelog's open section gets version and day, the tag's text
is that section. Every package here that depends on it is looked at: a range that leaves the new version
out is named, and nothing is written (``--widen`` moves its ceiling instead). Nothing is committed, tagged or
uploaded.
``docs/versioning.md`` has the policy.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from workspace import read_packages, read_toml

ROOT: Final = Path(__file__).parents[1]
LEVELS: Final = ("patch", "minor", "major")
OPEN_SECTION: Final = re.compile(
    r"^## (?:(?P<version>\S+) \(unreleased\)|Unreleased)$\n", re.MULTILINE
)
SECTION: Final = re.compile(r"^## ", re.MULTILINE)
REMOVED: Final = "### Removed"


class ReleaseRefused(Exception):
    """The release is not prepared; each line says why and what to do."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A prepared release: files as they will be, and the tag.

    Attributes:
        files: new contents by path.
        widened: lines about ranges that were moved: those packages are released next.
    """

    tag: str
    text: str
    files: Mapping[Path, str]
    widened: tuple[str, ...]


def main(arguments: Sequence[str], *, root: Path = ROOT) -> int:
    """Prepare what the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s release --", description=__doc__)
    parser.add_argument("package", help="for instance fintech-payments")
    parser.add_argument("step", help="patch, minor, major, or a version")
    parser.add_argument(
        "--widen", action="store_true", help="move the ceilings of dependants' ranges"
    )
    given = parser.parse_args(arguments)
    try:
        release = prepare(
            root, given.package, given.step, widen=given.widen, today=datetime.now(UTC).date()
        )
    except ReleaseRefused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    for path, content in release.files.items():
        path.write_text(content, encoding="utf-8")
    text = root / "dist" / f"{release.tag}.txt"
    text.parent.mkdir(exist_ok=True)
    text.write_text(release.text, encoding="utf-8")
    print(release.text)
    for path in release.files:
        print(f"written: {path.relative_to(root)}")
    for line in release.widened:
        print(line)
    print("Look at the difference, run `nox -s full`, then:")
    print(f'  git commit -am "Release {release.tag.replace("-v", " ")}"')
    print(f"  git tag --annotate {release.tag} --file {text.relative_to(root)}")
    return 0


def prepare(root: Path, package: str, step: str, *, widen: bool, today: date) -> Release:
    """Return a release of a package; nothing is written.

    Raises:
        ReleaseRefused: no such package or version, nothing to tell users, a range that leaves it out.
    """
    packages = read_packages(root)
    if package not in packages:
        raise ReleaseRefused(f"there is no package {package!r}: one of {', '.join(packages)}")
    folder = root / packages[package].folder
    project, changelog = folder / "pyproject.toml", folder / "CHANGELOG.md"
    current = Version(read_toml(project)["project"]["version"])
    log = changelog.read_text(encoding="utf-8")
    body = _open_body(log, package)
    new = next_version(current, step, is_first=_is_first(log, current))
    if REMOVED in body and not _may_break(current, new):
        raise ReleaseRefused(
            f"{package} removes something (its changelog says so): {new} must not, see docs/versioning.md"
        )
    faults, widened, ranges = _dependants(root, package, new)
    if faults and not widen:
        raise ReleaseRefused(*faults, "nothing was written; --widen moves these ceilings")
    heading = f"{package} {new} ({today.isoformat()})"
    return Release(
        tag=f"{package}-v{new}",
        text=f"{heading}\n\n{body.strip()}\n",
        files={
            **ranges,
            project: _with_version(project.read_text(encoding="utf-8"), current, new),
            changelog: OPEN_SECTION.sub(f"## {new} ({today.isoformat()})\n", log, count=1),
        },
        widened=tuple(widened),
    )


def next_version(current: Version, step: str, *, is_first: bool) -> Version:
    """Return the version behind a step.

    Raises:
        ReleaseRefused: no step and no version, or one that does not lie ahead.
    """
    major, minor, patch = current.major, current.minor, current.micro
    if step in LEVELS:
        ahead = {
            "patch": (major, minor, patch + 1),
            "minor": (major, minor + 1, 0),
            "major": (major + 1, 0, 0),
        }
        return Version(".".join(map(str, ahead[step])))
    try:
        named = Version(step)
    except InvalidVersion:
        raise ReleaseRefused(f"{step!r} is neither {', '.join(LEVELS)} nor a version") from None
    if named < current or (named == current and not is_first):
        raise ReleaseRefused(f"{named} does not lie ahead of {current}, which is there")
    return named


def next_breaking(version: Version) -> Version:
    """Return the version that may break what this one promises: SemVer, a minor below 1.0."""
    if version.major:
        return Version(f"{version.major + 1}")
    return Version(f"0.{version.minor + 1}")


def _may_break(current: Version, new: Version) -> bool:
    return new >= next_breaking(current)


def _open_body(log: str, package: str) -> str:
    found = OPEN_SECTION.search(log)
    body = SECTION.split(log[found.end() :], maxsplit=1)[0] if found else ""
    if not body.strip():
        raise ReleaseRefused(
            f"nothing to release: say what users of {package} notice under '## Unreleased' in its changelog"
        )
    return body


def _is_first(log: str, current: Version) -> bool:
    """Whether the version in pyproject.toml was never released: the open section bears it."""
    found = OPEN_SECTION.search(log)
    return bool(found and found["version"] and Version(found["version"]) == current)


def _with_version(text: str, current: Version, new: Version) -> str:
    return re.sub(
        rf'^version = "{re.escape(str(current))}"$',
        f'version = "{new}"',
        text,
        count=1,
        flags=re.MULTILINE,
    )


def _dependants(
    root: Path, package: str, new: Version
) -> tuple[list[str], list[str], dict[Path, str]]:
    """Return faults of ranges that leave a version out, lines about moving them, and the files if so."""
    faults: list[str] = []
    widened: list[str] = []
    files: dict[Path, str] = {}
    for other in read_packages(root).values():
        project = root / other.folder / "pyproject.toml"
        content = read_toml(project)["project"]
        for text in _requirements(content):
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) != package or new in requirement.specifier:
                continue
            moved = re.sub(r"<[\d.]+", f"<{next_breaking(new)}", text)
            faults.append(f"{other.name} needs {text}: {new} lies outside; {moved} would admit it")
            widened.append(
                f"{other.name} now needs {moved}: say so in its CHANGELOG.md, release it next"
            )
            before = files.get(project) or project.read_text(encoding="utf-8")
            files[project] = before.replace(f'"{text}"', f'"{moved}"')
    return faults, widened, files


def _requirements(project: Mapping[str, Any]) -> Iterator[str]:
    yield from project.get("dependencies", ())
    for extra in project.get("optional-dependencies", {}).values():
        yield from extra


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
