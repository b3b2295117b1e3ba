"""What a leaf of the transparency log covers: one journal row, byte for byte as it is stored.

``data`` and ``actor`` enter as the texts that they are in the table, so that no edit is too small to be
seen. The flags ``dispatched`` and ``sealed`` are no part of it: they change.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import rfc8785
from fintech_dbclient import Row

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.domain import merkle
from fintech_kernel.domain.journal import hash_of_stored
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.infrastructure.audit_queries import ENTRY_COLUMNS

Leaf: TypeAlias = Mapping[str, Json]
"""The columns of a journal row that a leaf covers."""

SEALED_HINTS: Final = (
    ("sealed_merchant", "merchant_id"),
    ("sealed_stream", "stream_id"),
    ("sealed_type", "type"),
    ("sealed_subject", "subject"),
)
"""Columns of a position that repeat an entry's, so that the trail can be filtered by an index."""


def leaf_of(row: Row) -> Leaf:
    """Return the part of a row that a leaf covers."""
    return {column: row[column] for column in ENTRY_COLUMNS}


def leaf_text(leaf: Leaf) -> str:
    """Return a leaf's bytes as text: its RFC 8785 form.

    Raises:
        InvariantBroken: it has none (a number beyond 2**53, a lone surrogate): nobody of us wrote it.
    """
    try:
        return canonical_json(leaf)
    except rfc8785.CanonicalizationError as error:
        raise InvariantBroken(f"entry {leaf.get('entry_id')} has no canonical form") from error


def hash_of_leaf(leaf: Leaf) -> bytes:
    """Return the hash of a leaf.

    Raises:
        InvariantBroken: see ``leaf_text``.
    """
    return merkle.leaf_hash(leaf_text(leaf).encode())


def keeps_its_hash(leaf: Leaf) -> bool:
    """Whether an entry carries the hash over its own content: else it was changed after it was written."""
    try:
        return leaf["hash"] == hash_of_stored(cast("Row", leaf))
    except (InvariantBroken, rfc8785.CanonicalizationError):
        return False


def hints_of(leaf: Leaf) -> dict[str, str]:
    """Return the columns by which the trail is filtered, of an entry."""
    stream_id = str(leaf["stream_id"])
    return {
        "merchant_id": stream_id.partition("/")[0],
        "stream_id": stream_id,
        "type": str(leaf["type"]),
        "subject": _subject(str(leaf["actor"])),
    }


def _subject(actor: str) -> str:
    try:
        found: Any = json.loads(actor)
    except ValueError:
        return ""
    return str(found.get("subject", "")) if isinstance(found, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - JSON
