"""``nox -s release``: versions, changelogs and ranges, prepared on a copy of this tree."""

import re
from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version
from release import ReleaseRefused, main, next_breaking, next_version, prepare
from workspace import read_packages, read_toml

ROOT = Path(__file__).parents[2]
TODAY = date(2027, 2, 1)
PACKAGE = "fintech-payments"
FOLDER = Path("packages") / PACKAGE


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What this tree says of its packages, each at 0.1.0 and with something to tell."""
    for package in read_packages(ROOT).values():
        folder = tmp_path / package.folder
        folder.mkdir(parents=True)
        text = (ROOT / package.folder / "pyproject.toml").read_text()
        text = re.sub(r'^version = ".+"$', 'version = "0.1.0"', text, flags=re.MULTILINE)
        text = re.sub(r'"(fintech-[a-z]+)[>=<.,\d]+"', r'"\1>=0.1,<0.2"', text)
        (folder / "pyproject.toml").write_text(text)
        changes = (
            "# Changelog\n\n## Unreleased\n\n- Faster.\n\n## 0.1.0 (2026-12-01)\n\n- Everything.\n"
        )
        (folder / "CHANGELOG.md").write_text(changes)
    return tmp_path


def version_of(root: Path, package: str) -> str:
    return read_toml(root / read_packages(root)[package].folder / "pyproject.toml")["project"][
        "version"
    ]


def everything(root: Path) -> dict[Path, str]:
    return {file: file.read_text() for file in root.rglob("*") if file.is_file()}


def test_a_patch_writes_version_changelog_and_the_tags_text(copy, capsys):
    assert main([PACKAGE, "patch"], root=copy) == 0

    log = (copy / FOLDER / "CHANGELOG.md").read_text()
    heading, day = log.splitlines()[2].removesuffix(")").split(" (")
    text = (copy / "dist" / f"{PACKAGE}-v0.1.1.txt").read_text()
    assert version_of(copy, PACKAGE) == "0.1.1"
    assert heading == "## 0.1.1"
    assert date.fromisoformat(day) >= date(2026, 11, 30)
    assert "## 0.1.0 (2026-12-01)\n\n- Everything." in log
    assert text == f"{PACKAGE} 0.1.1 ({day})\n\n- Faster.\n"
    told = capsys.readouterr().out
    assert f"git tag --annotate {PACKAGE}-v0.1.1 --file dist/{PACKAGE}-v0.1.1.txt" in told


def test_a_minor_names_every_range_that_leaves_it_out_and_writes_nothing(copy, capsys):
    before = everything(copy)

    assert main([PACKAGE, "minor"], root=copy) == 1

    told = capsys.readouterr().err
    assert (
        "fintech-server needs fintech-payments>=0.1,<0.2: 0.2.0 lies outside;"
        " fintech-payments>=0.1,<0.3 would admit it" in told
    )
    assert everything(copy) == before


def test_a_minor_of_the_kernel_names_all_that_lie_on_it(copy):
    with pytest.raises(ReleaseRefused) as refused:
        prepare(copy, "fintech-kernel", "minor", widen=False, today=TODAY)
    lying_on_it = {
        one.name for one in read_packages(copy).values() if "fintech-kernel" in one.needs
    }
    assert PACKAGE in lying_on_it
    assert [
        name for name in lying_on_it if f"{name} needs fintech-kernel" not in str(refused.value)
    ] == []


def test_widening_moves_the_ceilings_and_says_who_is_released_next(copy, capsys):
    assert main([PACKAGE, "minor", "--widen"], root=copy) == 0

    server = (copy / "apps/server/pyproject.toml").read_text()
    assert version_of(copy, PACKAGE) == "0.2.0"
    assert '"fintech-payments>=0.1,<0.3"' in server
    assert '"fintech-kernel>=0.1,<0.2"' in server
    assert "fintech-server now needs fintech-payments>=0.1,<0.3" in capsys.readouterr().out


def test_what_removes_something_is_no_patch(copy):
    log = copy / FOLDER / "CHANGELOG.md"
    log.write_text(log.read_text().replace("- Faster.", "### Removed\n\n- The old route."))
    with pytest.raises(ReleaseRefused, match="removes something"):
        prepare(copy, PACKAGE, "patch", widen=True, today=TODAY)
    assert prepare(copy, PACKAGE, "minor", widen=True, today=TODAY).tag == f"{PACKAGE}-v0.2.0"


def test_nothing_to_tell_is_nothing_to_release(copy):
    log = copy / FOLDER / "CHANGELOG.md"
    log.write_text(log.read_text().replace("## Unreleased\n\n- Faster.\n\n", ""))
    with pytest.raises(ReleaseRefused, match="nothing to release"):
        prepare(copy, PACKAGE, "patch", widen=False, today=TODAY)


def test_the_first_release_takes_the_version_that_is_there(copy):
    log = copy / FOLDER / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## 0.1.0 (unreleased)\n\n- Everything.\n")
    release = prepare(copy, PACKAGE, "0.1.0", widen=False, today=TODAY)
    assert release.files[log] == "# Changelog\n\n## 0.1.0 (2027-02-01)\n\n- Everything.\n"
    assert release.text == f"{PACKAGE} 0.1.0 (2027-02-01)\n\n- Everything.\n"


@pytest.mark.parametrize("step", ["0.1.0", "0.0.9", "tiny"])
def test_a_step_that_leads_nowhere_is_refused(copy, step):
    with pytest.raises(ReleaseRefused):
        prepare(copy, PACKAGE, step, widen=True, today=TODAY)


def test_an_unknown_package_is_refused_with_those_that_there_are(copy):
    with pytest.raises(ReleaseRefused, match="fintech-payments"):
        prepare(copy, "fintech-teapots", "minor", widen=False, today=TODAY)


@pytest.mark.parametrize(
    ("current", "step", "new"),
    [("0.1.4", "patch", "0.1.5"), ("0.1.4", "minor", "0.2.0"), ("0.9.0", "major", "1.0.0"),
     ("1.4.2", "minor", "1.5.0"), ("1.4.2", "major", "2.0.0"), ("0.1.0", "0.4.0", "0.4.0")],
)  # fmt: skip
def test_steps_follow_semver(current, step, new):
    assert next_version(Version(current), step, is_first=False) == Version(new)


@pytest.mark.parametrize(
    ("version", "breaking"), [("0.2.3", "0.3"), ("1.0.0", "2"), ("3.4.5", "4")]
)
def test_below_one_a_minor_may_break(version, breaking):
    assert next_breaking(Version(version)) == Version(breaking)


def test_every_changelog_of_this_tree_has_something_to_tell_or_was_released():
    for package in read_packages(ROOT).values():
        log = (ROOT / package.folder / "CHANGELOG.md").read_text()
        released = f"## {version_of(ROOT, package.name)} ("
        assert released in log, package.name
