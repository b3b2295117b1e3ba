"""``fintech plugins`` and the commands of plugins, with real distributions on the path."""

import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''
import typer
from fintech_kernel.hooks import CommandGroup, PluginManifest, hookimpl

app = typer.Typer()

@app.callback()
def group() -> None:
    """Greetings."""

@app.command("hello")
def hello() -> None:
    """Greet."""
    typer.echo("hello from a plugin")

@hookimpl
def fintech_plugins():
    return [
        PluginManifest(
            name={name!r}, summary="A guest.", table_prefix="guest_", route_prefix="/v1/guest"
        )
    ]

@hookimpl
def fintech_commands():
    return [CommandGroup(name={command!r}, app=app)]
'''


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    source: str,
    module: str,
    requires: str = "fintech-kernel>=0.1",
) -> None:
    """Put a distribution with one plugin on the path, as an installer would."""
    (folder / f"{module}.py").write_text(source)
    metadata = folder / f"{module}-1.2.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2.3\nRequires-Dist: {requires}\n"
    )
    (metadata / "entry_points.txt").write_text(f"[fintech.plugins]\n{module} = {module}\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, module, raising=False)


def test_plugins_shows_what_is_installed_and_that_it_fits(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PLUGIN.format(name="guest", command="guest")
    install(empty_folder, monkeypatch, source=source, module="guest_zero")

    outcome = run("plugins", "--check")

    assert outcome.code == 0, outcome.stderr
    for point in entry_points(group="fintech.plugins"):
        assert point.name in outcome.stdout
    assert "fintech-kernel>=0.1" in outcome.stdout
    assert "fault" not in outcome.stdout
    assert outcome.stdout.endswith("everything fits together\n")


def test_a_plugin_of_somebody_else_is_shown_and_its_command_is_mounted(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PLUGIN.format(name="guest", command="guest")
    install(empty_folder, monkeypatch, source=source, module="guest_one")

    shown, greeted, helped = run("plugins"), run("guest", "hello"), run("--help")

    assert "guest_one" in shown.stdout
    assert "1.2.3" in shown.stdout
    assert greeted.stdout == "hello from a plugin\n"
    assert "guest" in helped.stdout


def test_every_fault_is_listed_at_once_and_the_others_are_shown(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(empty_folder, monkeypatch, source="raise ValueError('torn')", module="guest_two")
    install(empty_folder, monkeypatch, source="import absent_module", module="guest_three")
    whole = PLUGIN.format(name="guest", command="guest")
    install(empty_folder, monkeypatch, source=whole, module="guest_whole")

    outcome = run("plugins", "--check")

    assert outcome.code == 1
    lines = outcome.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("fintech: plugin 'guest_three' of guest_three cannot be imported")
    assert lines[1].startswith("fintech: plugin 'guest_two' of guest_two cannot be imported")
    assert outcome.stdout.count("fault") == 2
    assert "guest_whole" in outcome.stdout


def test_a_plugin_that_needs_another_kernel_is_a_fault(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PLUGIN.format(name="guest", command="guest")
    install(
        empty_folder,
        monkeypatch,
        source=source,
        module="guest_four",
        requires="fintech-kernel>=7",
    )

    outcome = run("plugins")

    assert outcome.code == 1
    assert "plugin 'guest_four' needs fintech-kernel>=7, found 0." in outcome.stderr


def test_a_plugin_cannot_take_the_name_of_a_command_of_ours(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PLUGIN.format(name="guest", command="serve")
    install(empty_folder, monkeypatch, source=source, module="guest_five")

    outcome = run("anything")

    assert outcome.code == 1
    assert outcome.stderr.startswith("fintech: a plugin adds the command 'serve'")


def test_help_works_where_plugins_do_not(
    run: Any, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(empty_folder, monkeypatch, source="raise ValueError('torn')", module="guest_six")

    outcome = run("--help")

    assert outcome.code == 0
    assert "serve" in outcome.stdout
    assert "`fintech plugins` says why" in outcome.stderr
