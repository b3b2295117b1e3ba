"""Plugins that are wrong, each in its own way: every one has its own words, and all are said at once.

They are distributions, built and installed as anybody's (``plugins/``). ``nox -s compatibility`` runs this
beside the server's and the kernel's wheels and nothing else of ours.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).parent / "plugins"
UV = os.environ.get("UV", "uv")
FINTECH = Path(sys.executable).with_name("fintech")
COMMAND_SECONDS = 240

HEALTHY = "healthy"
SETTINGS = {
    "APP_ENV": "test",
    "APP_SECRET": "7c1e9a4f5d3b8062e1c5a7d9b3f108264c1e9a7d3b8f4062",
    "JWT_SECRET": "2b8f4062a1c5e7d9b3f1082645d1e9a7c3b8f40629a7c3b8",
    "DB_BASE_URL": "http://127.0.0.1:9",
}
"""Enough to start, were the plugins right; the database is never reached."""

FAULTS = {
    ("broken_import",): (
        "plugin 'broken_import' of acme-broken-import cannot be imported: ModuleNotFoundError:"
        " No module named 'acme_that_nobody_installed'; repair or uninstall it"
    ),
    ("offered_first", "offered_second"): (
        "plugin 'offered_twice' is offered by acme-offered-first and by acme-offered-second:"
        " uninstall one of them"
    ),
    ("unknown_hook",): "plugin 'unknown_hook': unknown hook 'fintech_surprises' in plugin",
    ("too_old",): (
        "plugin 'too_old' needs fintech-kernel<0.0.2,>=0.0.1, found"
        f" {version('fintech-kernel')}: install a version in range"
    ),
    ("awaitable",): "fintech_permissions of plugin 'awaitable' must not be async",
    ("wrong_item",): "fintech_permissions of plugin 'wrong_item' yielded str, not Permission",
    ("foreign_table",): (
        "plugin 'foreign_table' creates 'ledger_transfers': its tables and indexes must start with"
        " 'foreign_table_'"
    ),
    ("colliding_route",): (
        "GET /v1/colliding_route/{second} of acme-colliding-route: takes the requests of operation"
        " 'get_first'"
    ),
    ("open_route",): (
        "GET /v1/open_route of acme-open-route: requires no permission and is not listed public"
    ),
}
"""Folders of ``plugins/``, and how the one line begins that the start says of them, in its order."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per plugin with the plugin installed in it, to be put on the path."""
    folder = tmp_path_factory.mktemp("plugins")
    found = {one.name: folder / one.name for one in PLUGINS.iterdir() if one.is_dir()}
    pins = f"--build-constraints={ROOT / 'constraints.txt'}"
    for name, room in found.items():
        subprocess.run(
            [
                *(UV, "pip", "install", "--quiet", "--no-deps", pins),
                *(f"--python={sys.executable}", f"--target={room}", PLUGINS / name),
            ],
            check=True,
            timeout=COMMAND_SECONDS,
        )
    return found


@pytest.fixture
def run(rooms: dict[str, Path], tmp_path: Path) -> Run:
    """Run ``fintech`` with some of the plugins installed."""

    def run_with(*plugins: str, command: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        unwanted = ("APP_", "DB_", "JWT_", "PYTHON")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
        path = os.pathsep.join(str(rooms[name]) for name in plugins)
        return subprocess.run(
            [FINTECH, *command],
            env={**kept, **SETTINGS, "PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    return run_with


def faults_in(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return [line.removeprefix("fintech: ") for line in done.stderr.splitlines()]


def test_a_healthy_plugin_fits(run: Run) -> None:
    done = run(HEALTHY, command=("plugins", "--check"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("everything fits together\n")


@pytest.mark.parametrize("plugins", FAULTS, ids="+".join)
def test_a_plugin_that_is_wrong_is_told_in_one_line_and_a_healthy_one_is_not(
    run: Run, plugins: tuple[str, ...]
) -> None:
    done = run(*plugins, HEALTHY, command=("plugins", "--check"))
    (fault,) = faults_in(done)
    assert done.returncode == 1
    assert fault.startswith(FAULTS[plugins])


@pytest.mark.parametrize(
    "command", [("plugins", "--check"), ("serve", "--port", "0")], ids=" ".join
)
def test_all_faults_are_listed_at_once(run: Run, command: tuple[str, ...]) -> None:
    wrong = [plugin for plugins in FAULTS for plugin in plugins]
    done = run(*wrong, HEALTHY, command=command)
    told = faults_in(done)
    assert done.returncode == 1
    assert len(told) == len(FAULTS), done.stderr
    for fault, expected in zip(told, FAULTS.values(), strict=True):
        assert fault.startswith(expected)


def test_every_fixture_is_part_of_a_test(rooms: dict[str, Path]) -> None:
    assert rooms.keys() == {HEALTHY, *(plugin for plugins in FAULTS for plugin in plugins)}
