"""``fintech token``: signed with the configured key, or a data folder's; refused in words."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from fintech_kernel.clock import SystemClock
from fintech_kernel.domain.actors import Actor
from fintech_kernel.hooks import SettingsSpec
from fintech_kernel.security.tokens import TokenVerifier
from fintech_kernel.settings import KernelSettings, load_settings
from fintech_server.development import DataFolder


def verified(token: str, settings: dict[str, object] | None = None) -> Actor:
    loaded = load_settings([SettingsSpec(name="kernel", model=KernelSettings)], settings)
    kernel = cast("KernelSettings", loaded["kernel"])
    return TokenVerifier(kernel, SystemClock()).verify(token.strip()).actor


def test_a_token_of_the_data_folder_names_its_principal(run: Any, empty_folder: Path) -> None:
    folder = DataFolder.made(empty_folder / ".fintech")

    told = run(
        "token", "issue", "--role", "merchant_viewer", "--merchant", "mer_1", "--subject", "ann"
    )

    settings = folder.settings(database_url="http://127.0.0.1", database_token=None)
    expected = Actor(subject="ann", roles=("merchant_viewer",), merchant_id="mer_1")
    assert verified(told.stdout, settings) == expected


@pytest.mark.usefixtures("configured")
def test_the_configured_key_signs_where_there_is_one(run: Any, empty_folder: Path) -> None:
    DataFolder.made(empty_folder / ".fintech")

    told = run("token", "--role", "auditor")

    assert verified(told.stdout) == Actor(subject="fintech_cli", roles=("auditor",))


@pytest.mark.usefixtures("configured")
def test_a_named_folder_wins_over_the_environment(run: Any, empty_folder: Path) -> None:
    folder = DataFolder.made(empty_folder / "mine")

    told = run("token", "--role", "auditor", "--data-folder", "mine")

    settings = folder.settings(database_url="http://127.0.0.1", database_token=None)
    assert verified(told.stdout, settings).roles == ("auditor",)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--role", "king"), "there is no role 'king': roles are platform_admin,"),
        (("--role", "merchant_admin"), "merchant_admin is a merchant's role: say whose"),
        (("--role", "auditor", "--merchant", "mer_1"), "auditor is the platform's role"),
        (("--role", "auditor", "--subject", "a b"), "no token for this actor"),
        (("--role", "merchant_admin", "--merchant", "A/B"), "no token for this actor"),
    ],
)
def test_a_principal_that_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, ...], told: str, run: Any, empty_folder: Path
) -> None:
    DataFolder.made(empty_folder / ".fintech")

    outcome = run("token", *arguments)

    assert outcome.code == 1
    assert outcome.stderr.startswith(f"fintech: {told}")
    assert outcome.stdout == ""


def test_without_a_key_there_is_no_token(run: Any) -> None:
    outcome = run("token", "--role", "auditor")

    assert outcome.code == 1
    assert outcome.stderr.startswith("fintech: there is no data folder .fintech")


def test_a_token_is_inspected_from_the_argument_or_piped_in(run: Any, empty_folder: Path) -> None:
    DataFolder.made(empty_folder / ".fintech")
    token = run("token", "issue", "--role", "auditor", "--subject", "ann").stdout.strip()

    outcome = run("token", "inspect", token)

    assert outcome.code == 0
    assert '"sub": "ann"' in outcome.stdout
    assert '"alg": "HS256"' in outcome.stdout
    assert "expires" in outcome.stdout
    assert outcome.stdout.splitlines()[-1] == "accepted, unless it was revoked"
    assert token.rpartition(".")[2] not in outcome.stdout
    piped = subprocess.run(
        [sys.executable, "-m", "fintech_server", "token", "inspect"],
        input=f"{token}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert piped.stdout.splitlines()[-1] == "accepted, unless it was revoked"


def test_why_a_token_is_not_accepted_is_said_to_the_operator(run: Any, empty_folder: Path) -> None:
    mine = DataFolder.made(empty_folder / ".fintech")
    DataFolder.made(empty_folder / "other")
    token = run("token", "issue", "--role", "auditor").stdout.strip()

    refused = run("token", "inspect", token, "--data-folder", "other")
    malformed = run("token", "inspect", "a.b")
    api_key = run("token", "inspect", "fk_live_secret")

    assert (refused.code, malformed.code, api_key.code) == (1, 1, 1)
    assert refused.stdout.splitlines()[-1] == "not accepted: signature does not fit"
    assert malformed.stdout == "not accepted: not three base64url parts\n"
    assert "secret" not in api_key.stdout
    settings = mine.settings(database_url="http://127.0.0.1", database_token=None)
    assert str(settings["jwt_secret"]) not in refused.stdout
