"""``--data-folder`` of groups of commands that speak to a server's database: whose settings they use."""

from pathlib import Path
from typing import Annotated

import typer

from fintech_server.development import DATABASE_FILE, DataFolder
from fintech_server.failures import CommandFailed


def use_settings(
    context: typer.Context,
    data_folder: Annotated[
        Path | None,
        typer.Option(
            help="Work on the `fintech dev` that runs with this folder; default: the environment's."
        ),
    ] = None,
) -> None:
    """Hand the settings of a development server to the command, where its folder is named.

    Raises:
        CommandFailed: there is no such folder, or no embedded database runs in it.
    """
    if data_folder is None:
        return
    folder = DataFolder.existing(data_folder)
    url = folder.noted(DATABASE_FILE).get("base_url")
    if not isinstance(url, str):
        raise CommandFailed(
            f"no `fintech dev` runs its database in {data_folder}: start it, or set DB_BASE_URL"
        )
    context.obj = folder.settings(database_url=url, database_token=folder.secrets.db_api_token)
