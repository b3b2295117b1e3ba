"""The command ``fintech-database``.

What does not live here: what the commands do. Each is a few lines that turn options into calls, and
errors into one line on stderr and an exit code.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from fintech_database import care
from fintech_database.care import CareFailed
from fintech_database.engines import EngineUnavailable
from fintech_database.limits import Limits
from fintech_database.logs import start_logging
from fintech_database.server import AddressUnavailable, is_loopback, listen, serve

app = typer.Typer(
    name="fintech-database",
    help="SQL over HTTP in front of SQLite or PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Url = Annotated[
    str,
    typer.Option(
        help="sqlite:///relative.db, sqlite:////absolute/path.db or postgresql://user@host/database.",
        envvar="FINTECH_DATABASE_URL",
    ),
]

_DEFAULTS = Limits()


@app.command("serve")
def serve_command(  # noqa: PLR0917 - Typer passes options by name
    url: Url,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8800,
    token_env: Annotated[
        str, typer.Option(help="Environment variable that holds the bearer token.")
    ] = "DB_API_TOKEN",  # noqa: S107 - a name, not a secret
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    statement_seconds: Annotated[
        float, typer.Option(min=0.01, help="A statement is stopped after this.")
    ] = _DEFAULTS.statement_seconds,
    waiting_statements_max: Annotated[
        int, typer.Option(min=1, help="More waiting statements are answered 503.")
    ] = _DEFAULTS.waiting_statements_max,
    waiting_bytes_max: Annotated[
        int, typer.Option(min=1, help="More waiting bytes are answered 503.")
    ] = _DEFAULTS.waiting_bytes_max,
    result_rows_max: Annotated[
        int, typer.Option(min=1, help="More rows of one result are refused.")
    ] = _DEFAULTS.result_rows_max,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="Time to answer what was accepted when stopping.")
    ] = _DEFAULTS.drain_seconds,
) -> None:
    """Serve the database over HTTP until interrupted.

    The first line on stdout is "listening on URL", once connections are accepted.
    """
    token = os.environ.get(token_env) or None
    if token is None and not is_loopback(host):
        _fail(
            f"{host} is reachable from other machines: set a token in {token_env}, or use 127.0.0.1"
        )
    limits = Limits(
        statement_seconds=statement_seconds,
        waiting_statements_max=waiting_statements_max,
        waiting_bytes_max=waiting_bytes_max,
        result_rows_max=result_rows_max,
        drain_seconds=drain_seconds,
    )
    start_logging(log_level)
    try:
        with (
            listen(host, port) as listener,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            runner.run(
                serve(
                    url=url, listener=listener, host=host, token=token, limits=limits, ready=_ready
                )
            )
    except (AddressUnavailable, EngineUnavailable) as error:
        _fail(str(error))


@app.command("check")
def check_command(url: Url) -> None:
    """Check a SQLite file page by page, or that PostgreSQL can be used."""
    _report(lambda: asyncio.run(care.check(url)))


@app.command("backup")
def backup_command(
    url: Url, file: Annotated[str, typer.Argument(help="Where to; must not exist.")]
) -> None:
    """Copy a SQLite database while it is in use."""
    native = "pg_dump --format=custom --file=FILE URL, or pg_basebackup for the whole cluster"
    _report(lambda: care.backup(care.sqlite_file(url, otherwise=native), file))


@app.command("restore")
def restore_command(
    url: Url, file: Annotated[str, typer.Argument(help="A backup made by this command.")]
) -> None:
    """Put a backup in place of a SQLite database that does not exist (any more)."""
    native = "pg_restore --dbname=URL FILE"
    _report(lambda: care.restore(file, care.sqlite_file(url, otherwise=native)))


@app.command("export")
def export_command(
    url: Url, file: Annotated[str, typer.Argument(help="Where to; must not exist.")]
) -> None:
    """Write every table to a file of JSON lines that any engine can import."""
    from fintech_database import transfer  # loads asyncpg, which serving SQLite does not need

    _report(lambda: asyncio.run(transfer.export_to(url, file)))


@app.command("import")
def import_command(
    url: Url, file: Annotated[str, typer.Argument(help="A file made by export.")]
) -> None:
    """Read an export into a database, all or nothing, and compare."""
    from fintech_database import transfer  # loads asyncpg, which serving SQLite does not need

    _report(lambda: asyncio.run(transfer.import_from(url, file)))


@app.command("verify")
def verify_command(
    url: Url, file: Annotated[str, typer.Argument(help="A file made by export.")]
) -> None:
    """Compare every table with an export, by row count and SHA-256."""
    from fintech_database import transfer  # loads asyncpg, which serving SQLite does not need

    _report(lambda: asyncio.run(transfer.verify(url, file)))


def _report(work: Callable[[], str]) -> None:
    """Print what was done, or why not."""
    try:
        done = work()
    except (CareFailed, EngineUnavailable) as error:
        _fail(str(error))
    sys.stdout.write(f"{done}\n")


def _ready(base_url: str) -> None:
    sys.stdout.write(f"listening on {base_url}\n")
    sys.stdout.flush()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"fintech-database: {message}\n")
    raise SystemExit(1)


def main() -> None:
    """Run the command line."""
    app()
