"""What a command works with: settings, a database, a way to fail in a line.

Settings come from the environment. Who mounts a command may put others into the context's ``obj``, named
like environment variables in lower case; they take precedence.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn, TypeVar, cast

import typer
from fintech_dbclient import (
    Database,
    DatabaseError,
    StatementFailed,
    Unauthorized,
    UnknownTable,
)

from fintech_kernel.domain.actors import SYSTEM_ROLES, Actor
from fintech_kernel.hooks import SettingsSpec
from fintech_kernel.settings import KernelSettings, load_settings
from fintech_kernel.web.app import open_database

Done = TypeVar("Done")

EXIT_FAILED: Final = 1


def settings_of(context: typer.Context) -> KernelSettings:
    """Return the settings of a command.

    Raises:
        StartupFault: they are not right.
    """
    given = cast("Mapping[str, object] | None", context.obj)
    specs = [SettingsSpec(name="kernel", model=KernelSettings)]
    return cast("KernelSettings", load_settings(specs, given)["kernel"])


def with_database(settings: KernelSettings, work: Callable[[Database], Awaitable[Done]]) -> Done:
    """Return what ``work`` returns, given the configured database; its failure ends the command."""

    async def run() -> Done:
        database = open_database(settings)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except DatabaseError as error:
        fail_for_database(error)


def fail(line: str) -> NoReturn:
    """End the command with a line and exit code 1."""
    typer.echo(f"fintech: {line}", err=True)
    raise typer.Exit(EXIT_FAILED)


def fail_for_database(error: DatabaseError) -> NoReturn:
    """End the command with what the database said, and what to do about it."""
    match error:
        case UnknownTable():
            fail(f"a table is missing ({error.statement}): run fintech migrate, then this again")
        case Unauthorized():
            fail("the database refuses DB_API_TOKEN: set the service's token")
        case StatementFailed():
            fail(f"the database refused a statement ({error}): see what the database service logs")
        case _:
            fail(
                f"the database did not answer ({type(error).__name__}): see that the one at DB_BASE_URL"
                " runs, then run this again"
            )


def operator() -> Actor:
    """Return who runs the command, as records name them."""
    return Actor(subject=f"command:{os.environ.get('USER') or 'unknown'}", roles=SYSTEM_ROLES)
