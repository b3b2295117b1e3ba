"""The installed plugins, simulated; ``--simulate-slow`` is not needed: slow tests are marked."""

import datetime
import os

import pytest
from fintech_kernel.simulation.campaign import Simulation

pytest_plugins = ["fintech_kernel.simulation.pytest_plugin"]


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return Simulation.installed()


@pytest.fixture(scope="session")
def rotation() -> int:
    """Which part of the pairs and which seeds are run today; printed, so that it can be repeated."""
    given = os.environ.get("SIMULATION_ROTATION")
    return int(given) if given else datetime.datetime.now(datetime.UTC).date().toordinal()


@pytest.fixture(scope="session")
def workers() -> int:
    return int(os.environ.get("SIMULATION_WORKERS", "2"))
