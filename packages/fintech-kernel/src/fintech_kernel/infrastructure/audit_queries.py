"""SQL of the transparency log: positions, inner nodes, tree heads, and the trail as it is read.

What is not here: writing the journal, which belongs to operations (``queries``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

ENTRY_COLUMNS: Final = (
    "entry_id",
    "step_key",
    "stream_id",
    "seq",
    "type",
    "data",
    "actor",
    "request_id",
    "occurred_at",
    "previous_hash",
    "hash",
)
"""Columns of a journal row that a leaf covers: all but the flags."""

_ENTRY: Final = (
    "j.entry_id, j.step_key, j.stream_id, j.seq, j.type, j.data, j.actor, j.request_id,"
    " j.occurred_at, j.previous_hash, j.hash"
)
_SEALED: Final = (
    "a.position, a.leaf_hash, a.entry_id AS sealed_id, a.merchant_id AS sealed_merchant,"
    " a.stream_id AS sealed_stream, a.type AS sealed_type, a.subject AS sealed_subject"
)
_HEAD: Final = "tree_size, root_hash, signed_at, note"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """What a list of the trail is narrowed to; None leaves a condition out."""

    stream_id: str | None = None
    merchant_id: str | None = None
    type: str | None = None
    subject: str | None = None


def unsealed_entries(limit: int) -> Statement:
    """Read entries without a position that is known of, oldest first."""
    return Statement(
        name="journal.unsealed",
        sql="SELECT " + _ENTRY + " FROM journal j WHERE j.sealed = 0"
        " ORDER BY j.occurred_at, j.entry_id LIMIT ?",
        params=(limit,),
    )


def mark_sealed(entry_ids: Sequence[str]) -> Statement:
    """Set the flag of entries; it is never reset."""
    return Statement(
        name="journal.mark_sealed",
        sql="UPDATE journal SET sealed = 1 WHERE entry_id IN ("
        + repeated("?", len(entry_ids))
        + ")",
        params=tuple(entry_ids),
    )


def insert_positions(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Give entries their positions: all or none."""
    return Statement(
        name="audit.positions.insert",
        sql="INSERT INTO audit_log"
        " (position, entry_id, leaf_hash, merchant_id, stream_id, type, subject) VALUES "
        + repeated("(?, ?, ?, ?, ?, ?, ?)", len(rows)),
        params=tuple(value for row in rows for value in row),
    )


def leaves(*, begin: int, end: int) -> Statement:
    """Read hashes of leaves by position."""
    return Statement(
        name="audit.leaves",
        sql="SELECT position, leaf_hash FROM audit_log WHERE position >= ? AND position < ?"
        " ORDER BY position",
        params=(begin, end),
    )


def leaf_hashes(*, begin: int, end: int) -> Statement:
    """Read hashes of leaves by position, as hashes of the lowest nodes."""
    return Statement(
        name="audit.leaf_hashes",
        sql="SELECT leaf_hash AS hash FROM audit_log WHERE position >= ? AND position < ?"
        " ORDER BY position",
        params=(begin, end),
    )


def positions_of(entry_ids: Sequence[str]) -> Statement:
    """Read which of these entries have positions."""
    return Statement(
        name="audit.positions.of",
        sql="SELECT position, entry_id, leaf_hash FROM audit_log WHERE entry_id IN ("
        + repeated("?", len(entry_ids))
        + ")",
        params=tuple(entry_ids),
    )


def insert_nodes(rows: Sequence[tuple[int, str]]) -> Statement:
    """Keep inner nodes: all or none. They follow from the leaves; everybody writes the same."""
    return Statement(
        name="audit.nodes.insert",
        sql="INSERT INTO audit_nodes (node_id, hash) VALUES " + repeated("(?, ?)", len(rows)),
        params=tuple(value for row in rows for value in row),
    )


def nodes(*, begin: int, end: int) -> Statement:
    """Read inner nodes by their ids."""
    return Statement(
        name="audit.nodes",
        sql="SELECT hash FROM audit_nodes WHERE node_id >= ? AND node_id < ? ORDER BY node_id",
        params=(begin, end),
    )


def insert_head(*, size: int, root_hash: str, signed_at: int, note: str) -> Statement:
    """Publish a tree head; the first of a size stands."""
    return Statement(
        name="audit.heads.insert",
        sql="INSERT INTO tree_heads (tree_size, root_hash, signed_at, note) VALUES (?, ?, ?, ?)",
        params=(size, root_hash, signed_at, note),
    )


def head_of_size(size: int) -> Statement:
    """Read the tree head of a size."""
    return Statement(
        name="audit.heads.by_size",
        sql="SELECT " + _HEAD + " FROM tree_heads WHERE tree_size = ?",
        params=(size,),
    )


def latest_head() -> Statement:
    """Read the tree head of the longest log."""
    return Statement(
        name="audit.heads.latest",
        sql="SELECT " + _HEAD + " FROM tree_heads ORDER BY tree_size DESC LIMIT 1",
    )


def heads_before(*, size: int, limit: int) -> Statement:
    """Read tree heads below a size, longest first."""
    return Statement(
        name="audit.heads.before",
        sql="SELECT " + _HEAD + " FROM tree_heads WHERE tree_size < ?"
        " ORDER BY tree_size DESC LIMIT ?",
        params=(size, limit),
    )


def heads_within(*, begin: int, end: int) -> Statement:
    """Read tree heads of sizes in (begin, end], shortest first."""
    return Statement(
        name="audit.heads.within",
        sql="SELECT " + _HEAD + " FROM tree_heads WHERE tree_size > ? AND tree_size <= ?"
        " ORDER BY tree_size",
        params=(begin, end),
    )


def sealed_entries(*, begin: int, end: int) -> Statement:
    """Read positions with the entries that stand there now, if they do."""
    return Statement(
        name="audit.sealed_entries",
        sql="SELECT "
        + _SEALED
        + ", "
        + _ENTRY
        + " FROM audit_log a LEFT JOIN journal j ON j.entry_id = a.entry_id"
        " WHERE a.position >= ? AND a.position < ? ORDER BY a.position",
        params=(begin, end),
    )


def sealed_entry(entry_id: str) -> Statement:
    """Read one entry with its position."""
    return Statement(
        name="audit.sealed_entry",
        sql="SELECT "
        + _SEALED
        + ", "
        + _ENTRY
        + " FROM audit_log a INNER JOIN journal j ON j.entry_id = a.entry_id WHERE a.entry_id = ?",
        params=(entry_id,),
    )


def trail(*, where: TrailFilter, before: int, limit: int) -> Statement:
    """Read sealed entries below a position, newest first (platform scope)."""
    conditions, params = _conditions(where)
    return Statement(
        name="audit.trail",
        sql="SELECT "
        + _SEALED
        + ", "
        + _ENTRY
        + " FROM audit_log a INNER JOIN journal j ON j.entry_id = a.entry_id"
        " WHERE a.position < ?" + conditions + " ORDER BY a.position DESC LIMIT ?",
        params=(before, *params, limit),
    )


def entries_beside_log(*, after: str, limit: int) -> Statement:
    """Read journal entries by id with the positions that they have, if any."""
    return Statement(
        name="audit.beside_log",
        sql="SELECT j.entry_id, j.sealed, j.occurred_at, a.position"
        " FROM journal j LEFT JOIN audit_log a ON a.entry_id = j.entry_id"
        " WHERE j.entry_id > ? ORDER BY j.entry_id LIMIT ?",
        params=(after, limit),
    )


def _conditions(where: TrailFilter) -> tuple[LiteralString, Sequence[Value]]:
    given: tuple[tuple[LiteralString, str | None], ...] = (
        (" AND a.stream_id = ?", where.stream_id),
        (" AND a.merchant_id = ?", where.merchant_id),
        (" AND a.type = ?", where.type),
        (" AND a.subject = ?", where.subject),
    )
    conditions: LiteralString = ""
    params: list[Value] = []
    for condition, value in given:
        if value is not None:
            conditions += condition
            params.append(value)
    return conditions, params
