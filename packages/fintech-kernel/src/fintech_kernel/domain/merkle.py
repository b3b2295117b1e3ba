"""Merkle trees as RFC 9162 (section 2.1) has them: hashes, proofs, and the right edge of a growing tree.

Pure arithmetic on hashes. Where the hashes come from (a table, a file, memory) is the caller's: a proof
is first a list of ranges of leaves, each range is a few complete subtrees, and those can be fetched all
at once.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"
"""Different prefixes: no leaf can pass for a node (RFC 9162, 2.1.1)."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Leaves: TypeAlias = tuple[int, int]
"""A range of leaves: from the first, up to and without the second."""


@dataclass(frozen=True, slots=True)
class Node:
    """A complete subtree: it covers the leaves from ``index << level``, ``1 << level`` of them."""

    level: int
    index: int


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(LEAF_PREFIX + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


class RightEdge:
    """A tree that grows at its end and keeps only the roots of its complete subtrees: log2(size) hashes."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """Take the hashes of ``subtrees(0, size)``, largest first."""
        self.size = size
        self._edge = list(edge)

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Add a leaf's hash; return the subtrees that it completed, the leaf itself left out."""
        completed: list[tuple[Node, bytes]] = []
        level, index, top = 0, self.size, leaf
        while index & 1:
            top = node_hash(self._edge.pop(), top)
            level, index = level + 1, index >> 1
            completed.append((Node(level, index), top))
        self._edge.append(top)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        return joined(self._edge)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over hashes of leaves."""
    edge = RightEdge()
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()


def joined(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over neighbouring subtrees of falling size."""
    if not hashes:
        return EMPTY_ROOT
    top = hashes[-1]
    for left in reversed(hashes[:-1]):
        top = node_hash(left, top)
    return top


def subtrees(leaves: Leaves) -> Iterator[Node]:
    """Yield the complete subtrees of a range, largest first. Ranges of trees and proofs start aligned."""
    begin, end = leaves
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield Node(level, begin >> level)
        begin += 1 << level


def inclusion_ranges(index: int, size: int) -> list[Leaves]:
    """Return the ranges whose hashes prove leaf ``index`` in a tree of ``size``: PATH of RFC 9162, 2.1.3.1.

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    begin, end = 0, size
    path: list[Leaves] = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return path[::-1]


def consistency_ranges(first: int, second: int) -> list[Leaves]:
    """Return the ranges whose hashes prove a tree a beginning of another: PROOF of RFC 9162, 2.1.4.1.

    Raises:
        ValueError: not 0 < first <= second.
    """
    if not 0 < first <= second:
        raise ValueError("a tree is proved to continue an earlier one that is not empty")
    begin, end = 0, second
    path: list[Leaves] = []
    while end != first:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    if begin:
        path.append((begin, end))
    return path[::-1]


def hash_of(leaves: Leaves, hash_of_node: Callable[[Node], bytes]) -> bytes:
    """Return the hash of a range from the hashes of its complete subtrees."""
    return joined([hash_of_node(node) for node in subtrees(leaves)])


def inclusion_holds(
    *, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether a leaf's hash is number ``index`` of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, top = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            top = node_hash(sibling, top)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            top = node_hash(top, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and top == root


def consistency_holds(
    *, first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the first tree is the beginning of the second (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """Return the largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)
