"""``fintech settlements``: settle, write payout files, import the bank's lines, prove statements offline.

``verify`` needs a file and a public key, and no database, no settings, no server.
"""

import csv
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fintech_kernel.context import AppContext
    from fintech_kernel.domain.checkpoints import VerificationKey

    from fintech_settlements.domain.bank_lines import BankLine
    from fintech_settlements.domain.payout_files import PayoutFile
    from fintech_settlements.domain.proof import Proved
    from fintech_settlements.domain.runs import AccountRun, RunReport, Runs

PRIVATE = 0o600
"""Files of payouts hold bank accounts: whoever wrote one may read it."""

ACCOUNT_NAME = re.compile("[a-z0-9_]{1,32}")

app = typer.Typer(help="Settlements, their statements, and the bank.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Settlements, their statements, and the bank."""


@app.command("run")
def run(
    context: typer.Context,
    cutoff: Annotated[
        str | None, typer.Option(help="RFC 3339, as 2026-11-30T00:00:00Z; default: now.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Tell what would be settled; write nothing.")
    ] = False,
) -> None:
    """Settle every merchant that is due; interrupt it and run it again, or run it twice, as you like."""
    import asyncio

    from fintech_dbclient import DatabaseError  # brings the kernel, as all below
    from fintech_kernel.commands.surroundings import fail, fail_for_database

    at = _milliseconds(cutoff)
    try:
        if dry_run:
            asyncio.run(_looked(context, at))
            return
        report = asyncio.run(_run(context, at))
    except DatabaseError as error:
        fail_for_database(error)
    typer.echo(
        f"{report.accounts} accounts: {report.opened} settlements opened,"
        f" {report.settled_before} settled before, {report.not_due} not due, {report.held} held"
    )
    if report.unfinished:
        fail(f"{report.unfinished} are recorded and not finished: run this again")


@app.command("file")
def file(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="The file to write; it must not exist.")],
    rail: Annotated[str, typer.Option(help="Whose orders: sepa_file or csv_file.")] = "sepa_file",
    again: Annotated[
        str | None, typer.Option(help="The number of an earlier file: write that one again.")
    ] = None,
) -> None:
    """Write payout orders that stand in no file yet into a new one, for the bank."""
    import asyncio

    from fintech_dbclient import DatabaseError  # see run
    from fintech_kernel.commands.surroundings import fail, fail_for_database
    from fintech_kernel.security.sealed_fields import SealingKeyUnknown

    from fintech_settlements.domain.payout_files import FileUnwritable

    if output.exists():
        fail(f"{output} exists: name a new file")
    try:
        written = asyncio.run(_written(context, rail, again))
        if written is not None:
            _save(output, written.content)
    except FileUnwritable as error:
        fail(str(error))
    except SealingKeyUnknown as unknown:
        fail(f"an account is sealed under {unknown.key_id}: add it to APP_SECRETS_PREVIOUS")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    except DatabaseError as error:
        fail_for_database(error)
    if written is None:
        typer.echo(f"no order of {rail} waits for a file")
        return
    totals = ", ".join(f"{total} {currency}" for currency, total in sorted(written.totals.items()))
    typer.echo(f"{output}: file {written.number}, {written.count} payouts, {totals} minor units")


def _milliseconds(cutoff: str | None) -> int | None:
    from datetime import datetime

    from fintech_kernel.clock import milliseconds_of  # see run
    from fintech_kernel.commands.surroundings import fail

    if cutoff is None:
        return None
    try:
        moment = datetime.fromisoformat(cutoff)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        fail(f"{cutoff} is no time with an offset: write it as 2026-11-30T00:00:00Z")
    return milliseconds_of(moment)


def _app_context(context: typer.Context) -> "AppContext":
    from fintech_kernel.host import PluginHost  # see run
    from fintech_kernel.web.app import Overrides, build_context

    return build_context(PluginHost.installed(), settings=context.obj, overrides=Overrides())


def _moment(app_context: "AppContext", at: int | None) -> int:
    """Return the cutoff of a run: now, or what was asked for, which must have passed."""
    from fintech_kernel.commands.surroundings import fail  # see run

    now = app_context.clock.now_milliseconds()
    if at is not None and at > now:
        fail("the cutoff lies in the future: choose one that has passed")
    return now if at is None else at


async def _run(context: typer.Context, at: int | None) -> "RunReport":
    from fintech_kernel.commands.surroundings import operator  # see run
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from fintech_settlements.domain.runs import Runs

    app_context = _app_context(context)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        runs = app_context.services.get(Runs)
        moment = _moment(app_context, at)
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("accounts", total=await runs.count(at=moment))
            return await runs.run(
                at=moment,
                started_by=operator().subject,
                on_account=lambda _account: progress.advance(bar),
            )
    finally:
        await app_context.operations.drain()
        await app_context.database.close()


async def _looked(context: typer.Context, at: int | None) -> None:
    from fintech_settlements.domain.runs import Runs  # see run

    app_context = _app_context(context)
    try:
        moment = _moment(app_context, at)
        await _show(app_context.services.get(Runs), moment)
    finally:
        await app_context.database.close()


async def _show(runs: "Runs", at: int) -> None:
    """Print what a run would do, page by page."""
    from fintech_settlements.domain.runs import ACCOUNTS_PAGE  # see run

    after = ("", "")
    while page := await runs.look(at=at, after=after, limit=ACCOUNTS_PAGE):
        for account in page:
            typer.echo(_line(account))
        after = (page[-1].merchant_id, page[-1].currency)


def _line(account: "AccountRun") -> str:
    place = f"{account.merchant_id} {account.currency}"
    if account.line_count:
        return f"{place}: {account.line_count} lines, {account.total} minor units"
    return f"{place}: {account.verdict.value.replace('_', ' ')}"


async def _written(context: typer.Context, rail: str, again: str | None) -> "PayoutFile | None":
    from fintech_settlements.domain.payout_files import PayoutFiles  # see run

    app_context = _app_context(context)
    try:
        files = app_context.services.get(PayoutFiles)
        files.check(rail)
        number = again or await files.gather(rail)
        if number is None:
            return None
        typer.echo(f"file {number}: should this not come to an end, --again {number}", err=True)
        return await files.write(number)
    finally:
        await app_context.database.close()


def _save(output: Path, content: bytes) -> None:
    """Write a new file that nobody else may read."""
    descriptor = os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A statement, as JSON or as CSV.")],
    public_key: Annotated[
        list[str],
        typer.Option(
            help="A verification key as `fintech audit key` prints it, or a file that holds one;"
            " repeatable."
        ),
    ],
) -> None:
    """Prove a statement: lines, chain, sums, signature. Name the line that was changed, exit with 1."""
    from fintech_kernel.commands.surroundings import fail  # brings the kernel
    from fintech_kernel.domain.checkpoints import CheckpointRejected

    from fintech_settlements.domain.proof import StatementBroken

    try:
        proved = _proved(file, [_key(one) for one in public_key])
    except StatementBroken as broken:
        fail(f"not verified: {broken}")
    except CheckpointRejected as rejected:
        fail(f"--public-key: {rejected}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fail(f"{file} cannot be read as a statement: {error}")
    typer.echo(
        f"verified: {proved.batch_number} of {proved.merchant_id}: {proved.line_count} lines make"
        f" {proved.total} minor units {proved.currency}; chain {proved.lines_hash}"
    )


def _key(text: str) -> "VerificationKey":
    """Return a key that is given as such or as the name of a file."""
    from fintech_kernel.domain.checkpoints import VerificationKey  # see verify

    path = Path(text)
    return VerificationKey.parse(path.read_text("utf-8") if path.is_file() else text)


def _proved(file: Path, keys: "Sequence[VerificationKey]") -> "Proved":
    from fintech_settlements.domain.proof import verify_csv, verify_json  # see verify

    with file.open("rb") as opened:
        is_json = opened.read(1) == b"{"
    if is_json:
        return verify_json(file.read_bytes(), keys)
    with file.open(encoding="utf-8", newline="") as text:
        return verify_csv(csv.reader(text, strict=True), keys)


@app.command("import-bank")
def import_bank(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The bank's CSV file.")],
    mapping: Annotated[
        Path,
        typer.Option(help="A JSON file that says which column is what (docs/reconciliation.md)."),
    ],
    account: Annotated[str, typer.Option(help="Our name for the bank account, as `main`.")],
) -> None:
    """Import a bank's lines and match them to payouts; a file that was imported before changes nothing."""
    import asyncio

    from fintech_dbclient import DatabaseError  # brings the kernel, as all below
    from fintech_kernel.commands.surroundings import fail
    from fintech_kernel.errors import TryAgainLater

    from fintech_settlements.domain.bank_lines import BankFileRejected, mapping_of, read_lines

    try:
        wanted = mapping_of(json.loads(mapping.read_text("utf-8")))
        with file.open(encoding="utf-8-sig", newline="") as text:
            lines = list(read_lines(text, wanted, bank_account=account))
    except BankFileRejected as rejected:
        fail(f"nothing was imported: {rejected}")
    except (OSError, ValueError, AttributeError) as error:
        fail(f"nothing was imported: a file cannot be read: {error}")
    if not ACCOUNT_NAME.fullmatch(account):
        fail("--account: a name has 1 to 32 of a-z, 0-9 and _")
    try:
        told = asyncio.run(_imported(context, lines))
    except (TryAgainLater, DatabaseError) as error:
        fail(
            f"not all was imported ({type(error).__name__}): run this again, it changes nothing twice"
        )
    for status in sorted({str(one["status"]) for one in told}):
        typer.echo(f"{status}: {sum(one['status'] == status for one in told)}")
    others = [number for number, one in enumerate(told, start=1) if one["is_other"]]
    typer.echo(f"{len(told)} lines")
    if others:
        fail(
            f"lines {', '.join(map(str, others[:20]))}: the bank's id was imported before with another"
            " content, which stands: ask the bank"
        )


async def _imported(
    context: typer.Context, lines: "Sequence[BankLine]"
) -> "list[Mapping[str, object]]":
    """Import lines, part by part, with a bar of how many are done."""
    from fintech_kernel.commands.surroundings import operator  # see import_bank
    from fintech_kernel.host import PluginHost
    from fintech_kernel.web.app import Overrides, build_context
    from rich.console import Console
    from rich.progress import Progress

    from fintech_settlements.domain.reconciling import Reconciling

    app_context = build_context(PluginHost.installed(), settings=context.obj, overrides=Overrides())
    reconciling = app_context.services.get(Reconciling)
    told: list[Mapping[str, object]] = []
    try:
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task("importing", total=len(lines))
            async for part in reconciling.import_file(lines, actor=operator()):
                told += part
                progress.update(bar, completed=len(told))
    finally:
        await app_context.database.close()
    return told
