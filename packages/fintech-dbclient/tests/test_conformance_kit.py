"""The kit as pytest tests, against the reference service on every engine that it supports."""

import pytest
from fintech_dbclient.conformance.pytest_kit import pytest_generate_tests, test_conformance

__all__ = ["pytest_generate_tests", "test_conformance"]


@pytest.fixture
def conformance_options():
    return {"rounds": 8}
