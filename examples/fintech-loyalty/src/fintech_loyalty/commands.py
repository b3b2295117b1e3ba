"""``fintech loyalty``: look at a customer's points from a shell."""

import typer

app = typer.Typer(help="Loyalty.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Loyalty."""


@app.command("points")
def points(context: typer.Context, merchant_id: str, customer_id: str) -> None:
    """Print a customer's points: earned, redeemed, left."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel; `--help` stays quick
        settings_of,
        with_database,
    )

    from fintech_loyalty.domain.service import read_balance

    settings = settings_of(context)
    balance = with_database(
        settings, lambda database: read_balance(database, merchant_id, customer_id)
    )
    typer.echo(f"earned {balance.earned}, redeemed {balance.redeemed}, left {balance.left}")
