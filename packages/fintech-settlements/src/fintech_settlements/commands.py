"""``fintech settlements``: prove a statement offline, import what the bank tells.

``verify`` needs a file and a public key, and no database, no settings, no server.
"""

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fintech_kernel.domain.checkpoints import VerificationKey

    from fintech_settlements.domain.bank_lines import BankLine
    from fintech_settlements.domain.proof import Proved

ACCOUNT_NAME = re.compile("[a-z0-9_]{1,32}")

app = typer.Typer(help="Settlements, their statements, and the bank.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Settlements, their statements, and the bank."""


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
