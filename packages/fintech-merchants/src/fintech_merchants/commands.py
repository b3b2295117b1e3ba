"""``fintech merchants``: seal bank accounts anew after the application's secret was changed."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fintech_dbclient import Database
    from fintech_kernel.settings import KernelSettings

    from fintech_merchants.domain.bank_accounts import Resealed

app = typer.Typer(help="Merchants.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Merchants."""


@app.command("reseal")
def reseal(context: typer.Context) -> None:
    """Seal every bank account under the current APP_SECRET; the earlier one is in APP_SECRETS_PREVIOUS.

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
        typer.echo(f"{count} accounts are sealed under {key_id}: add it to APP_SECRETS_PREVIOUS")
    if progress.left:
        fail("not every account is sealed under the current secret")
    typer.echo(f"{progress.done} accounts sealed anew; all are under {settings.app_secret_id}")


async def _resealed(database: "Database", settings: "KernelSettings") -> "Resealed":
    from fintech_kernel.clock import SystemClock  # see reseal
    from fintech_kernel.identifiers import RandomIdentifiers
    from fintech_kernel.security.sealed_fields import FieldSealer
    from fintech_kernel.security.secrets import KeyRing

    from fintech_merchants.domain.bank_accounts import PURPOSE, Resealed
    from fintech_merchants.domain.bank_accounts import reseal as reseal_accounts

    sealer = FieldSealer(KeyRing(settings), purpose=PURPOSE)
    last = Resealed()
    async for progress in reseal_accounts(database, sealer, RandomIdentifiers(SystemClock())):
        typer.echo(f"{progress.done} accounts sealed anew ...", err=True)
        last = progress
    return last
