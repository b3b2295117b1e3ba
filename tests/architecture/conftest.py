"""The repository as these tests see it: its files, its packages, and the whole application."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.web.app import create_app

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Package:
    folder: Path
    project: dict[str, Any]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.name.replace("-", "_")


def read_packages() -> list[Package]:
    files = [
        *REPOSITORY.glob("packages/*/pyproject.toml"),
        *REPOSITORY.glob("apps/*/pyproject.toml"),
    ]
    return [
        Package(folder=file.parent, project=tomllib.loads(file.read_text())["project"])
        for file in sorted(files)
    ]


def pytest_generate_tests(metafunc):
    if "package" in metafunc.fixturenames:
        packages = read_packages()
        metafunc.parametrize("package", packages, ids=[package.name for package in packages])


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def packages() -> list[Package]:
    return read_packages()


@pytest.fixture(scope="session")
def plugins(packages) -> list[Package]:
    return [one for one in packages if "fintech.plugins" in one.project.get("entry-points", {})]


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """Every installed plugin in one application; nothing here starts it, so no database is needed."""
    return create_app(settings={**SETTINGS, "db_base_url": "http://127.0.0.1:9"})
