"""The transparency log as its readers see it: the trail, tree heads, proofs, export, verification.

Proofs are for a signed tree head, never for what is not signed yet. What does not live here: giving
positions (``sealing``) and checking without a database (``verification``, ``merkle``).
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard, cast

from fintech_dbclient import Database, Row

from fintech_kernel.canonical import Json
from fintech_kernel.domain.checkpoints import TreeHead, VerificationKey, read_note
from fintech_kernel.domain.leaves import SEALED_HINTS, Leaf, hints_of, leaf_of
from fintech_kernel.domain.merkle import RightEdge, consistency_ranges, inclusion_ranges
from fintech_kernel.domain.tree_store import TreeStore
from fintech_kernel.domain.verification import LogBroken, LogVerifier, Verified
from fintech_kernel.errors import InvariantBroken, NotFound
from fintech_kernel.infrastructure import audit_queries
from fintech_kernel.infrastructure.audit_queries import TrailFilter

POSITION_MAX: Final = 2**63 - 1
PAGE_ROWS: Final = 500
"""Rows of one read while a log is walked."""

PAGES_AT_ONCE: Final = 1_000
"""Pages between two looks at the latest tree head while a whole log is verified."""

EXPORT_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry:
    """A position with the entry that stands there; ``leaf`` is None where the journal has lost it."""

    position: int
    entry_id: str
    leaf_hash: str
    leaf: Leaf | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A tree head and the note that proves it."""

    head: TreeHead
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """That an entry stands at its position, for whoever holds the signed head."""

    entry: SealedEntry
    signed: SignedHead
    hashes: Sequence[str]

    def to_json(self) -> dict[str, Json]:
        """Return it as the API and the command line show it."""
        return {
            "entry_id": self.entry.entry_id,
            "position": self.entry.position,
            "leaf_hash": self.entry.leaf_hash,
            "tree_size": self.signed.head.size,
            "root_hash": self.signed.head.root.hex(),
            "hashes": list(self.hashes),
            "tree_head": self.signed.note,
            "entry": self.entry.leaf,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof:
    """That the first head's log is the beginning of the second's."""

    first: SignedHead
    second: SignedHead
    hashes: Sequence[str]

    def to_json(self) -> dict[str, Json]:
        """Return it as the API and the command line show it."""
        return {
            "from": self.first.head.size,
            "to": self.second.head.size,
            "hashes": list(self.hashes),
            "from_tree_head": self.first.note,
            "to_tree_head": self.second.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Journal entries that have no position yet."""

    waiting: int
    oldest_at: int | None


class TransparencyLog:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = TreeStore(database)

    async def trail(
        self, *, where: TrailFilter, before: int | None, limit: int
    ) -> list[SealedEntry]:
        """Return sealed entries newest first, below the position ``before``."""
        result = await self._database.execute(
            audit_queries.trail(
                where=where, before=POSITION_MAX if before is None else before, limit=limit
            )
        )
        return [_sealed_entry(row) for row in result.rows]

    async def heads(self, *, before: int | None, limit: int) -> list[SignedHead]:
        """Return tree heads, longest first, below the size ``before``."""
        size = POSITION_MAX if before is None else before
        result = await self._database.execute(audit_queries.heads_before(size=size, limit=limit))
        return [_signed_head(row) for row in result.rows]

    async def head(self, size: int | None = None) -> SignedHead:
        """Return the tree head of a size, or the latest.

        Raises:
            NotFound: there is none.
        """
        statement = (
            audit_queries.latest_head() if size is None else audit_queries.head_of_size(size)
        )
        result = await self._database.execute(statement)
        if not result.rows:
            raise NotFound
        return _signed_head(result.rows[0])

    async def inclusion(self, entry_id: str, *, size: int | None = None) -> InclusionProof:
        """Prove that an entry, named by id or position, is in the log that a tree head signed.

        Raises:
            NotFound: there is no such entry or head, or the head is older than the entry.
            InvariantBroken: the log lost leaves.
        """
        signed = await self.head(size)
        result = await self._database.execute(
            audit_queries.sealed_entries(begin=int(entry_id), end=int(entry_id) + 1)
            if entry_id.isdecimal()
            else audit_queries.sealed_entry(entry_id)
        )
        if not result.rows:
            raise NotFound
        entry = _sealed_entry(result.rows[0])
        if entry.position >= signed.head.size:
            raise NotFound
        ranges = inclusion_ranges(entry.position, signed.head.size)
        return InclusionProof(entry=entry, signed=signed, hashes=await self._hashes(ranges))

    async def consistency(self, first: int, second: int) -> ConsistencyProof:
        """Prove that the log of one tree head continues that of an earlier one.

        Raises:
            NotFound: there are no such heads.
            ValueError: not 0 < first <= second.
            InvariantBroken: the log lost leaves.
        """
        ranges = consistency_ranges(first, second)
        heads = [await self.head(size) for size in (first, second)]
        return ConsistencyProof(first=heads[0], second=heads[1], hashes=await self._hashes(ranges))

    async def export_page(self, *, begin: int, limit: int) -> list[dict[str, Json]]:
        """Return lines of an export: entries from a position on, and the heads behind them."""
        heads, entries = await self._walk(begin, begin + limit)
        lines: list[dict[str, Json]] = []
        for row in entries:
            entry = _sealed_entry(row)
            lines.append(
                {"position": entry.position, "leaf_hash": entry.leaf_hash, "entry": entry.leaf}
            )
            while heads and heads[0]["tree_size"] == entry.position + 1:
                lines.append({"head": heads.pop(0)["note"]})
        lines.extend({"head": row["note"]} for row in heads)
        return lines

    async def export(self, key: VerificationKey) -> AsyncIterator[dict[str, Json]]:
        """Yield every line of a whole export: the log's name and key, then entries and heads."""
        yield header_line(key)
        begin = 0
        while page := await self.export_page(begin=begin, limit=PAGE_ROWS):
            for line in page:
                yield line
            begin += PAGE_ROWS

    async def verify(self, verifier: LogVerifier) -> Verified:
        """Give the verifier the whole log as it stands; sealers may go on beside it.

        Raises:
            LogBroken: at the first thing that is wrong.
        """
        while not await self.verify_part(verifier, pages_max=PAGES_AT_ONCE):
            pass
        return verifier.end()

    async def verify_part(self, verifier: LogVerifier, *, pages_max: int) -> bool:
        """Give the verifier some pages behind what it has; return whether that was all.

        Raises:
            LogBroken: at the first thing that is wrong.
        """
        latest = await self._database.execute(audit_queries.latest_head())
        for _ in range(pages_max):
            begin = verifier.size
            heads, entries = await self._walk(begin, begin + PAGE_ROWS)
            for row in entries:
                entry = _sealed_entry(row)
                _check_hints(row, entry)
                verifier.entry(
                    position=entry.position,
                    entry_id=entry.entry_id,
                    leaf=entry.leaf,
                    stored_hash=entry.leaf_hash,
                )
                while heads and heads[0]["tree_size"] == entry.position + 1:
                    verifier.head(str(heads.pop(0)["note"]))
            for row in heads:
                verifier.head(str(row["note"]))
            if len(entries) < PAGE_ROWS:
                if latest.rows and int(str(latest.rows[0]["tree_size"])) > verifier.size:
                    verifier.head(str(latest.rows[0]["note"]))
                return True
        return False

    async def edge(self, head: TreeHead) -> RightEdge:
        """Return the right edge of the log that a genuine tree head covers.

        Raises:
            LogBroken: the head was signed over other entries.
        """
        edge = await self._store.edge(head.size)
        if edge is None or edge.root() != head.root:
            raise LogBroken(
                f"the tree head of size {head.size} was signed over other entries", position=0
            )
        return edge

    async def beside(self) -> Beside:
        """Return what waits for a position.

        Raises:
            LogBroken: an entry says that it is sealed and has no position: it was put in from outside.
        """
        waiting, oldest, after = 0, None, ""
        while True:
            result = await self._database.execute(
                audit_queries.entries_beside_log(after=after, limit=PAGE_ROWS)
            )
            for row in result.rows:
                after = str(row["entry_id"])
                if row["position"] is not None:
                    continue
                if row["sealed"]:
                    raise LogBroken(
                        f"entry {after} was put into the journal past the log: it is marked sealed"
                        " and has no position",
                        position=POSITION_MAX,
                        entry_id=after,
                    )
                waiting += 1
                written_at = int(str(row["occurred_at"]))
                oldest = written_at if oldest is None else min(oldest, written_at)
            if len(result.rows) < PAGE_ROWS:
                return Beside(waiting=waiting, oldest_at=oldest)

    async def _walk(self, begin: int, end: int) -> tuple[list[Row], tuple[Row, ...]]:
        """Read the heads that end in a part of the log, then its entries: what heads cover is there."""
        heads, entries = await self._database.run(
            [
                audit_queries.heads_within(begin=begin, end=end),
                audit_queries.sealed_entries(begin=begin, end=end),
            ]
        )
        return list(heads.unwrap().rows), entries.unwrap().rows

    async def _hashes(self, ranges: Sequence[tuple[int, int]]) -> list[str]:
        hashes = await self._store.range_hashes(ranges)
        if hashes is None:
            raise InvariantBroken("the log lost leaves: run `fintech audit verify`")
        return [one.hex() for one in hashes]


def verify_lines(lines: Iterable[object], verifier: LogVerifier) -> Verified:
    """Give the verifier an exported log, line by line.

    Raises:
        LogBroken: at the first thing that is wrong, a line that is none of an export included.
    """
    for number, line in enumerate(lines, start=1):
        given: Mapping[str, object] = (
            cast("Mapping[str, object]", line) if isinstance(line, dict) else {}
        )
        entry = given.get("entry")
        match given:
            case {"log": _} if number == 1:
                continue
            case {"position": int(position), "leaf_hash": str(leaf_hash)} if _is_leaf(entry):
                verifier.entry(
                    position=position,
                    entry_id=str(entry.get("entry_id", "")),
                    leaf=entry,
                    stored_hash=leaf_hash,
                )
            case {"head": str(note)}:
                verifier.head(note)
            case _:
                raise LogBroken(f"line {number} is no line of an export", position=verifier.size)
    return verifier.end()


def _is_leaf(value: object) -> TypeGuard[Leaf]:
    return isinstance(value, dict)


def header_line(key: VerificationKey) -> dict[str, Json]:
    """Return the first line of an export."""
    return {"log": {"format": EXPORT_FORMAT, "origin": key.origin, "key": str(key)}}


def _sealed_entry(row: Row) -> SealedEntry:
    return SealedEntry(
        position=int(str(row["position"])),
        entry_id=str(row["sealed_id"]),
        leaf_hash=str(row["leaf_hash"]),
        leaf=None if row["entry_id"] is None else leaf_of(row),
    )


def _signed_head(row: Row) -> SignedHead:
    note = str(row["note"])
    return SignedHead(head=read_note(note), note=note)


def _check_hints(row: Row, entry: SealedEntry) -> None:
    """Check that a position is found by the filters that its entry answers to.

    Raises:
        LogBroken: somebody hid it from a filter.
    """
    if entry.leaf is None:
        return
    hints = hints_of(entry.leaf)
    if any(row[sealed] != hints[name] for sealed, name in SEALED_HINTS):
        raise LogBroken(
            f"entry {entry.entry_id} at position {entry.position} is listed under another"
            " merchant, stream, type or subject than its own",
            position=entry.position,
            entry_id=entry.entry_id,
        )
