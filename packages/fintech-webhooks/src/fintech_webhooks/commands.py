"""``fintech webhooks``: seal signing secrets anew after the application's secret was changed."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fintech_dbclient import Database
    from fintech_kernel.settings import KernelSettings

    from fintech_webhooks.domain.secrets import Resealed

app = typer.Typer(help="Webhooks.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Webhooks."""


@app.command("reseal")
def reseal(context: typer.Context) -> None:
    """Seal every signing secret under the current APP_SECRET; the earlier one is in APP_SECRETS_PREVIOUS.

    It may be interrupted and run again: what is done is not looked at.
    """
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        fail,
        settings_of,
        with_database,
    )

    settings = settings_of(context)
    progress = with_database(settings, lambda database: _resealed(database, settings))
    for key_id, count in sorted(progress.left.items()):
        typer.echo(f"{count} secrets are sealed under {key_id}: add it to APP_SECRETS_PREVIOUS")
    if progress.left:
        fail("not every secret is sealed under the current secret")
    typer.echo(f"{progress.done} secrets sealed anew; all are under {settings.app_secret_id}")


async def _resealed(database: "Database", settings: "KernelSettings") -> "Resealed":
    from fintech_kernel.clock import SystemClock  # see reseal
    from fintech_kernel.identifiers import RandomIdentifiers
    from fintech_kernel.security.sealed_fields import FieldSealer
    from fintech_kernel.security.secrets import KeyRing

    from fintech_webhooks.domain.secrets import PURPOSE, Resealed
    from fintech_webhooks.domain.secrets import reseal as reseal_signing

    sealer = FieldSealer(KeyRing(settings), purpose=PURPOSE)
    last = Resealed()
    async for progress in reseal_signing(database, sealer, RandomIdentifiers(SystemClock())):
        typer.echo(f"{progress.done} secrets sealed anew ...", err=True)
        last = progress
    return last
