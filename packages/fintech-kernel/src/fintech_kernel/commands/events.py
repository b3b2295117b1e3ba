"""``fintech events``: deliveries that failed too often, and another try for them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fintech_dbclient import Database

    from fintech_kernel.domain.events import Events

app = typer.Typer(help="Deliveries of events to their handlers.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Deliveries of events to their handlers."""


@app.command("dead")
def dead(
    context: typer.Context,
    handler: Annotated[str | None, typer.Option(help="Only of this handler.")] = None,
) -> None:
    """List dead letters: handler, entry, attempts, error, delivery id."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        settings_of,
        with_database,
    )

    async def listed(database: "Database") -> int:
        events, count, after = _events(database), 0, ""
        while letters := await events.dead(handler=handler, after=after):
            for one in letters:
                typer.echo(
                    f"{one.handler}\t{one.entry_id}\t{one.attempts}\t{one.error}\t{one.delivery_id}"
                )
            count, after = count + len(letters), letters[-1].delivery_id
        return count

    if not with_database(settings_of(context), listed):
        typer.echo("no dead letters")


@app.command("retry")
def retry(
    context: typer.Context,
    delivery_id: Annotated[
        str | None, typer.Argument(help="As `fintech events dead` shows.")
    ] = None,
    handler: Annotated[
        str | None, typer.Option(help="Instead: all dead letters of this handler.")
    ] = None,
) -> None:
    """Deliver again what was dead-lettered, with all attempts; a running server does it."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        fail,
        settings_of,
        with_database,
    )

    if (delivery_id is None) == (handler is None):
        fail("name one delivery, or a handler with --handler")

    async def revived(database: "Database") -> int:
        if handler is not None:
            return await _events(database).retry_all(handler)
        return int(await _events(database).retry(str(delivery_id)))

    count = with_database(settings_of(context), revived)
    if not count:
        fail("there is no such dead letter: `fintech events dead` lists them")
    typer.echo(f"{count} to be delivered again")


def _events(database: "Database") -> "Events":
    from fintech_kernel.clock import SystemClock  # see dead
    from fintech_kernel.domain.events import Events
    from fintech_kernel.identifiers import RandomIdentifiers

    clock = SystemClock()
    return Events(database=database, clock=clock, identifiers=RandomIdentifiers(clock))
