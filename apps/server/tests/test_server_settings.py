"""``fintech audit`` and ``fintech events`` work on the server that a data folder names."""

from pathlib import Path

import pytest
import typer
from fintech_server.cli import OUR_NAMES, build
from fintech_server.commands.settings import use_settings
from fintech_server.development import DATABASE_FILE, DataFolder
from fintech_server.failures import CommandFailed
from typer.testing import CliRunner


def test_a_folders_settings_reach_the_command(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    folder.note(DATABASE_FILE, {"pid": 1, "base_url": "http://127.0.0.1:7"})
    seen: list[object] = []
    app = typer.Typer()
    app.callback()(use_settings)

    @app.command("look")
    def look(context: typer.Context) -> None:
        seen.append(context.obj)

    CliRunner().invoke(app, ["--data-folder", str(folder.path), "look"])
    CliRunner().invoke(app, ["look"])
    assert seen == [
        folder.settings(
            database_url="http://127.0.0.1:7", database_token=folder.secrets.db_api_token
        ),
        None,
    ]


def test_a_folder_without_a_running_server_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    for path, told in (
        (folder.path, "no `fintech dev` runs its database"),
        (tmp_path / "none", "there is no data folder"),
    ):
        found = CliRunner().invoke(build(), ["audit", "--data-folder", str(path), "verify"])
        assert isinstance(found.exception, CommandFailed)
        assert told in str(found.exception)


def test_the_public_key_of_a_folder_is_printed_without_a_database(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    folder.note(DATABASE_FILE, {"pid": 1, "base_url": "http://127.0.0.1:7"})
    found = CliRunner().invoke(build(), ["audit", "--data-folder", str(folder.path), "key"])
    assert found.exit_code == 0, found.output
    assert found.output.startswith("fintech/audit+")


@pytest.mark.parametrize("name", ["audit", "events", "db", "dev"])
def test_no_plugin_takes_a_name_of_ours(name: str) -> None:
    assert name in OUR_NAMES
