"""Statements prove themselves: with the file and a public key, whoever holds them sees what was changed."""

import csv
import gc
import io
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fintech_kernel.domain.checkpoints import Signer
from fintech_kernel.errors import InvariantBroken
from fintech_settlements import commands
from fintech_settlements.api.statements import csv_statement, json_statement
from fintech_settlements.domain import service
from fintech_settlements.domain.proof import StatementBroken, verify_csv, verify_json
from typer.testing import CliRunner

pytestmark = pytest.mark.anyio

DIGIT = re.compile(rb"[0-9]")


async def exported(world, *amounts: int) -> dict[str, bytes]:
    """Return a settlement's statement in both forms."""
    settlement = await world.opened(*amounts)
    path = f"/{settlement['settlement_id']}/statement"
    return {form: (await world.get(f"{path}?format={form}")).content for form in ("json", "csv")}


def key_of(world) -> str:
    return str(world.app.context.signer.verification_key)


def verify(folder: Path, form: str, content: bytes, key: str):
    """Run the command as an outsider does: a file, a key, nothing else."""
    file = folder / f"statement.{form}"
    file.write_bytes(content)
    return CliRunner().invoke(commands.app, ["verify", str(file), "--public-key", key])


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_a_statement_proves_itself_offline(world, tmp_path, form):
    files = await exported(world, 1_000, -300, -35, 20)
    done = verify(tmp_path, form, files[form], key_of(world))
    assert done.exit_code == 0, done.output
    assert "4 lines make 685 minor units KES" in done.output
    key = tmp_path / "public.key"
    key.write_text(key_of(world) + "\n")
    assert verify(tmp_path, form, files[form], str(key)).exit_code == 0


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_an_empty_set_has_a_statement_too(world, tmp_path, form):
    files = await exported(world, 1_000, -1_000)
    done = verify(tmp_path, form, files[form], key_of(world))
    assert done.exit_code == 0, done.output
    assert "2 lines make 0 minor units" in done.output


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_every_changed_digit_is_found_and_its_line_named(world, form):
    """Each digit of the file in turn: in a line it names the line, elsewhere it fails all the same."""
    files = await exported(world, 1_000, -300, 20)
    key = world.app.context.signer.verification_key
    rows = files[form].split(b"\n")
    lines = {index for index, row in enumerate(rows) if b"order-" in row}
    assert len(lines) == 3
    first = min(lines)
    named = 0
    for index, row in enumerate(rows):
        for place in DIGIT.finditer(row):
            digit = b"%d" % ((int(place[0]) + 1) % 10)
            changed = [*rows]
            changed[index] = row[: place.start()] + digit + row[place.end() :]
            with pytest.raises(StatementBroken) as broken:
                proved(form, b"\n".join(changed), [key])
            if index in lines:
                assert broken.value.line == index - first + 1
                named += 1
    assert named > 200


def proved(form, content, keys):
    if form == "json":
        return verify_json(content, keys)
    return verify_csv(csv.reader(io.StringIO(content.decode(), newline="")), keys)


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("act", ["drop", "swap", "repeat", "cut"])
async def test_lines_that_are_dropped_swapped_repeated_or_cut_off_are_missed(world, form, act):
    files = await exported(world, 1_000, -300, 20)
    rows = files[form].split(b"\n")
    second, third = (index for index, row in enumerate(rows) if b"order-" in row and index > 1)
    match act:
        case "drop":
            del rows[second]
        case "swap":
            rows[second], rows[third] = (
                rows[third].rstrip(b",\r") + rows[second][len(rows[second].rstrip(b",\r")) :],
                rows[second].rstrip(b",\r") + rows[third][len(rows[third].rstrip(b",\r")) :],
            )
        case "repeat":
            rows.insert(second, rows[second])
        case _:
            del rows[third:]
    with pytest.raises(StatementBroken):
        proved(form, b"\n".join(rows), [world.app.context.signer.verification_key])


async def test_a_chain_that_was_computed_again_does_not_bear_our_signature(world):
    """Who changes a line, every hash behind it and the sums still lacks the key."""
    files = await exported(world, 1_000, 20)
    other = Signer(world.app.context.signer.origin, Ed25519PrivateKey.generate())
    with pytest.raises(StatementBroken, match="no valid signature"):
        verify_json(files["json"], [other.verification_key])
    richer = await exported(world, 9_000, 20)
    mixed = json.loads(richer["json"])
    mixed["signed"] = json.loads(files["json"])["signed"]
    with pytest.raises(StatementBroken, match="is not what was signed"):
        verify_json(json.dumps(mixed).encode(), [world.app.context.signer.verification_key])


async def test_a_carried_total_is_closed_with_and_opens_the_next(world):
    world.change_merchant(settlement_minimum=5_000)
    small = await world.opened(700)
    world.clock.advance(seconds=1)
    large = await world.opened(6_000)
    statements = [
        (await world.get(f"/{one['settlement_id']}/statement")).json() for one in (small, large)
    ]
    assert [(one["opening_balance"], one["closing_balance"]) for one in statements] == [
        (0, 700),
        (700, 0),
    ]
    assert statements[1]["total"] == 6_700


async def test_the_chain_is_recorded_when_the_set_closes(world):
    settlement = await world.opened(1_000, 20)
    statement = (await world.get(f"/{settlement['settlement_id']}/statement")).json()
    assert (
        settlement["lines_hash"] == statement["lines_hash"] == statement["lines"][-1]["line_hash"]
    )


async def test_lines_that_still_add_up_but_are_others_are_not_served(world):
    settlement = await world.opened(1_000, 20)
    await world.books.rows(
        "UPDATE books_transfers SET reference = 'order-forged' WHERE transfer_id IN"
        " (SELECT line_key FROM books_lines WHERE settlement_id = ?)",
        settlement["settlement_id"],
    )
    answer = await world.get(f"/{settlement['settlement_id']}/statement")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def peak_of(parts: AsyncIterator[bytes]) -> tuple[int, int]:
    """Return the most bytes held while ``parts`` were made, and the bytes made.

    Collected at every part: how much garbage waits for the collector is its affair.
    """
    gc.collect()
    gc.freeze()  # what was there before is not walked again
    tracemalloc.start()
    try:
        made = 0
        async for part in parts:
            made += len(part)
            gc.collect()
        return tracemalloc.get_traced_memory()[1], made
    finally:
        tracemalloc.stop()
        gc.unfreeze()


@pytest.mark.parametrize("make", [json_statement, csv_statement])
async def test_memory_of_an_export_does_not_grow_with_its_lines(world, monkeypatch, make):
    monkeypatch.setattr(service, "STATEMENT_PAGE_LINES", 20)
    settlements = world.app.context.services.get(service.Settlements)
    peaks = []
    for count in (60, 600):
        await world.owe(*[100] * count)
        created = (await world.create()).json()
        settlement = await settlements.get(world.merchant_id, created["settlement_id"])
        async for _part in make(settlements, settlement):
            pass  # once before: caches are filled
        peak, made = await peak_of(make(settlements, settlement))
        peaks.append(peak)
        assert made > count * 200
    assert peaks[1] < peaks[0] * 1.5


async def test_a_file_that_is_no_statement_is_refused_in_a_line(world, tmp_path):
    for content in (
        b"",
        b"{}",
        b"[]",
        b"merchant,payment\n",
        b"\xff\xfe",
        b'{"lines":[],"signed":""}',
    ):
        done = verify(tmp_path, "json", content, key_of(world))
        assert done.exit_code == 1
        assert done.output.startswith("fintech: ")
    done = verify(tmp_path, "json", b"{}", "no key")
    assert (done.exit_code, "--public-key" in done.output) == (1, True)


async def test_a_long_statement_of_other_lines_breaks_off_before_its_signature(world, monkeypatch):
    monkeypatch.setattr(service, "STATEMENT_PAGE_LINES", 1)
    settlements = world.app.context.services.get(service.Settlements)
    created = await world.opened(1_000, 20, 30, 40)
    await world.books.rows(
        "UPDATE books_transfers SET kind = 'Gift' WHERE amount = 40 AND transfer_id IN"
        " (SELECT line_key FROM books_lines WHERE settlement_id = ?)",
        created["settlement_id"],
    )
    settlement = await settlements.get(world.merchant_id, created["settlement_id"])
    parts: list[bytes] = []

    async def export() -> None:
        async for part in json_statement(settlements, settlement):
            parts.append(part)  # noqa: PERF401 - what came before the end is kept

    with pytest.raises(InvariantBroken, match="not the ones that it recorded"):
        await export()
    assert b"signed" not in b"".join(parts)
