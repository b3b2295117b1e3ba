"""``fintech db conformance``: can this database take the place of ours?"""

from enum import StrEnum
from typing import Annotated

import typer

app = typer.Typer(help="The database behind the application.", no_args_is_help=True)


class Profile(StrEnum):
    """SQL profiles of the database contract."""

    CORE = "core"
    QUERY = "query"
    DDL = "ddl"


@app.callback()
def group() -> None:
    """The database behind the application."""


@app.command("conformance")
def conformance(  # noqa: PLR0917 - Typer passes options by name
    url: Annotated[str, typer.Argument(help="Base URL of the service.")],
    profile: Annotated[
        list[Profile] | None, typer.Option(help="Only this; may be repeated. Default: all.")
    ] = None,
    restart_command: Annotated[
        str | None, typer.Option(help="Shell command that kills the service and starts it again.")
    ] = None,
    table_prefix: Annotated[
        str | None, typer.Option(help="Of tables made by hand, where the engine makes none.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each race is run.")] = 20,
    clients: Annotated[int, typer.Option(min=2, help="How many clients race.")] = 64,
) -> None:
    """Check a database service against the contract; its token is read from DB_API_TOKEN."""
    from fintech_dbclient.conformance import main  # brings the kit

    arguments = [url, "--rounds", str(rounds), "--clients", str(clients)]
    for one in profile or ():
        arguments += ["--profile", one.value]
    if restart_command is not None:
        arguments += ["--restart-command", restart_command]
    if table_prefix is not None:
        arguments += ["--table-prefix", table_prefix]
    raise SystemExit(main(arguments))
