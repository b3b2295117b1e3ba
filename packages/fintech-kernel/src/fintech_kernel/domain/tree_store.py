"""Inner nodes of the tree in a table, so that a proof reads a few hundred rows and not the whole log.

Kept are the roots of complete subtrees of 2**8, 2**16, 2**24 ... leaves. They follow from the leaves and
are a cache: a lost one is computed anew, and a wrong one gives no proof that anybody would accept.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from fintech_dbclient import Database, Statement, UniqueViolation

from fintech_kernel.domain.merkle import (
    Leaves,
    Node,
    RightEdge,
    hash_of,
    node_hash,
    root_of,
    subtrees,
)
from fintech_kernel.infrastructure import audit_queries

KEPT_LEVELS: Final = 8
"""Every so many levels of the tree one is kept."""

INDEX_BITS: Final = 48
"""A node's id is its level above its index."""


class TreeStore:
    """Keeps inner nodes and finds the hashes of subtrees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, completed: Sequence[tuple[Node, bytes]]) -> None:
        """Keep what a growing tree completed; what is kept already stays as it is."""
        rows = {
            node_id(node): top.hex() for node, top in completed if node.level % KEPT_LEVELS == 0
        }
        if not rows:
            return
        try:
            await self._database.execute(_insert(rows))
        except UniqueViolation:
            for identifier, top in rows.items():
                try:
                    await self._database.execute(_insert({identifier: top}))
                except UniqueViolation:
                    continue

    async def edge(self, size: int) -> RightEdge | None:
        """Return the right edge of the first ``size`` leaves; None where leaves are missing."""
        wanted = tuple(subtrees((0, size)))
        found = await self.hashes(wanted)
        if found.keys() != set(wanted):
            return None
        return RightEdge(size, [found[node] for node in wanted])

    async def range_hashes(self, ranges: Sequence[Leaves]) -> list[bytes] | None:
        """Return the hashes of ranges of leaves; None where leaves are missing."""
        wanted = {node for leaves in ranges for node in subtrees(leaves)}
        found = await self.hashes(wanted)
        if found.keys() != wanted:
            return None
        return [hash_of(leaves, found.__getitem__) for leaves in ranges]

    async def hashes(self, wanted: Collection[Node]) -> dict[Node, bytes]:
        """Return hashes of complete subtrees: one trip where what they rest on is kept.

        A node that cannot be read is computed from the two below it; what is absent in the end rests on
        leaves that are absent.
        """
        found = await self._read(wanted)
        lost = [node for node in wanted if node not in found and node.level >= KEPT_LEVELS]
        if lost:
            below = await self.hashes([child for node in lost for child in _children(node)])
            for node in lost:
                left, right = _children(node)
                if left in below and right in below:
                    found[node] = node_hash(below[left], below[right])
        return found

    async def _read(self, wanted: Collection[Node]) -> dict[Node, bytes]:
        """Read each node from the nearest level below it that is kept, all in one trip."""
        if not wanted:
            return {}
        order = list(wanted)
        results = await self._database.run([_kept_below(node) for node in order])
        found: dict[Node, bytes] = {}
        for node, result in zip(order, results, strict=True):
            hashes = [bytes.fromhex(str(row["hash"])) for row in result.unwrap().rows]
            if len(hashes) == 1 << node.level % KEPT_LEVELS:
                found[node] = root_of(hashes)
        return found


def node_id(node: Node) -> int:
    """Return the key of a kept node."""
    return (node.level << INDEX_BITS) | node.index


def _kept_below(node: Node) -> Statement:
    """Return the statement that reads what a node is joined from: up to 2**7 hashes, in order."""
    height = node.level % KEPT_LEVELS
    level, begin, end = node.level - height, node.index << height, (node.index + 1) << height
    if level == 0:
        return audit_queries.leaf_hashes(begin=begin, end=end)
    return audit_queries.nodes(
        begin=node_id(Node(level, begin)), end=node_id(Node(level, begin)) + end - begin
    )


def _children(node: Node) -> tuple[Node, Node]:
    return Node(node.level - 1, node.index * 2), Node(node.level - 1, node.index * 2 + 1)


def _insert(rows: Mapping[int, str]) -> Statement:
    return audit_queries.insert_nodes(list(rows.items()))
