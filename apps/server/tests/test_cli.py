"""The program itself: its commands, its two names, what it forwards."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fintech_kernel.testing.database import database_service
from fintech_server.cli import COMMANDS


def test_help_names_every_command(run: Any) -> None:
    outcome = run("--help")

    assert outcome.code == 0
    for name in (*COMMANDS, "db", "keys", "token"):
        assert name in outcome.stdout


def test_the_module_is_the_command(empty_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fintech_server", "version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "fintech-server" in done.stdout


def test_version_lists_every_fintech_package(run: Any) -> None:
    names = [line.split()[0] for line in run("version").stdout.splitlines()]

    assert names == sorted(names)
    assert {"fintech-dbclient", "fintech-kernel", "fintech-server"} <= set(names)


def test_an_unknown_command_is_a_fault_of_use(run: Any) -> None:
    outcome = run("paint")

    assert outcome.code == 2
    assert "paint" in outcome.stderr


def test_migrate_applies_once_and_then_finds_everything_done(
    run: Any, configured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database_service(f"sqlite:///{tmp_path / 'test.db'}") as url:
        monkeypatch.setenv("DB_BASE_URL", url)
        monkeypatch.setenv("DB_TIMEOUT_SECONDS", "20")

        first, second = run("migrate"), run("migrate")

    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert "fintech-kernel: 0 applied" not in first.stdout
    assert all(": 0 applied, " in line for line in second.stdout.splitlines())
    assert len(second.stdout.splitlines()) == len(first.stdout.splitlines()) > 0


def test_conformance_runs_the_kit_and_returns_its_verdict(run: Any, tmp_path: Path) -> None:
    with database_service(f"sqlite:///{tmp_path / 'test.db'}") as url:
        met = run("db", "conformance", url, "--profile", "ddl", "--rounds", "1", "--clients", "2")
    gone = run("db", "conformance", url, "--profile", "ddl", "--rounds", "1", "--clients", "2")

    assert met.code == 0, met.stdout + met.stderr
    assert gone.code == 1
