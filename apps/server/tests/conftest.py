"""The command in the tests' own process: arguments in, exit code and both outputs back."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fintech_kernel.observability.logging import SILENCED
from fintech_server import cli
from loguru import logger

UNWANTED = ("APP_", "AUDIT_", "DB_", "JWT_", "OPERATION_", "PAYMENTS_", "SETTLEMENTS_", "FINTECH_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    code: int
    stdout: str
    stderr: str


Run = Callable[..., Outcome]


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no settings in the environment."""
    for name in list(os.environ):
        if name.startswith(UNWANTED):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs ``fintech`` with arguments, in the empty folder; logs go their old way afterwards."""
    handlers = list(logging.root.handlers)

    def run_command(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["fintech", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capfd.readouterr()
        return Outcome(code=code, stdout=captured.out, stderr=captured.err)

    yield run_command
    logger.remove()
    logger.add(sys.__stderr__ or os.devnull)
    logging.root.handlers[:] = handlers
    for name in SILENCED:
        logging.getLogger(name).disabled = False


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> None:
    """Settings of a deployment in the environment; its database is out of reach."""
    monkeypatch.setenv("APP_ENV", "test")
    monkeypatch.setenv("APP_SECRET", "a" * 40)
    monkeypatch.setenv("JWT_SECRET", "b" * 40)
    monkeypatch.setenv("DB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DB_TIMEOUT_SECONDS", "0.5")
