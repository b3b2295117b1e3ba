"""``fintech close``: close a month. ``fintech ledger``: close a day, check the books against a replay."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fintech_kernel.domain.operations import Answer
    from rich.progress import Progress, TaskID

    from fintech_ledger.domain.check import Checked

app = typer.Typer(help="The books.", no_args_is_help=True)
close_app = typer.Typer(help="Close a month, or list every reason against it.")

NOT_VERIFIED = "audit_not_verified"
"""The reason against a close that goes away by asking again: the log is verified part by part."""


@app.callback()
def group() -> None:
    """The books."""


@app.command("close")
def close(
    context: typer.Context,
    until: Annotated[str, typer.Option(help="The last day (UTC) of the period, as 2026-11-30.")],
) -> None:
    """Close the period that ends with a day, as the servers' job does for every day by itself."""
    import asyncio

    from fintech_dbclient import DatabaseError  # brings the kernel, as all below
    from fintech_kernel.commands.surroundings import fail, fail_for_database
    from fintech_kernel.domain.execution import OperationState
    from fintech_kernel.errors import InvalidRequest, TryAgainLater

    try:
        answer = asyncio.run(_closed(context, until))
    except InvalidRequest:
        fail(f"{until} is no day that has ended: write it as 2026-11-30")
    except TryAgainLater:
        fail("the close is recorded and goes on: the servers finish it, or run this again")
    except DatabaseError as error:
        fail_for_database(error)
    if answer.state is OperationState.REFUSED:
        fail(f"{until} cannot be closed any more: later transfers were folded before")
    typer.echo(f"{until} is closed by fold {answer.result['fold']}")


@close_app.callback(invoke_without_command=True)
def close_period(
    context: typer.Context,
    period: Annotated[str, typer.Option(help="A month (UTC) that has ended, as 2026-11.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only list what is in the way; nothing is recorded.")
    ] = False,
) -> None:
    """Close a month: refused with every reason while anything stands in its way (exit code 1)."""
    import asyncio

    from fintech_dbclient import DatabaseError  # brings the kernel, as all below
    from fintech_kernel.commands.surroundings import fail, fail_for_database
    from fintech_kernel.errors import InvalidRequest, TryAgainLater

    try:
        line, reasons = asyncio.run(_period_closed(context, period, only_check=check))
    except InvalidRequest:
        fail(f"{period} is no month that has ended: write it as 2026-11")
    except TryAgainLater:
        fail("the close is recorded and goes on: the servers finish it, or run this again")
    except DatabaseError as error:
        fail_for_database(error)
    for reason in reasons:
        typer.echo(f"- {reason}", err=True)
    if reasons:
        fail(line)
    typer.echo(line)


@app.command("check")
def check(
    url: Annotated[
        str, typer.Option(envvar="DB_BASE_URL", help="The database service; default: DB_BASE_URL.")
    ],
    token: Annotated[
        str | None, typer.Option(envvar="DB_API_TOKEN", help="Its token; default: DB_API_TOKEN.")
    ] = None,
) -> None:
    """Replay every transfer and compare; name the first difference and exit with 1."""
    import asyncio

    from fintech_dbclient import DatabaseError  # see close
    from fintech_kernel.commands.surroundings import fail, fail_for_database

    from fintech_ledger.domain.errors import BooksDiffer

    try:
        checked = asyncio.run(_checked(url, token))
    except BooksDiffer as difference:
        fail(f"the books differ: {difference}")
    except DatabaseError as error:
        fail_for_database(error)
    typer.echo(
        f"checked: {checked.transfers} transfers, {checked.folds} folds,"
        f" {checked.lines} settlement lines, {checked.accounts} accounts; no difference"
    )


async def _closed(context: typer.Context, period: str) -> "Answer":
    from fintech_kernel.commands.surroundings import operator  # see close
    from fintech_kernel.host import PluginHost
    from fintech_kernel.web.app import Overrides, build_context

    from fintech_ledger.domain.closes import Closes

    app_context = build_context(PluginHost.installed(), settings=context.obj, overrides=Overrides())
    try:
        return await app_context.services.get(Closes).close(period, actor=operator())
    finally:
        await app_context.database.close()


async def _period_closed(
    context: typer.Context, period: str, *, only_check: bool
) -> tuple[str, list[str]]:
    """Verify the log until it is done, then close; return a line, and the reasons against it."""
    from fintech_kernel.commands.surroundings import operator  # see close_period
    from fintech_kernel.domain.execution import OperationState
    from fintech_kernel.host import PluginHost
    from fintech_kernel.web.app import Overrides, build_context
    from rich.console import Console

    from fintech_ledger.domain.period_closes import Periods, reason_of

    app_context = build_context(PluginHost.installed(), settings=context.obj, overrides=Overrides())
    periods = app_context.services.get(Periods)
    try:
        with Console(stderr=True).status(f"looking at {period}") as status:
            obstacles = await periods.obstacles(period)
            while left := [one for one in obstacles if one.code == NOT_VERIFIED]:
                status.update(left[0].detail)
                obstacles = await periods.obstacles(period)
            if only_check:
                found = [reason_of(one) for one in obstacles]
                return (
                    f"{period} cannot be closed yet" if found else f"{period} can be closed"
                ), found
            key = app_context.identifiers.new("close")
            answer = await periods.close(period, actor=operator(), key=key, fingerprint=None)
    finally:
        await app_context.database.close()
    if answer.state is OperationState.REFUSED:
        facts = answer.result["facts"]
        reasons = [str(one) for one in facts.get("reasons", ())] or [str(answer.result["code"])]
        return f"{period} is not closed", reasons
    return f"{period} is closed by fold {answer.result['fold']}", []


async def _checked(url: str, token: str | None) -> "Checked":
    from fintech_dbclient import HttpDatabase  # see close
    from fintech_kernel.clock import SystemClock
    from rich.console import Console
    from rich.progress import Progress

    from fintech_ledger.domain.check import BooksCheck

    with Progress(console=Console(stderr=True)) as progress:
        database = HttpDatabase(url, token=token)
        try:
            checking = BooksCheck(
                database=database, clock=SystemClock(), on_progress=Bars(progress).show
            )
            return await checking.run()
        finally:
            await database.close()


class Bars:
    """One bar for each part of the check, from when it begins."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def show(self, part: str, done: int, total: int) -> None:
        """Show how far a part is."""
        if part not in self._bars:
            self._bars[part] = self._progress.add_task(part, total=total)
        self._progress.update(self._bars[part], completed=done, total=total)
