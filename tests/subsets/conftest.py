"""The subset under test: the plugins that were installed, as ``--subset=ledger,payments`` names them."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--subset", default="", help="plugins that this environment was made of")


@pytest.fixture(scope="session")
def subset(pytestconfig) -> frozenset[str]:
    return frozenset(filter(None, pytestconfig.getoption("--subset").split(",")))
