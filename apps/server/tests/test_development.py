"""The data folder: made once, for its owner alone, and found again."""

import json
import stat
from pathlib import Path

import pytest
from fintech_server.development import MERCHANT_FILE, DataFolder
from fintech_server.failures import CommandFailed


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_used_again(tmp_path: Path) -> None:
    first = DataFolder.made(tmp_path / "data")
    again = DataFolder.made(tmp_path / "data")

    assert again.secrets == first.secrets
    held = json.loads((tmp_path / "data/secrets.json").read_text())
    assert len({held["app_secret"], held["jwt_secret"], held["db_api_token"]}) == 3
    assert all(len(held[name]) == 64 for name in ("app_secret", "jwt_secret", "db_api_token"))


def test_two_folders_have_nothing_in_common(tmp_path: Path) -> None:
    one, other = DataFolder.made(tmp_path / "one"), DataFolder.made(tmp_path / "other")

    assert one.secrets != other.secrets
    assert one.secrets.folder_id != other.secrets.folder_id


def test_only_the_owner_can_read_what_is_kept(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    folder.note(MERCHANT_FILE, {"merchant_id": "mer_1"})

    assert mode_of(folder.path) == 0o700
    assert {mode_of(file) for file in folder.path.iterdir()} == {0o600}


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    (folder.path / "secrets.json").chmod(0o644)

    with pytest.raises(CommandFailed, match="chmod 600"):
        DataFolder.made(folder.path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"app_secret": "x"}', "not json"])
def test_a_damaged_file_is_named_and_not_replaced(text: str, tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    (folder.path / "secrets.json").write_text(text)

    with pytest.raises(CommandFailed, match=r"secrets\.json cannot be read"):
        DataFolder.made(folder.path)


def test_a_folder_that_was_never_made_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="start `fintech dev`"):
        DataFolder.existing(tmp_path / "data")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CommandFailed, match="choose another with --data-folder"):
        DataFolder.made(tmp_path / "file" / "data")


def test_secrets_do_not_appear_where_the_object_is_shown(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")

    assert folder.secrets.jwt_secret not in repr(folder.secrets)


def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path) -> None:
    folder = DataFolder.made(tmp_path / "data")
    (folder.path / MERCHANT_FILE).write_text("[1, 2")

    assert folder.noted(MERCHANT_FILE) == {}
    assert folder.noted("absent.json") == {}
