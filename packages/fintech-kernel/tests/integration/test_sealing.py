"""The sealer on a real database: whatever goes wrong, every entry is sealed once and every head holds."""

import asyncio
import uuid
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fintech_dbclient import Database, HttpDatabase, NotApplied, OutcomeUnknown, Statement
from fintech_kernel.domain import sealing
from fintech_kernel.domain.checkpoints import Signer, open_note
from fintech_kernel.domain.journal import Draft, Stream
from fintech_kernel.domain.leaves import hash_of_leaf
from fintech_kernel.domain.merkle import consistency_holds, inclusion_holds
from fintech_kernel.domain.sealing import Sealer
from fintech_kernel.domain.transparency import (
    TrailFilter,
    TransparencyLog,
    header_line,
    verify_lines,
)
from fintech_kernel.domain.tree_store import KEPT_LEVELS
from fintech_kernel.domain.verification import LogBroken, LogVerifier
from fintech_kernel.errors import InvariantBroken, NotFound
from fintech_kernel.infrastructure import queries
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled

pytestmark = pytest.mark.anyio

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SIGNER = Signer("test.example/audit", KEY)
PUBLIC = SIGNER.verification_key
CALLS_MAX = 13
"""More calls than one pass of a sealer makes."""


def sealer_of(database: Database, clock: FrozenClock | None = None) -> Sealer:
    return Sealer(database=database, clock=clock or FrozenClock(), signer=SIGNER)


async def write(database: Database, count: int, *, object_id: str | None = None) -> list[str]:
    """Append entries to one new stream, ten at once; return their ids."""
    stream = Stream(f"mer_test/{object_id or uuid.uuid4().hex[:12]}")
    while len(stream.entries) < count:
        number = len(stream.entries)
        entries = stream.next_entries(
            [Draft(type="thing.done", data={"number": number + one}) for one in range(10)][
                : count - number
            ],
            step_key=f"op_{uuid.uuid4().hex}:decide",
            actor={"subject": "tester", "roles": ["system"], "merchant_id": ""},
            request_id="",
            occurred_at=1_760_000_000_000 + number,
        )
        await database.execute(queries.append_entries([one.columns() for one in entries]))
        stream = stream.followed_by(entries)
    return [entry.entry_id for entry in stream.entries]


async def rows(database: Database, sql: Any, *params: Any) -> list[dict[str, Any]]:
    result = await database.execute(Statement(name="test", sql=sql, params=params))
    return [dict(row) for row in result.rows]


async def verified(database: Database, **options: Any) -> Any:
    return await TransparencyLog(database).verify(LogVerifier([PUBLIC], **options))


async def export(database: Database) -> list[dict[str, Any]]:
    return [line async for line in TransparencyLog(database).export(PUBLIC)]


@pytest.fixture
async def fresh(database: HttpDatabase) -> HttpDatabase:
    """An empty journal and log."""
    for table in ("audit_log", "audit_nodes", "tree_heads", "journal"):
        await rows(database, f"DELETE FROM {table}")  # noqa: S608 - a name of ours
    return database


@pytest.fixture
async def sealed(fresh: HttpDatabase) -> HttpDatabase:
    """A log of 24 entries under three tree heads."""
    sealer = sealer_of(fresh)
    for number in range(3):
        await write(fresh, 8, object_id=f"thing_{number}")
        await sealer.seal()
    return fresh


async def test_every_entry_gets_one_position_and_every_seal_a_signed_head(
    sealed: HttpDatabase,
) -> None:
    found = await verified(sealed)
    assert (found.size, found.signed_size, found.heads) == (24, 24, 3)
    assert await rows(sealed, "SELECT entry_id FROM journal WHERE sealed = 0") == []
    heads = await TransparencyLog(sealed).heads(before=None, limit=10)
    assert [open_note(one.note, [PUBLIC]).size for one in heads] == [24, 16, 8]


async def test_a_sealer_with_nothing_to_do_signs_nothing_and_writes_nothing(
    sealed: HttpDatabase,
) -> None:
    port = FaultyDatabase(sealed)
    sealer = sealer_of(port)
    await sealer.seal()
    port.calls.clear()
    head = await sealer.seal()
    assert head is not None
    assert head.size == 24
    assert port.calls == [("audit.leaves",), ("journal.unsealed",)]


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(CALLS_MAX))
async def test_a_sealer_struck_at_any_call_leaves_no_gap_and_nothing_twice(
    database: HttpDatabase, fault: Fault, at: int
) -> None:
    written = await write(database, 5)
    struck = sealer_of(FaultyDatabase(database, at=at, fault=fault))
    with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
        await struck.seal()
    healthy = sealer_of(database)
    await healthy.seal()
    with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
        await struck.seal()  # the struck one goes on, with what it remembers
    await healthy.seal()
    found = await verified(database)
    assert found.size == found.signed_size
    for entry_id in written:
        standing = await rows(
            database, "SELECT entry_id FROM audit_log WHERE entry_id = ?", entry_id
        )
        flags = await rows(database, "SELECT sealed FROM journal WHERE entry_id = ?", entry_id)
        assert (len(standing), flags) == (1, [{"sealed": 1}])
    assert (await TransparencyLog(database).beside()).waiting == 0


async def test_many_sealers_at_once_agree(fresh: HttpDatabase) -> None:
    sealers = [sealer_of(fresh) for _ in range(6)]
    for _ in range(4):
        await asyncio.gather(*(write(fresh, 12) for _ in range(3)))
        await asyncio.gather(*(one.seal() for one in sealers))
    found = await verified(fresh)
    assert (found.size, found.signed_size) == (144, 144)


async def test_one_sealer_called_twice_at_once_is_one(fresh: HttpDatabase) -> None:
    sealer = sealer_of(fresh)
    await write(fresh, 20)
    await asyncio.gather(*(sealer.seal() for _ in range(4)))
    assert (await verified(fresh)).size == 20


async def test_an_insert_of_positions_that_arrives_hours_late_changes_nothing(
    fresh: HttpDatabase,
) -> None:
    held: list[Statement] = []

    class Delayed:
        """Keeps the insert of positions on the way."""

        async def execute(self, statement: Statement) -> Any:
            if statement.name == "audit.positions.insert" and not held:
                held.append(statement)
                raise OutcomeUnknown("still on the way")
            return await fresh.execute(statement)

        async def run(self, sequence: Any) -> Any:
            return await fresh.run(sequence)

    await write(fresh, 5)
    with pytest.raises(OutcomeUnknown):
        await sealer_of(Delayed()).seal()  # type: ignore[arg-type]
    await write(fresh, 3)
    await sealer_of(fresh).seal()
    with suppress(Exception):
        await fresh.execute(held[0])
    await sealer_of(fresh).seal()
    assert (await verified(fresh)).size == 8


async def test_a_log_of_many_chunks_is_restored_from_kept_nodes_and_proves_everything(
    fresh: HttpDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEAL_BATCH", 97)
    sealer, sizes = sealer_of(fresh), []
    ids: list[str] = []
    for count in (1, 255, 1, 300, 143):
        ids += await write(fresh, count)
        head = await sealer.seal()
        assert head is not None
        sizes.append(head.size)
    assert sizes == [1, 256, 257, 557, 700]
    assert len(await rows(fresh, "SELECT node_id FROM audit_nodes")) == 700 >> KEPT_LEVELS

    port = FaultyDatabase(fresh)
    await write(fresh, 1)
    await sealer_of(port).seal()
    assert port.calls[1] == ("audit.nodes", "audit.leaf_hashes", "audit.leaf_hashes",
                             "audit.leaf_hashes", "audit.leaf_hashes", "audit.leaf_hashes")  # fmt: skip
    log = TransparencyLog(fresh)
    for entry_id in ids[::67]:
        proof = await log.inclusion(entry_id)
        assert proof.entry.leaf is not None
        assert inclusion_holds(
            leaf=hash_of_leaf(proof.entry.leaf),
            index=proof.entry.position,
            size=701,
            proof=[bytes.fromhex(one) for one in proof.hashes],
            root=open_note(proof.signed.note, [PUBLIC]).root,
        )
    for first in sizes:
        for second in [size for size in (*sizes, 701) if size >= first]:
            grown = await log.consistency(first, second)
            assert consistency_holds(
                first=first,
                first_root=grown.first.head.root,
                second=second,
                second_root=grown.second.head.root,
                proof=[bytes.fromhex(one) for one in grown.hashes],
            )


async def test_lost_inner_nodes_are_computed_anew(fresh: HttpDatabase) -> None:
    ids = await write(fresh, 300)
    await sealer_of(fresh).seal()
    before = await TransparencyLog(fresh).inclusion(ids[280])
    await fresh.execute(Statement(name="test", sql="DELETE FROM audit_nodes"))
    assert (await TransparencyLog(fresh).inclusion(ids[280])).hashes == before.hashes
    await write(fresh, 1)
    await sealer_of(fresh).seal()
    assert (await verified(fresh)).size == 301


async def test_an_older_head_proves_what_it_covers_and_nothing_later(sealed: HttpDatabase) -> None:
    log = TransparencyLog(sealed)
    assert (await log.inclusion("mer_test/thing_0:1", size=8)).entry.position < 8
    with pytest.raises(NotFound):
        await log.inclusion("mer_test/thing_2:8", size=8)
    with pytest.raises(NotFound):
        await log.inclusion("mer_test/thing_0:1", size=9)
    with pytest.raises(NotFound):
        await log.inclusion("mer_test/nothing:1")


async def test_the_trail_is_read_newest_first_in_pages_and_by_every_filter(
    sealed: HttpDatabase,
) -> None:
    log = TransparencyLog(sealed)
    first = await log.trail(where=TrailFilter(), before=None, limit=10)
    second = await log.trail(where=TrailFilter(), before=first[-1].position, limit=100)
    assert [one.position for one in (*first, *second)] == list(range(23, -1, -1))
    for where, count in (
        (TrailFilter(stream_id="mer_test/thing_1"), 8),
        (TrailFilter(merchant_id="mer_test"), 24),
        (TrailFilter(merchant_id="mer_other"), 0),
        (TrailFilter(type="thing.done", subject="tester"), 24),
        (TrailFilter(subject="somebody"), 0),
    ):
        assert len(await log.trail(where=where, before=None, limit=100)) == count


TAMPERED = (
    (
        "a byte is flipped",
        ["""UPDATE journal SET data = '{"number":9}' WHERE entry_id = 'mer_test/thing_1:3'"""],
        "entry mer_test/thing_1:3 at position 10 is not what was sealed there",
    ),
    (
        "a space is added",
        ["""UPDATE journal SET data = '{"number": 2}' WHERE entry_id = 'mer_test/thing_1:3'"""],
        "entry mer_test/thing_1:3 at position 10 is not what was sealed there",
    ),
    (
        "an entry is removed",
        ["DELETE FROM journal WHERE entry_id = 'mer_test/thing_0:5'"],
        "entry mer_test/thing_0:5 at position 4 is gone from the journal",
    ),
    (
        "two rows are swapped",
        [
            "UPDATE audit_log SET position = 100 WHERE position = 9",
            "UPDATE audit_log SET position = 9 WHERE position = 12",
            "UPDATE audit_log SET position = 12 WHERE position = 100",
        ],
        (
            "the tree head of size 16 was signed over other entries: the first that nothing vouches"
            " for is mer_test/thing_1:1 at position 8"
        ),
    ),
    (
        "what two entries say is swapped",
        [
            "UPDATE journal SET data = '{\"number\":4}' WHERE entry_id = 'mer_test/thing_2:4'",
            "UPDATE journal SET data = '{\"number\":3}' WHERE entry_id = 'mer_test/thing_2:5'",
        ],
        "entry mer_test/thing_2:4 at position 19 is not what was sealed there",
    ),
    (
        "a position is removed",
        ["DELETE FROM audit_log WHERE position = 13"],
        "position 13 is missing: the next entry is mer_test/thing_1:7 at 14",
    ),
    (
        "the tail is cut off",
        ["DELETE FROM audit_log WHERE position >= 20"],
        "the tail is cut off: the tree head covers 24 entries and there are 20",
    ),
    (
        "a head is forged",
        ["UPDATE tree_heads SET note = 'test.example/audit' WHERE tree_size = 16"],
        "a tree head behind position 15 is not genuine: a tree head is not a signed checkpoint",
    ),
    (
        "an entry is hidden from a filter",
        ["UPDATE audit_log SET merchant_id = 'mer_other' WHERE position = 6"],
        (
            "entry mer_test/thing_0:7 at position 6 is listed under another merchant, stream, type"
            " or subject than its own"
        ),
    ),
)


@pytest.mark.parametrize(("what", "how", "told"), TAMPERED, ids=[one[0] for one in TAMPERED])
async def test_the_verifier_names_what_was_tampered_with(
    sealed: HttpDatabase, what: str, how: list[Any], told: str
) -> None:
    for sql in how:
        await sealed.execute(Statement(name="test", sql=sql))
    with pytest.raises(LogBroken) as broken:
        await verified(sealed)
    assert broken.value.fault == told


async def test_an_entry_rewritten_with_all_its_hashes_is_found_by_the_head(
    sealed: HttpDatabase,
) -> None:
    stream = "mer_test/thing_1"
    found = await rows(sealed, "SELECT * FROM journal WHERE stream_id = ? ORDER BY seq", stream)
    whole = Stream.from_rows(stream, found)
    (entry,) = Stream(stream, whole.entries[:7]).next_entries(
        [Draft(type="thing.done", data={"number": 1_000_000})],
        step_key=whole.entries[7].step_key,
        actor=whole.entries[7].actor,
        request_id="",
        occurred_at=whole.entries[7].occurred_at,
    )
    leaf = dict(zip(found[7], entry.columns(), strict=False))
    await rows(
        sealed,
        "UPDATE journal SET data = ?, hash = ? WHERE entry_id = ?",
        leaf["data"],
        leaf["hash"],
        entry.entry_id,
    )
    await rows(
        sealed,
        "UPDATE audit_log SET leaf_hash = ? WHERE entry_id = ?",
        hash_of_leaf(leaf).hex(),
        entry.entry_id,
    )
    with pytest.raises(LogBroken) as broken:
        await verified(sealed)
    assert (broken.value.position, broken.value.entry_id) == (8, "mer_test/thing_1:1")
    await write(sealed, 1)
    with pytest.raises(InvariantBroken, match="tree head of size 24"):
        await sealer_of(sealed).seal()


async def test_a_tail_cut_off_with_its_heads_is_found_by_a_pinned_head(
    sealed: HttpDatabase,
) -> None:
    pinned = open_note((await TransparencyLog(sealed).head()).note, [PUBLIC])
    for sql in (
        "DELETE FROM audit_log WHERE position >= 16",
        "DELETE FROM journal WHERE stream_id = 'mer_test/thing_2'",
        "DELETE FROM tree_heads WHERE tree_size > 16",
    ):
        await sealed.execute(Statement(name="test", sql=sql))
    assert (await verified(sealed)).size == 16
    with pytest.raises(LogBroken, match="pinned tree head covers 24 entries and there are 16"):
        await verified(sealed, pinned=[pinned])


async def test_a_log_rewritten_after_a_pinned_head_is_found_by_it(sealed: HttpDatabase) -> None:
    old = open_note((await TransparencyLog(sealed).head(16)).note, [PUBLIC])
    for table in ("audit_log", "audit_nodes", "tree_heads"):
        await sealed.execute(Statement(name="test", sql=f"DELETE FROM {table}"))  # type: ignore[arg-type]  # noqa: S608
    for sql in (
        "UPDATE journal SET sealed = 0",
        "DELETE FROM journal WHERE entry_id = 'mer_test/thing_0:8'",
    ):
        await sealed.execute(Statement(name="test", sql=sql))
    await sealer_of(sealed).seal()
    assert (await verified(sealed)).size == 23
    with pytest.raises(LogBroken, match="pinned tree head of size 16 was signed over other"):
        await verified(sealed, pinned=[old])


async def test_an_entry_put_in_past_the_log_is_named(sealed: HttpDatabase) -> None:
    (entry_id,) = await write(sealed, 1, object_id="smuggled")
    await sealed.execute(Statement(name="test", sql="UPDATE journal SET sealed = 1"))
    with pytest.raises(LogBroken, match="mer_test/smuggled:1 was put into the journal past"):
        await TransparencyLog(sealed).beside()
    assert entry_id == "mer_test/smuggled:1"


async def test_an_entry_changed_before_it_was_sealed_is_named_by_its_own_hash(
    fresh: HttpDatabase,
) -> None:
    await write(fresh, 3, object_id="early")
    sql = """UPDATE journal SET data = '{"number":7}' WHERE entry_id = 'mer_test/early:2'"""
    await fresh.execute(Statement(name="test", sql=sql))  # type: ignore[arg-type]
    await sealer_of(fresh).seal()
    with pytest.raises(LogBroken, match="early:2 at position 1 was changed between its writing"):
        await verified(fresh)


async def test_a_sealer_does_not_continue_a_log_that_another_key_signed(
    sealed: HttpDatabase,
) -> None:
    await write(sealed, 1)
    other = Signer(SIGNER.origin, Ed25519PrivateKey.from_private_bytes(b"o" * 32))
    with pytest.raises(InvariantBroken, match="AUDIT_KEYS_PREVIOUS"):
        await Sealer(database=sealed, clock=FrozenClock(), signer=other).seal()
    rotated = Sealer(database=sealed, clock=FrozenClock(), signer=other, keys_previous=[PUBLIC])
    await rotated.seal()
    with pytest.raises(LogBroken, match="no valid signature"):
        await verified(sealed)
    both = LogVerifier([PUBLIC, other.verification_key])
    assert (await TransparencyLog(sealed).verify(both)).heads == 4


async def test_an_exported_file_verifies_with_the_public_key_alone(sealed: HttpDatabase) -> None:
    lines = await export(sealed)
    assert lines[0] == header_line(PUBLIC)
    found = verify_lines(lines, LogVerifier([PUBLIC]))
    assert (found.size, found.signed_size, found.heads) == (24, 24, 3)


async def test_a_file_of_parts_is_the_same_as_a_whole_one(sealed: HttpDatabase) -> None:
    log = TransparencyLog(sealed)
    parts = [await log.export_page(begin=begin, limit=7) for begin in range(0, 35, 7)]
    assert [line for part in parts for line in part] == (await export(sealed))[1:]


async def test_a_tampered_file_is_named_at_its_first_bad_entry(sealed: HttpDatabase) -> None:
    lines = await export(sealed)

    def fault_of(changed: list[Any]) -> str:
        with pytest.raises(LogBroken) as broken:
            verify_lines(changed, LogVerifier([PUBLIC]))
        return broken.value.fault

    def at(position: int) -> int:
        return next(n for n, line in enumerate(lines) if line.get("position") == position)

    edited = list(lines)
    entry = dict(lines[at(3)]["entry"], request_id="req_forged")
    edited[at(3)] = {**lines[at(3)], "entry": entry}
    assert fault_of(edited) == "entry mer_test/thing_0:4 at position 3 is not what was sealed there"

    edited[at(3)] = {"position": 3, "entry": entry, "leaf_hash": hash_of_leaf(entry).hex()}
    assert "entry mer_test/thing_0:4 at position 3 was changed" in fault_of(edited)

    swapped = list(lines)
    swapped[at(9)], swapped[at(12)] = swapped[at(12)], swapped[at(9)]
    assert fault_of(swapped) == (
        "position 9 is missing: the next entry is mer_test/thing_1:5 at 12"
    )

    inserted = [*lines[: at(5)], lines[at(4)], *lines[at(5) :]]
    assert fault_of(inserted) == "position 5 is missing: the next entry is mer_test/thing_0:5 at 4"

    renumbered = [
        {**line, "position": line["position"] + (number > at(4))} if "position" in line else line
        for number, line in enumerate(inserted)
    ]
    assert fault_of(renumbered) == (
        "entries were put in: the tree head of size 8 stands behind position 8; the first entry that"
        " nothing vouches for is mer_test/thing_0:1 at position 0"
    )

    cut = [line for line in lines if line.get("position", 0) < 20]
    assert fault_of(cut) == "the tail is cut off: the tree head covers 24 entries and there are 20"
    assert fault_of([*lines, "nonsense"]) == "line 29 is no line of an export"
