"""The journal: streams of entries, hash-chained, appended by key.

An entry is a decision made durable: state change, audit record and outgoing event in one row. Its
``entry_id`` (``stream:seq``) is optimistic concurrency by key; its ``step_key``
(``operation:step``) makes a step happen once, whoever runs it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from fintech_dbclient import Database, Row, Statement, Value

from fintech_kernel.canonical import Json, canonical_json, sha256_hex
from fintech_kernel.errors import InvariantBroken, NotFound
from fintech_kernel.infrastructure import queries

GENESIS_HASH: Final = "0" * 64
"""What the first entry of a stream names as its predecessor's hash."""

STREAM_ENTRIES_MAX: Final = 1_000
"""Entries from which on a stream takes no new operation: it is read whole before each append.

Operations that have begun still end: what they append behind this is bounded by their number.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry before it has a place: what happened, without when and where.

    ``event`` is what ``data`` was made of, where a codec made it.
    """

    type: str
    data: Mapping[str, Json]
    event: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A journal row as it stands. ``data`` is the stored JSON, decoded.

    Of one that was written here a moment ago, ``texts`` are the stored forms of ``data`` and ``actor``, and
    ``event`` is what ``data`` was made of: neither is worked out again.
    """

    entry_id: str
    step_key: str
    stream_id: str
    seq: int
    type: str
    data: Mapping[str, Any]
    actor: Mapping[str, Any]
    request_id: str
    occurred_at: int
    previous_hash: str
    hash: str
    texts: tuple[str, str] | None = field(default=None, compare=False, repr=False)
    event: object = field(default=None, compare=False, repr=False)

    @classmethod
    def from_row(cls, row: Row) -> "Entry":
        """Decode a row."""
        return cls(
            entry_id=_text(row, "entry_id"),
            step_key=_text(row, "step_key"),
            stream_id=_text(row, "stream_id"),
            seq=_number(row, "seq"),
            type=_text(row, "type"),
            data=orjson.loads(_text(row, "data")),
            actor=orjson.loads(_text(row, "actor")),
            request_id=_text(row, "request_id"),
            occurred_at=_number(row, "occurred_at"),
            previous_hash=_text(row, "previous_hash"),
            hash=_text(row, "hash"),
        )

    @property
    def merchant_id(self) -> str:
        """The merchant in whose stream this stands; empty for the platform's."""
        return self.stream_id.partition("/")[0]

    @property
    def object_id(self) -> str:
        """The object that the stream is about."""
        return self.stream_id.partition("/")[2]

    @property
    def operation_id(self) -> str:
        """The operation that wrote it."""
        return self.step_key.partition(":")[0]

    def columns(self) -> tuple[Value, ...]:
        """Return the values of a row, in the order of the insert."""
        data, actor = self.texts or (canonical_json(self.data), canonical_json(self.actor))
        return (
            self.entry_id,
            self.step_key,
            self.stream_id,
            self.seq,
            self.type,
            data,
            actor,
            self.request_id,
            self.occurred_at,
            self.previous_hash,
            self.hash,
        )

    def computed_hash(self) -> str:
        """Return the hash that this entry must carry: over its place, content and predecessor."""
        return _hash_of(
            (self.entry_id, self.step_key, self.type),
            (canonical_json(self.data), canonical_json(self.actor)),
            (self.request_id, self.occurred_at, self.previous_hash),
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """All entries of one object, in order."""

    stream_id: str
    entries: tuple[Entry, ...] = ()

    @classmethod
    def from_rows(cls, stream_id: str, rows: Iterable[Row]) -> "Stream":
        """Order rows and check that they are this stream's, positions dense, and hashes chained.

        Hashes cover ``entry_id``, so ``stream_id`` and ``seq`` must say the same as it does.

        Raises:
            InvariantBroken: another stream's entry, a gap, or a link that does not hold.
        """
        entries = tuple(sorted((Entry.from_row(row) for row in rows), key=lambda entry: entry.seq))
        previous = GENESIS_HASH
        for position, entry in enumerate(entries, start=1):
            is_here = entry.entry_id == f"{stream_id}:{position}" and entry.seq == position
            if not is_here or entry.previous_hash != previous:
                raise InvariantBroken(f"stream {stream_id} breaks at position {position}")
            previous = entry.hash
        return cls(stream_id, entries)

    @property
    def exists(self) -> bool:
        """Whether anything was ever written to it."""
        return bool(self.entries)

    def step(self, step_key: str) -> tuple[Entry, ...]:
        """Return the entries that a step wrote (``step_key`` and ``step_key:1``, ...)."""
        more = f"{step_key}:"
        return tuple(
            entry
            for entry in self.entries
            if entry.step_key == step_key
            or (entry.step_key.startswith(more) and entry.step_key[len(more) :].isdigit())
        )

    @property
    def is_full(self) -> bool:
        """Whether no new operation may begin on it."""
        return len(self.entries) >= STREAM_ENTRIES_MAX

    def has_operation(self, operation_id: str) -> bool:
        """Whether an operation wrote to it."""
        return any(entry.operation_id == operation_id for entry in self.entries)

    def followed_by(self, entries: Sequence[Entry]) -> "Stream":
        """Return the stream with entries behind its head."""
        return Stream(self.stream_id, (*self.entries, *entries))

    def until(self, entry: Entry) -> "Stream":
        """Return the stream as it was when ``entry`` had just been written: it never changes again."""
        return Stream(self.stream_id, self.entries[: entry.seq])

    def verified(self) -> "Stream":
        """Return this stream after recomputing every hash.

        Raises:
            InvariantBroken: an entry was changed after it was written.
        """
        for entry in self.entries:
            if entry.hash != entry.computed_hash():
                raise InvariantBroken(f"entry {entry.entry_id} does not match its hash")
        return self

    def next_entries(
        self,
        drafts: Sequence[Draft],
        *,
        step_key: str,
        actor: Mapping[str, Json],
        request_id: str,
        occurred_at: int,
    ) -> tuple[Entry, ...]:
        """Give drafts their places behind the head, chained.

        Raises:
            InvariantBroken: no drafts.
        """
        if not drafts:
            raise InvariantBroken(f"step {step_key} decided nothing")
        previous = self.entries[-1].hash if self.entries else GENESIS_HASH
        placed: list[Entry] = []
        actor_text = canonical_json(actor)
        for index, draft in enumerate(drafts):
            seq = len(self.entries) + index + 1
            entry_id = f"{self.stream_id}:{seq}"
            key = step_key if index == 0 else f"{step_key}:{index}"
            texts = (canonical_json(draft.data), actor_text)
            entry_hash = _hash_of(
                (entry_id, key, draft.type), texts, (request_id, occurred_at, previous)
            )
            placed.append(
                Entry(
                    entry_id=entry_id,
                    step_key=key,
                    stream_id=self.stream_id,
                    seq=seq,
                    type=draft.type,
                    data=draft.data,
                    actor=actor,
                    request_id=request_id,
                    occurred_at=occurred_at,
                    previous_hash=previous,
                    hash=entry_hash,
                    texts=texts,
                    event=draft.event,
                )
            )
            previous = entry_hash
        return tuple(placed)


def stream_id_of(merchant_id: str, object_id: str) -> str:
    """Return the id of an object's stream: a foreign object is simply an absent stream."""
    return f"{merchant_id}/{object_id}"


def stream_statement(merchant_id: str, object_id: str) -> Statement:
    """Return the statement that reads a stream: what a handler's ``opening`` asks for."""
    return queries.entries_of_stream(stream_id_of(merchant_id, object_id))


class Journal:
    """Reads streams. Appending belongs to operations, which own the steps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, merchant_id: str, object_id: str) -> Sequence[Row]:
        """Return the rows of an object's stream, as they stand and in any order."""
        result = await self._database.execute(stream_statement(merchant_id, object_id))
        return result.rows

    async def stream(self, merchant_id: str, object_id: str) -> Stream:
        """Return an object's stream; empty where there is none."""
        rows = await self.rows(merchant_id, object_id)
        return Stream.from_rows(stream_id_of(merchant_id, object_id), rows)

    async def existing(self, merchant_id: str, object_id: str) -> Stream:
        """Return an object's stream.

        Raises:
            NotFound: there is no such object of this merchant.
        """
        stream = await self.stream(merchant_id, object_id)
        if not stream.exists:
            raise NotFound
        return stream


def hash_of_stored(row: Row) -> str:
    """Return the hash that a row must carry, over its data and actor as they are stored.

    What is stored was written in its canonical form, so there is nothing to decode; any other form of the
    same values is an edit, and does not match.

    Raises:
        InvariantBroken: a column is not of its type.
    """
    return _hash_of(
        (_text(row, "entry_id"), _text(row, "step_key"), _text(row, "type")),
        (_text(row, "data"), _text(row, "actor")),
        (_text(row, "request_id"), _number(row, "occurred_at"), _text(row, "previous_hash")),
    )


def _hash_of(before: Sequence[Json], texts: tuple[str, str], behind: Sequence[Json]) -> str:
    """Return the hash over an entry's place, content and predecessor: one array, in this order.

    An array's canonical form is its members' forms between brackets; data and actor have theirs already.
    """
    data, actor = texts
    content = f"{canonical_json(before)[:-1]},{data},{actor},{canonical_json(behind)[1:]}"
    return sha256_hex(content)


def _text(row: Row, column: str) -> str:
    value = row[column]
    if not isinstance(value, str):
        raise InvariantBroken(f"journal.{column} is not text")
    return value


def _number(row: Row, column: str) -> int:
    value = row[column]
    if not isinstance(value, int):
        raise InvariantBroken(f"journal.{column} is not a number")
    return value
