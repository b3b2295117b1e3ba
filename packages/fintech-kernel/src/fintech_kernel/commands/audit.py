"""``fintech audit``: seal, export, prove and verify the transparency log.

``verify --file`` and ``verify --proof`` need a public key and no database, no settings, no server.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from fintech_dbclient import Database

    from fintech_kernel.canonical import Json
    from fintech_kernel.domain.checkpoints import TreeHead, VerificationKey
    from fintech_kernel.domain.sealing import Sealer
    from fintech_kernel.domain.verification import LogVerifier, Verified
    from fintech_kernel.settings import KernelSettings

app = typer.Typer(help="The audit trail as a transparency log.", no_args_is_help=True)

KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", help="A verification key as `fintech audit key` prints it; repeatable."),
]


@app.callback()
def group() -> None:
    """The audit trail as a transparency log."""


@app.command("key")
def key(context: typer.Context) -> None:
    """Print the public key of the log's tree heads: give it to whoever verifies."""
    from fintech_kernel.commands.surroundings import settings_of  # brings the kernel
    from fintech_kernel.security.audit_keys import audit_signer

    typer.echo(str(audit_signer(settings_of(context)).verification_key))


@app.command("seal")
def seal(context: typer.Context) -> None:
    """Give every journal entry its position now, and sign a tree head; servers do it by themselves."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        fail,
        settings_of,
        with_database,
    )
    from fintech_kernel.errors import InvariantBroken

    settings = settings_of(context)

    async def sealed(database: "Database") -> "TreeHead | None":
        return await _sealer(settings, database).seal()

    try:
        head = with_database(settings, sealed)
    except InvariantBroken as error:
        fail(str(error))
    typer.echo(f"{head.size} entries under a signed tree head" if head else "the journal is empty")


@app.command("head")
def head(context: typer.Context) -> None:
    """Print the latest signed tree head: keep it elsewhere, and `verify --head` will hold the log to it."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        fail,
        settings_of,
        with_database,
    )
    from fintech_kernel.domain.transparency import TransparencyLog
    from fintech_kernel.errors import NotFound

    async def latest(database: "Database") -> str:
        return (await TransparencyLog(database).head()).note

    try:
        typer.echo(with_database(settings_of(context), latest), nl=False)
    except NotFound:
        fail("nothing is sealed yet")


@app.command("export")
def export(
    context: typer.Context,
    output: Annotated[Path, typer.Argument(help="The file to write; - is standard output.")],
) -> None:
    """Write the whole log as JSON lines: entries, leaf hashes, tree heads. It is noted in the trail."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        fail,
        settings_of,
        with_database,
    )
    from fintech_kernel.security.audit_keys import audit_signer

    settings = settings_of(context)
    public = audit_signer(settings).verification_key

    async def written(database: "Database", file: TextIO) -> None:
        from fintech_kernel.domain.transparency import TransparencyLog  # see above

        await _note(database, {"what": "export", "output": output.name})
        async for line in TransparencyLog(database).export(public):
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")

    try:
        if str(output) == "-":
            with_database(settings, lambda database: written(database, sys.stdout))
            return
        with output.open("w", encoding="utf-8") as file:
            with_database(settings, lambda database: written(database, file))
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")


@app.command("prove")
def prove(
    context: typer.Context,
    entry: Annotated[str | None, typer.Argument(help="An entry's id, or its position.")] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Size of the tree head; default: the latest.")
    ] = None,
    first: Annotated[int | None, typer.Option("--from", min=1, help="Size of a tree head.")] = None,
    second: Annotated[int | None, typer.Option("--to", min=1, help="Size of a later one.")] = None,
) -> None:
    """Print a proof as JSON: of an entry, or with --from and --to that the log kept its past."""
    from fintech_kernel.commands.surroundings import (  # brings the kernel
        fail,
        settings_of,
        with_database,
    )
    from fintech_kernel.domain.transparency import TransparencyLog
    from fintech_kernel.errors import InvariantBroken, NotFound

    async def proved(database: "Database") -> "dict[str, Json]":
        log = TransparencyLog(database)
        if entry is not None:
            await _note(database, {"what": "inclusion", "entry_id": entry})
            return (await log.inclusion(entry, size=size)).to_json()
        if first is None or second is None or first > second:
            fail("name an entry, or two sizes with --from and --to")
        await _note(database, {"what": "consistency", "from": first, "to": second})
        return (await log.consistency(first, second)).to_json()

    try:
        proof = with_database(settings_of(context), proved)
    except NotFound:
        fail("there is no such entry or tree head, or the tree head is older than the entry")
    except InvariantBroken as error:
        fail(str(error))
    typer.echo(json.dumps(proof, indent=2))


@app.command("verify")
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option(help="An exported log; default: the database.")
    ] = None,
    proof: Annotated[Path | None, typer.Option(help="A proof as `prove` prints it.")] = None,
    key: KeyOption = None,
    head: Annotated[
        list[Path] | None,
        typer.Option(help="A tree head that was kept elsewhere; repeatable."),
    ] = None,
) -> None:
    """Check everything that a public key can check; name the first thing that is wrong and exit with 1."""
    from fintech_kernel.commands.surroundings import fail  # brings the kernel
    from fintech_kernel.domain.checkpoints import CheckpointRejected, VerificationKey, open_note
    from fintech_kernel.domain.verification import LogBroken, LogVerifier, verify_proof

    if (file or proof) and not key:
        fail("say with --key whose tree heads to trust")
    try:
        keys = [VerificationKey.parse(one) for one in key or ()] or _own_keys(context)
        if proof is not None:
            typer.echo(verify_proof(json.loads(proof.read_text("utf-8")), keys))
            return
        pinned = [open_note(one.read_text("utf-8"), keys) for one in head or ()]
        verifier = LogVerifier(keys, pinned=pinned)
        found, beside = (
            _verified_database(context, verifier)
            if file is None
            else (_verified_file(file, verifier), "")
        )
    except (LogBroken, CheckpointRejected) as broken:
        fail(f"not verified: {broken}")
    except (OSError, ValueError) as error:
        fail(f"a given file cannot be read: {error}")
    typer.echo(
        f"verified: {found.size} entries, {found.signed_size} of them signed, {found.heads} tree heads"
        + beside
    )


def _verified_file(file: Path, verifier: "LogVerifier") -> "Verified":
    from fintech_kernel.domain.transparency import verify_lines  # see verify

    with file.open("rb") as opened:
        return verify_lines(_decoded(opened), verifier)


def _verified_database(context: typer.Context, verifier: "LogVerifier") -> "tuple[Verified, str]":
    from fintech_kernel.commands.surroundings import settings_of, with_database  # see verify
    from fintech_kernel.domain.transparency import TransparencyLog

    async def both(database: "Database") -> "tuple[Verified, str]":
        log = TransparencyLog(database)
        found = await log.verify(verifier)
        beside = await log.beside()
        return found, f"; {beside.waiting} entries wait to be sealed" if beside.waiting else ""

    return with_database(settings_of(context), both)


def _decoded(lines: Iterable[bytes]) -> Iterator[object]:
    """Yield decoded lines; what is not JSON of one reading comes as None, which no export has."""
    for line in lines:
        try:
            yield json.loads(line, object_pairs_hook=_members)
        except (ValueError, RecursionError):
            yield None


def _members(pairs: "list[tuple[str, Json]]") -> "dict[str, Json]":
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _own_keys(context: typer.Context) -> "list[VerificationKey]":
    from fintech_kernel.commands.surroundings import settings_of  # see verify
    from fintech_kernel.security.audit_keys import audit_keys_previous, audit_signer

    settings = settings_of(context)
    return [audit_signer(settings).verification_key, *audit_keys_previous(settings)]


def _sealer(settings: "KernelSettings", database: "Database") -> "Sealer":
    from fintech_kernel.clock import SystemClock  # see seal
    from fintech_kernel.domain.sealing import Sealer
    from fintech_kernel.security.audit_keys import audit_keys_previous, audit_signer

    return Sealer(
        database=database,
        clock=SystemClock(),
        signer=audit_signer(settings),
        keys_previous=audit_keys_previous(settings),
    )


async def _note(database: "Database", asked: "dict[str, Json]") -> None:
    """Write who reads the trail, before they read it."""
    from fintech_kernel.clock import SystemClock  # see export
    from fintech_kernel.commands.surroundings import operator
    from fintech_kernel.domain.audit_access import ACCESSED, EXPORTED, AuditAccess
    from fintech_kernel.identifiers import RandomIdentifiers

    clock = SystemClock()
    access = AuditAccess(database=database, clock=clock, identifiers=RandomIdentifiers(clock))
    event = EXPORTED if asked["what"] == "export" else ACCESSED
    await access.note(operator(), asked=asked, event=event)
