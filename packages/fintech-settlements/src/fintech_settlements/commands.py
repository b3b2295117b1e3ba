"""``fintech settlements``: prove a statement offline.

``verify`` needs a file and a public key, and no database, no settings, no server.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fintech_kernel.domain.checkpoints import VerificationKey

    from fintech_settlements.domain.proof import Proved

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
