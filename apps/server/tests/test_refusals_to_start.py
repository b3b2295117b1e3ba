"""What stops a server from starting is one clear line each, exit code 1, and never a traceback."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from fintech_server import processes
from fintech_server.failures import CommandFailed


def assert_lines(outcome: Any, *beginnings: str) -> None:
    lines = outcome.stderr.splitlines()
    assert outcome.code == 1
    assert len(lines) == len(beginnings), outcome.stderr
    for line, beginning in zip(lines, beginnings, strict=True):
        assert line.startswith(f"fintech: {beginning}")


def test_serve_names_every_fault_of_the_settings_at_once(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_PORT", "70000")
    monkeypatch.setenv("DB_TIMEOUT_SECONDS", "soon")

    outcome = run("serve")

    assert_lines(outcome, "APP_PORT: ", "APP_SECRET: ", "DB_BASE_URL: ", "DB_TIMEOUT_SECONDS: ")


def test_serve_generates_nothing(run: Any, empty_folder: Path) -> None:
    run("serve")

    assert list(empty_folder.iterdir()) == []


@pytest.mark.usefixtures("configured")
def test_serve_says_that_its_port_is_taken(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        outcome = run("serve", "--port", str(port))

    assert_lines(outcome, f"cannot listen on 127.0.0.1:{port} (Address already in use): stop what")


def test_dev_says_that_its_port_is_taken_before_it_makes_anything(
    run: Any, empty_folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        outcome = run("dev", "--port", str(port))

    assert_lines(outcome, f"cannot listen on 127.0.0.1:{port} (Address already in use): stop what")
    assert list(empty_folder.iterdir()) == []


@pytest.mark.usefixtures("configured")
def test_serve_says_that_its_database_is_out_of_reach(
    run: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = run("serve", "--port", "0")

    said = [line for line in outcome.stderr.splitlines() if line.startswith("fintech: ")]
    assert outcome.code == 1
    assert len(said) == 1
    assert said[0].startswith("fintech: the database at http://127.0.0.1:9 cannot be used")
    assert "Traceback" not in outcome.stderr


@pytest.mark.usefixtures("configured")
def test_migrate_says_that_its_database_is_out_of_reach(run: Any) -> None:
    assert_lines(run("migrate"), "the database at http://127.0.0.1:9 cannot be used")


def test_dev_says_that_the_elixir_service_is_not_on_this_machine(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINTECH_ELIXIR_DATABASE", "/nowhere/fintech-elixir-database")

    outcome = run("dev", "--port", "0", "--database", "elixir")

    assert_lines(outcome, "the Elixir database service is not on this machine")


def test_dev_says_which_databases_there_are(run: Any) -> None:
    assert_lines(run("dev", "--port", "0", "--database", "oracle"), "--database oracle is neither")


def test_dev_says_that_the_database_command_is_missing(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(empty_folder / "python"))
    monkeypatch.setenv("PATH", str(empty_folder))

    with pytest.raises(CommandFailed, match="install the package fintech-database"):
        processes.sqlite_command()


def test_dev_says_the_last_words_of_a_database_that_does_not_start(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = empty_folder / "launcher"
    launcher.write_text("#!/bin/sh\necho 'no engine here' >&2\nexit 3\n")
    launcher.chmod(0o755)
    monkeypatch.setenv("FINTECH_ELIXIR_DATABASE", str(launcher))

    outcome = run("dev", "--port", "0", "--database", "elixir")

    assert_lines(outcome, "the database service did not start: no engine here")


def test_a_data_folder_serves_one_server_at_a_time(run: Any, empty_folder: Path) -> None:
    from fintech_server.development import DataFolder  # opened before the command does

    with DataFolder.made(empty_folder / ".fintech").locked():
        outcome = run("dev", "--port", "0")

    assert_lines(outcome, "another `fintech dev` uses .fintech")
