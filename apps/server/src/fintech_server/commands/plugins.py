"""``fintech plugins``: what is installed, whether it fits together."""

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fintech_server.failures import CommandFailed

if TYPE_CHECKING:
    from fintech_kernel.compatibility import Compatibility
    from fintech_kernel.host import PluginHost
    from fintech_kernel.plugins import Plugin
    from rich.table import Table

HOOK_PREFIX: Final = "fintech_"
GOOD: Final = "ok"
BAD: Final = "fault"


def plugins(
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Also assemble the application, with every rule of its start; no database is used.",
        ),
    ] = False,
) -> None:
    """Show the installed plugins; exit code 1 where they cannot be served."""
    from fintech_kernel.host import PluginHost  # brings the kernel, like the following

    from fintech_server.story import console

    shown = console()
    host = PluginHost.installed(is_patient=True)
    is_loaded = not host.faults
    faults = _assembly_faults(host) if check else host.faults
    shown.print(_table(host.plugins, faults) if is_loaded else _table_of_entry_points(faults))
    shown.print(_compatibility_table(host.compatibility))
    if faults:
        raise CommandFailed(*faults)
    if check:
        typer.echo("everything fits together")


def _assembly_faults(host: "PluginHost") -> Sequence[str]:
    """Return the faults of building the whole application with secrets that guard nothing."""
    from fintech_kernel.errors import StartupFault  # see above

    from fintech_server.assembly import assembled

    host.commands()
    try:
        assembled()
    except StartupFault as fault:
        return tuple(dict.fromkeys([*fault.faults, *host.faults]))
    return host.faults


def _table(found: "Sequence[Plugin]", faults: Sequence[str]) -> "Table":
    from rich.table import Table  # see plugins

    table = Table(title="Plugins", title_justify="left")
    for heading in ("name", "version", "distribution", "hooks", "status"):
        table.add_column(heading)
    for plugin in found:
        hooks = ", ".join(hook.removeprefix(HOOK_PREFIX) for hook in plugin.hooks)
        status = _status(faults, plugin.name, plugin.distribution)
        table.add_row(plugin.name, plugin.version, plugin.distribution, hooks, status)
    return table


def _compatibility_table(lines: "Sequence[Compatibility]") -> "Table":
    from rich.table import Table  # see plugins

    table = Table(title="Compatibility", title_justify="left")
    for heading in ("plugin", "needs", "found", "status"):
        table.add_column(heading)
    for line in lines:
        table.add_row(line.plugin, line.needs, line.found, GOOD if line.is_met else BAD)
    return table


def _table_of_entry_points(faults: Sequence[str]) -> "Table":
    """Return what is installed, from the packages' own metadata, where it cannot be loaded."""
    from fintech_kernel.hooks import ENTRY_POINT_GROUP  # see plugins
    from rich.table import Table

    table = Table(title="Plugins", title_justify="left")
    for heading in ("name", "version", "distribution", "status"):
        table.add_column(heading)
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda one: one.name):
        distribution = point.dist.name if point.dist else ""
        version = point.dist.version if point.dist else ""
        status = _status(faults, point.name, distribution)
        table.add_row(point.name, version, distribution, status)
    return table


def _status(faults: Sequence[str], *names: str) -> str:
    """Return whether one of the faults names the plugin."""
    return BAD if any(name and name in fault for name in names for fault in faults) else GOOD
