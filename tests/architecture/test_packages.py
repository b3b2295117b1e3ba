"""Every package is complete: what it says of itself, what it ships, and how it is tested."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.version import Version


def test_a_package_greets_its_reader(package):
    readme = (package.folder / package.project["readme"]).read_text()
    assert package.name in readme
    assert len(readme.split()) > 20


def test_the_changelog_names_the_current_version(package):
    headings = re.findall(r"^## (\S+)", (package.folder / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert package.project["version"] in headings


def test_a_package_is_typed_licensed_and_says_which_python_it_needs(package):
    assert (package.source / "py.typed").exists()
    assert package.project["license"] == "Apache-2.0"
    assert package.project["requires-python"] == ">=3.11"
    assert package.project["description"]


def test_a_package_has_tests_of_its_own(package):
    assert list((package.folder / "tests").glob("**/test_*.py"))


def test_tests_are_no_packages(repository):
    strays = [
        *repository.glob("packages/*/tests/**/__init__.py"),
        *repository.glob("tests/**/__init__.py"),
    ]
    assert strays == []


def test_a_dependency_has_a_floor_and_a_ceiling(package):
    loose = [
        text
        for text in package.project["dependencies"]
        if {"<", ">="} - {clause.operator for clause in Requirement(text).specifier}
    ]
    assert loose == []


def test_a_dependency_on_a_package_of_ours_admits_its_current_version(package, packages):
    versions = {one.name: Version(one.project["version"]) for one in packages}
    needed = [Requirement(text) for text in package.project["dependencies"]]
    outside = [
        str(requirement)
        for requirement in needed
        if requirement.name in versions
        and not requirement.specifier.contains(versions[requirement.name], prereleases=True)
    ]
    assert outside == []


def test_every_module_of_a_package_has_a_docstring_that_greets_its_reader(package):
    silent = [
        str(file.relative_to(package.folder))
        for file in package.source.rglob("*.py")
        if not file.read_text().lstrip().startswith(('"""', "'''"))
    ]
    assert silent == []


def test_everything_that_packages_need_is_pinned_with_hashes(repository, packages):
    pins = (repository / "constraints.txt").read_text()
    pinned = {name.lower() for name in re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}
    groups = tomllib.loads((repository / "pyproject.toml").read_text())["dependency-groups"]
    needed = [text for package in packages for text in package.project["dependencies"]]
    needed += [text for group in groups.values() for text in group]
    ours = {package.name for package in packages}
    names = {Requirement(text).name.lower() for text in needed} - ours
    assert names - pinned == set()
    assert ours.isdisjoint(pinned)
    assert "://" not in pins
    unhashed = [
        block for block in re.split(r"\n(?=\S)", pins.strip()) if "--hash=sha256:" not in block
    ]
    assert unhashed == []
