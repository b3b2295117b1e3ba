"""What these tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # modules beside the tests, under importlib's import mode


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[2]
