"""The sealer: gives every journal entry a position in one append-only tree, and signs tree heads.

Any number of sealers may run. Each appends behind the positions that it has read, with plain inserts of
several rows; so positions are dense, and of two that want the same ones exactly one is there. After any
duplicate a sealer reads what stands, flags that, and starts over. It flags and signs only what it read
back, never what it sent: a lost reply, a late packet and a killed process change nothing but the time.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Database, Row, UniqueViolation, Value
from loguru import logger

from fintech_kernel.clock import Clock
from fintech_kernel.domain.checkpoints import (
    CheckpointRejected,
    Signer,
    TreeHead,
    VerificationKey,
    open_note,
)
from fintech_kernel.domain.leaves import Leaf, hash_of_leaf, hints_of, keeps_its_hash, leaf_of
from fintech_kernel.domain.merkle import RightEdge
from fintech_kernel.domain.tree_store import TreeStore
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.infrastructure import audit_queries
from fintech_kernel.observability.metrics import Metrics

SEAL_BATCH: Final = 500
"""Entries of one insert."""

CATCH_UP_ROWS: Final = 4_000
"""Positions read at once."""

BATCHES_PER_HEAD: Final = 20
"""A head is signed after so many batches at the latest, also while a backlog is being sealed."""

SEAL_TIMEOUT_SECONDS: Final = 60

ENTRY_ALTERED: Final = "audit.entry_altered"
"""The alarm of an entry that does not match its hash; the log's verifier names it too."""


class Sealer:
    """Seals what the journal holds. Its memory is the tree's right edge; everything else is in tables."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        signer: Signer,
        keys_previous: Sequence[VerificationKey] = (),
        metrics: Metrics | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._signer = signer
        self._metrics = metrics or Metrics()
        self._trusted = (signer.verification_key, *keys_previous)
        self._store = TreeStore(database)
        self._edge: RightEdge | None = None
        self._head: TreeHead | None = None
        self._one_pass = asyncio.Lock()

    @property
    def verification_key(self) -> VerificationKey:
        """The public key of the tree heads that it signs."""
        return self._signer.verification_key

    async def seal(self) -> TreeHead | None:
        """Seal until nothing waits; return the latest tree head, None where the log is empty.

        Raises:
            InvariantBroken: the log is not what was signed: nothing more is signed.
            DatabaseError: the database did not do it; the next pass goes on.
        """
        async with self._one_pass:  # the right edge grows by one hand
            edge = self._edge or await self._restored_edge()
            self._edge = edge
            while await self._seal_batches(edge):
                await self._sign(edge)
            await self._sign(edge)
            return self._head

    async def _seal_batches(self, edge: RightEdge) -> bool:
        """Give positions to some batches; return whether there may be more."""
        for _ in range(BATCHES_PER_HEAD):
            if not await self._seal_batch(edge):
                return False
        return True

    async def _seal_batch(self, edge: RightEdge) -> bool:
        """Give positions to one batch; return whether there was one."""
        await self._catch_up(edge)
        unsealed = await self._database.execute(audit_queries.unsealed_entries(SEAL_BATCH))
        if not unsealed.rows:
            return False
        batch = [leaf_of(row) for row in unsealed.rows]
        for leaf in batch:
            self._check(leaf)
        rows = [_position_row(edge.size + offset, leaf) for offset, leaf in enumerate(batch)]
        try:
            await self._database.execute(audit_queries.insert_positions(rows))
        except UniqueViolation:
            logger.debug("positions are taken: reading what stands", count=len(rows))
        await self._flag_what_stands([str(leaf["entry_id"]) for leaf in batch])
        return True

    def _check(self, leaf: Leaf) -> None:
        """Alarm where an entry was changed. It is sealed as it stands: the log records what is there."""
        if not keeps_its_hash(leaf):
            self._metrics.alarms.labels(ENTRY_ALTERED).inc()
            logger.error(
                "entry does not match its hash", entry_id=str(leaf["entry_id"]), alarm=True
            )

    async def _flag_what_stands(self, entry_ids: Sequence[str]) -> None:
        standing = await self._database.execute(audit_queries.positions_of(entry_ids))
        sealed = sorted(str(row["entry_id"]) for row in standing.rows)
        if sealed:
            await self._database.execute(audit_queries.mark_sealed(sealed))

    async def _catch_up(self, edge: RightEdge) -> None:
        """Grow the right edge by all positions that stand, whoever wrote them."""
        while True:
            result = await self._database.execute(
                audit_queries.leaves(begin=edge.size, end=edge.size + CATCH_UP_ROWS)
            )
            completed = [
                node for row in result.rows for node in edge.append(_leaf_hash_at(edge.size, row))
            ]
            await self._store.keep(completed)
            if len(result.rows) < CATCH_UP_ROWS:
                return

    async def _sign(self, edge: RightEdge) -> None:
        """Publish the head of what was read back, unless it is published."""
        if edge.size == (self._head.size if self._head else 0):
            return
        head = TreeHead(
            origin=self._signer.origin,
            size=edge.size,
            root=edge.root(),
            signed_at=self._clock.now_milliseconds(),
        )
        insert = audit_queries.insert_head(
            size=head.size,
            root_hash=head.root.hex(),
            signed_at=head.signed_at,
            note=self._signer.sign(head),
        )
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            standing = await self._database.execute(audit_queries.head_of_size(head.size))
            if [row["root_hash"] for row in standing.rows] != [head.root.hex()]:
                raise _broken(head.size) from None
        self._head = head

    async def _restored_edge(self) -> RightEdge:
        """Return the right edge at the latest signed head, checked against its root.

        Inner nodes that we kept make it quick. Where they do not give the root, the leaves must.

        Raises:
            InvariantBroken: they do not: the log was changed.
        """
        latest = await self._database.execute(audit_queries.latest_head())
        if not latest.rows:
            return RightEdge()
        head = self._trusted_head(latest.rows[0])
        edge = await self._store.edge(head.size)
        if edge is None or edge.root() != head.root:
            edge = await self._edge_of_leaves(head.size)
        if edge.root() != head.root:
            raise _broken(head.size)
        self._head = head
        return edge

    async def _edge_of_leaves(self, size: int) -> RightEdge:
        edge = RightEdge()
        while edge.size < size:
            end = min(size, edge.size + CATCH_UP_ROWS)
            result = await self._database.execute(audit_queries.leaves(begin=edge.size, end=end))
            for row in result.rows:
                edge.append(_leaf_hash_at(edge.size, row))
            if edge.size < end:
                raise _broken(size)
        return edge

    def _trusted_head(self, row: Row) -> TreeHead:
        """Return a stored head.

        Raises:
            InvariantBroken: nobody whom we trust signed it, or not for this row.
        """
        size, root = int(str(row["tree_size"])), str(row["root_hash"])
        try:
            head = open_note(str(row["note"]), self._trusted)
        except CheckpointRejected as error:
            raise InvariantBroken(
                f"nothing is sealed: {error}; after a rotation AUDIT_KEYS_PREVIOUS names the old key"
            ) from error
        if (head.size, head.root.hex()) != (size, root):
            raise _broken(size)
        return head


def _position_row(position: int, leaf: Leaf) -> tuple[Value, ...]:
    hints = hints_of(leaf)
    return (
        position,
        str(leaf["entry_id"]),
        hash_of_leaf(leaf).hex(),
        hints["merchant_id"],
        hints["stream_id"],
        hints["type"],
        hints["subject"],
    )


def _leaf_hash_at(position: int, row: Row) -> bytes:
    if row["position"] != position:
        raise InvariantBroken(f"the log has no position {position}: a row is missing")
    return bytes.fromhex(str(row["leaf_hash"]))


def _broken(size: int) -> InvariantBroken:
    return InvariantBroken(
        f"the log is not what its tree head of size {size} says: run `fintech audit verify`"
    )
