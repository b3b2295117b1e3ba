"""``fintech dev``: a whole development server in one command."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fintech_server.development import DATABASE_FILE, DEFAULT_FOLDER, DataFolder
from fintech_server.failures import CommandFailed

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fintech_server.processes import DatabaseProcess
    from fintech_server.welcome import Welcome

SQLITE: Final = "sqlite"
ELIXIR: Final = "elixir"
DATABASE_LOG: Final = "database.log"
TOKEN_VARIABLE: Final = "DB_API_TOKEN"  # noqa: S105 - the name of a variable

PROGRAM_VARIABLE: Final = "FINTECH_PROGRAM"
"""How the person can call this command, where it is not on PATH (as under nox)."""

WATCH_SECONDS: Final = 0.2
"""Between looks at the database process."""

ONBOARD_SECONDS_MAX: Final = 45.0
"""How long the demo merchant's calls are repeated: longer than an operation's lease."""

LOOPBACK: Final = "127.0.0.1"


def dev(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    data_folder: Annotated[
        Path, typer.Option(help="Where secrets and the database are kept.")
    ] = DEFAULT_FOLDER,
    database: Annotated[
        str,
        typer.Option(
            metavar="sqlite|elixir|URL",
            help="The embedded service to start, or the http:// URL of one that runs"
            " (its token is read from DB_API_TOKEN).",
        ),
    ] = SQLITE,
) -> None:
    """Run a development server: secrets, database and a demo merchant included."""
    try:
        _run(host=host, port=port, data_folder=data_folder, database=database)
    except KeyboardInterrupt:
        return  # asked to stop before it was up: that is a clean end too


@dataclass(frozen=True, slots=True, kw_only=True)
class _Database:
    url: str
    token: str | None
    process: "DatabaseProcess | None"


def _run(*, host: str, port: int, data_folder: Path, database: str) -> None:
    from fintech_server import server  # brings uvicorn

    with server.take_address(host, port) as listener:
        folder = DataFolder.made(data_folder)

        async def main() -> None:
            app = _app(folder, held, host=host, port=listener.getsockname()[1])
            await server.serve(
                app,
                listener,
                host=host,
                drain_seconds=app.state.context.settings.app_request_timeout_seconds,
                companion=lambda: _accompany(app, folder, held, server.url_of(listener, host)),
            )

        with server.stop_signals(), folder.locked(), _database(folder, database) as held:
            server.run(main)


def _app(folder: DataFolder, held: _Database, *, host: str, port: int) -> "FastAPI":
    from fintech_kernel.observability.logging import configure_logging  # brings the kernel
    from fintech_kernel.web.app import create_app  # brings FastAPI

    settings = folder.settings(database_url=held.url, database_token=held.token)
    app = create_app(settings={**settings, "app_host": host, "app_port": port})
    configure_logging(app.state.context.settings.app_log_level, json=False)
    return app


async def _accompany(app: "FastAPI", folder: DataFolder, held: _Database, url: str) -> None:
    """Greet, then watch the database; without it the server must not pretend.

    Raises:
        CommandFailed: the demo merchant cannot be made, or the database ended.
    """
    import asyncio  # everything asynchronous starts here

    typer.echo(f"listening on {url}")
    welcome = await asyncio.to_thread(_welcome, app, folder, url)
    for line in welcome.lines():
        typer.echo(line)
    while held.process is None or held.process.is_running:  # noqa: ASYNC110 - a process sets no event
        await asyncio.sleep(WATCH_SECONDS)
    raise CommandFailed(held.process.obituary())


def _welcome(app: "FastAPI", folder: DataFolder, url: str) -> "Welcome":
    """Make the demo merchant, through the API like anybody, where merchants are served; and tokens."""
    from fintech_kernel.domain.permissions import MERCHANT_ADMIN, PLATFORM_ADMIN  # see _app

    from fintech_server.client import ApiClient
    from fintech_server.onboarding import (
        CREATES_MERCHANTS,
        CREATES_PAYMENTS,
        MERCHANT_WITHOUT_DIRECTORY,
        SUBJECT,
        demo_merchant,
    )
    from fintech_server.tokens import SignedTokens
    from fintech_server.welcome import Welcome

    tokens = SignedTokens(app.state.context.settings)
    kinds = app.state.context.operations.kinds
    merchant_id = MERCHANT_WITHOUT_DIRECTORY
    if CREATES_MERCHANTS in kinds:
        client = ApiClient(_reachable(url), patience_seconds=ONBOARD_SECONDS_MAX)
        try:
            merchant_id = demo_merchant(client, folder, tokens)
        finally:
            client.close()
    return Welcome(
        url=_reachable(url),
        merchant_id=merchant_id,
        merchant_token=tokens.bearer(role=MERCHANT_ADMIN, subject=SUBJECT, merchant_id=merchant_id),
        platform_token=tokens.bearer(role=PLATFORM_ADMIN, subject=SUBJECT, merchant_id=""),
        lifetime_minutes=tokens.lifetime_seconds // 60,
        folder=str(folder.path),
        takes_payments=CREATES_PAYMENTS in kinds,
        program=os.environ.get(PROGRAM_VARIABLE, "fintech"),
    )


def _reachable(url: str) -> str:
    """Return a URL that this machine can call, also where the server listens on every address."""
    return url.replace("//0.0.0.0:", f"//{LOOPBACK}:").replace("//[::]:", "//[::1]:")


@contextmanager
def _database(folder: DataFolder, chosen: str) -> Generator[_Database]:
    """Start the database, or use the one that is named.

    Raises:
        CommandFailed: there is no such database, or it does not start.
    """
    if chosen.startswith(("http://", "https://")):
        token = os.environ.get(TOKEN_VARIABLE) or None
        yield _Database(url=chosen, token=token, process=None)
        return
    from fintech_server import processes  # brings httpx

    if chosen == SQLITE:
        command = processes.sqlite_command()
    elif chosen == ELIXIR:
        command = processes.elixir_command()
    else:
        raise CommandFailed(
            f"--database {chosen} is neither {SQLITE} nor {ELIXIR} nor an http:// URL"
        )
    processes.stop_leftover(folder)
    process = processes.DatabaseProcess.start(
        command,
        file=folder.path / f"{chosen}.db",
        token=folder.secrets.db_api_token,
        log=folder.path / DATABASE_LOG,
    )
    try:
        folder.note(DATABASE_FILE, {"pid": process.pid, "base_url": process.base_url})
        yield _Database(url=process.base_url, token=folder.secrets.db_api_token, process=process)
    finally:
        process.stop()
        folder.forget(DATABASE_FILE)
