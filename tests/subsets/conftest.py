"""The subset under test (``--subset=ledger,payments``: what was installed), and the page about it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules of this folder import one another by name

from page import Module, read_choices, read_modules


def pytest_addoption(parser):
    parser.addoption("--subset", default="", help="plugins that this environment was made of")


@pytest.fixture(scope="session")
def subset(pytestconfig) -> frozenset[str]:
    return frozenset(filter(None, pytestconfig.getoption("--subset").split(",")))


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    return read_modules()


@pytest.fixture(scope="session")
def choice(subset, modules) -> str:
    """The name that the page gives to this subset."""
    if subset == modules.keys() - {"kernel"}:
        return "all"
    return "+".join(sorted(subset)) or "kernel"


@pytest.fixture(scope="session")
def needs(choice) -> str:
    return read_choices()[choice]


@pytest.fixture(autouse=True)
def environment_without_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no .env
