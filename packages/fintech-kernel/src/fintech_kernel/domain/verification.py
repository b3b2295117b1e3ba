"""The verifier of the transparency log: it reads entries and tree heads in order and trusts nothing else.

It needs a public key and what it reads, be it a database or an exported file. It stops at the first
thing that is wrong and names it. What it cannot know: whether a log that was cut off together with its
last tree heads was ever longer; that takes a tree head that was kept elsewhere (``pinned``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fintech_kernel.domain.checkpoints import (
    CheckpointRejected,
    TreeHead,
    VerificationKey,
    open_note,
)
from fintech_kernel.domain.leaves import Leaf, hash_of_leaf, keeps_its_hash
from fintech_kernel.domain.merkle import RightEdge, consistency_holds, inclusion_holds
from fintech_kernel.errors import FintechError, InvariantBroken


class LogBroken(FintechError):
    """The log is not what was signed.

    Attributes:
        position: the first position that cannot be vouched for.
        entry_id: the entry there, empty where it is unknown.
        fault: what is wrong, in a line.
    """

    code = "log_broken"
    title = "The transparency log is not what was signed."

    def __init__(self, fault: str, *, position: int, entry_id: str = "") -> None:
        super().__init__(fault)
        self.fault = fault
        self.position = position
        self.entry_id = entry_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was verified: ``size`` entries, the first ``signed_size`` of them under ``heads`` tree heads."""

    size: int
    signed_size: int
    heads: int


class LogVerifier:
    """Takes entries by position, and each tree head right behind the last entry that it covers."""

    def __init__(
        self,
        keys: Sequence[VerificationKey],
        *,
        pinned: Sequence[TreeHead] = (),
        begin: RightEdge | None = None,
    ) -> None:
        """Begin with the first entry, or behind a right edge that a genuine tree head vouches for."""
        self._keys = keys
        self._pinned = sorted(pinned, key=lambda head: head.size)
        self._edge = begin or RightEdge()
        self._signed_size = self._edge.size
        self._heads = 0
        self._first_unsigned = ""
        self._check_pinned()

    @property
    def size(self) -> int:
        """How many entries it took."""
        return self._edge.size

    def entry(self, *, position: int, entry_id: str, leaf: Leaf | None, stored_hash: str) -> None:
        """Take the entry of a position; ``leaf`` is None where the journal has no such row.

        Raises:
            LogBroken: it is out of place, gone, or not what was sealed.
        """
        expected = self._edge.size
        if position != expected:
            raise LogBroken(
                f"position {expected} is missing: the next entry is {entry_id} at {position}",
                position=expected,
            )
        named = f"entry {entry_id} at position {position}"
        if leaf is None:
            raise LogBroken(
                f"{named} is gone from the journal", position=position, entry_id=entry_id
            )
        fault = _fault_of(leaf, stored_hash)
        if fault:
            raise LogBroken(f"{named} {fault}", position=position, entry_id=entry_id)
        if expected == self._signed_size:
            self._first_unsigned = entry_id
        self._edge.append(bytes.fromhex(stored_hash))
        self._check_pinned()

    def head(self, note: str) -> None:
        """Take a tree head, behind the last entry that it covers.

        Raises:
            LogBroken: it is not signed by a given key, or not of these entries.
        """
        try:
            head = open_note(note, self._keys)
        except CheckpointRejected as error:
            raise LogBroken(
                f"a tree head behind position {self._edge.size - 1} is not genuine: {error}",
                position=self._signed_size,
            ) from error
        self._compare(head, "tree head")
        self._heads += 1

    def end(self) -> Verified:
        """Say that there is nothing more.

        Raises:
            LogBroken: a pinned head covers more than there is.
        """
        if self._pinned:
            self._compare(self._pinned[0], "pinned tree head")
        return Verified(size=self._edge.size, signed_size=self._signed_size, heads=self._heads)

    def _check_pinned(self) -> None:
        while self._pinned and self._pinned[0].size == self._edge.size:
            self._compare(self._pinned.pop(0), "pinned tree head")

    def _compare(self, head: TreeHead, what: str) -> None:
        size = self._edge.size
        if head.size > size:
            raise LogBroken(
                f"the tail is cut off: the {what} covers {head.size} entries and there are {size}",
                position=size,
            )
        unvouched = f"{self._first_unsigned} at position {self._signed_size}"
        if head.size < size:
            raise LogBroken(
                f"entries were put in: the {what} of size {head.size} stands behind position"
                f" {size - 1}; the first entry that nothing vouches for is {unvouched}",
                position=self._signed_size,
                entry_id=self._first_unsigned,
            )
        if head.root != self._edge.root():
            raise LogBroken(
                f"the {what} of size {size} was signed over other entries: the first that nothing"
                f" vouches for is {unvouched}",
                position=self._signed_size,
                entry_id=self._first_unsigned,
            )
        self._signed_size = size


def _fault_of(leaf: Leaf, stored_hash: str) -> str:
    try:
        computed = hash_of_leaf(leaf).hex()
    except InvariantBroken:
        return "has content that was never written by us"
    if computed != stored_hash:
        return "is not what was sealed there"
    if not keeps_its_hash(leaf):
        return "was changed between its writing and its sealing"
    return ""


def verify_proof(proof: Mapping[str, Any], keys: Sequence[VerificationKey]) -> str:
    """Check an inclusion or a consistency proof with public keys alone; return what it proves.

    Raises:
        LogBroken: it proves nothing.
        CheckpointRejected: its tree heads are not genuine.
    """
    try:
        if "entry" in proof:
            return _verify_inclusion(proof, keys)
        return _verify_consistency(proof, keys)
    except (KeyError, TypeError, ValueError, AttributeError, InvariantBroken) as error:
        raise LogBroken("it is no proof of ours", position=0) from error


def _verify_inclusion(proof: Mapping[str, Any], keys: Sequence[VerificationKey]) -> str:
    head = open_note(proof["tree_head"], keys)
    entry_id, position = str(proof["entry"]["entry_id"]), int(proof["position"])
    holds = inclusion_holds(
        leaf=hash_of_leaf(proof["entry"]),
        index=position,
        size=head.size,
        proof=[bytes.fromhex(one) for one in proof["hashes"]],
        root=head.root,
    )
    if not holds:
        raise LogBroken(
            f"entry {entry_id} is not what the tree head of size {head.size} has at {position}",
            position=position,
            entry_id=entry_id,
        )
    return f"proved: entry {entry_id} is number {position} of a log of {head.size} entries"


def _verify_consistency(proof: Mapping[str, Any], keys: Sequence[VerificationKey]) -> str:
    first, second = (open_note(proof[name], keys) for name in ("from_tree_head", "to_tree_head"))
    holds = consistency_holds(
        first=first.size,
        first_root=first.root,
        second=second.size,
        second_root=second.root,
        proof=[bytes.fromhex(one) for one in proof["hashes"]],
    )
    if not holds:
        raise LogBroken(
            f"the log of {second.size} entries does not continue that of {first.size}",
            position=first.size,
        )
    return f"proved: the log of {second.size} entries continues that of {first.size}"
