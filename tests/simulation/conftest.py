"""The installed plugins, simulated: built once, on as many cores as ``SIMULATION_WORKERS`` says."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from fintech_kernel.simulation.campaign import Simulation, Workers

pytest_plugins = ["fintech_kernel.simulation.pytest_plugin"]


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return Simulation.installed()


@pytest.fixture(scope="session")
def rotation() -> int:
    """Which part of the pairs and which seeds are run today; printed, so that it can be repeated."""
    given = os.environ.get("SIMULATION_ROTATION")
    return int(given) if given else datetime.now(UTC).date().toordinal()


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Start processes once: building the application in each costs as much as hundreds of schedules."""
    with closing(Workers(int(os.environ.get("SIMULATION_WORKERS", "2")))) as started:
        yield started
