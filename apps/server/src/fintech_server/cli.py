"""The command ``fintech``: assembles the commands, and turns failures into lines and exit codes.

Each command is a module of ``commands``. Plugins add their own through the hook ``fintech_commands``;
they are loaded only when a command is asked for that is not ours, or when help is, so that the others
stay quick.
"""

import sys
from collections.abc import Sequence

import typer
from fintech_kernel.commands import audit, events, keys
from fintech_kernel.simulation import cli as simulation

from fintech_server.commands import (
    conformance,
    demo,
    dev,
    docs,
    migrate,
    plugins,
    serve,
    settings,
    token,
    version,
)
from fintech_server.failures import EXIT_FAILED, CommandFailed, report

COMMANDS = {
    "dev": dev.dev,
    "serve": serve.serve,
    "demo": demo.demo,
    "plugins": plugins.plugins,
    "migrate": migrate.migrate,
    "version": version.version,
}
"""Commands of ours by name, in the order of help."""

GROUPS = {
    "token": token.app,
    "keys": keys.app,
    "db": conformance.app,
    "simulate": simulation.app,
    "docs": docs.app,
}
"""Groups of commands of ours by name."""

SERVER_GROUPS = {"audit": audit.app, "events": events.app}
"""Groups of the kernel's that work on a server's database: with its settings, or a data folder's."""

OUR_NAMES = frozenset({*COMMANDS, *GROUPS, *SERVER_GROUPS})
"""What no plugin's command may be called."""


def build() -> typer.Typer:
    """Return the program with our own commands."""
    app = typer.Typer(
        name="fintech",
        help="A payments backend made of installable packages.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in COMMANDS.items():
        app.command(name)(command)
    for name, group in GROUPS.items():
        app.add_typer(group, name=name)
    for name, group in SERVER_GROUPS.items():
        app.add_typer(group, name=name, help=group.info.help, callback=settings.use_settings)
    return app


def mount_plugin_commands(app: typer.Typer) -> None:
    """Add what plugins declare through ``fintech_commands``.

    Raises:
        CommandFailed: a plugin's command has the name of one of ours.
        StartupFault: the plugins cannot be loaded.
    """
    from fintech_kernel.host import PluginHost  # loads every plugin

    for group in PluginHost.installed().commands():
        if group.name in OUR_NAMES:
            raise CommandFailed(
                f"a plugin adds the command {group.name!r}, which fintech has: rename the plugin's"
            )
        app.add_typer(group.app, name=group.name)


def main() -> None:
    """Run the program."""
    try:
        app = build()
        _mount_where_wanted(app, sys.argv[1:])
        app()
    except CommandFailed as failure:
        report(failure.lines)
        raise SystemExit(EXIT_FAILED) from None
    except Exception as error:
        from fintech_kernel.errors import StartupFault  # loaded only on the way out

        if not isinstance(error, StartupFault):
            raise
        report(error.faults)
        raise SystemExit(EXIT_FAILED) from None


def _mount_where_wanted(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Load the plugins' commands where one of them is asked for; help works without them too."""
    first = arguments[0] if arguments else "--help"
    if first in OUR_NAMES:
        return
    if not first.startswith("-"):
        mount_plugin_commands(app)
        return
    from fintech_kernel.errors import StartupFault  # with the plugins, which take a second

    try:
        mount_plugin_commands(app)
    except StartupFault:
        report(["the commands of plugins are missing below: `fintech plugins` says why"])
