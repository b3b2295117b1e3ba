"""The claim protocol: a settlement takes an account's due transfers, each of them once, ever.

Lines are write-once rows keyed by transfer. They are taken in chunks; each chunk is ONE insert of its
marker and of the next due transfers, so it stands whole or not at all and never changes. Chunk k+1 is
sent only if chunk k, read back, holds exactly ``size`` lines besides its marker; the first shorter one
closes the set. Counts are compared before anything is summed: no late replay can extend a summed set.

A replay, or a rival, hits a key and its whole statement claims nothing. Which of the two it was is seen
by reading the chunk back: if it stands we go on, if not we lost transfers to a rival and try again.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, Row, UniqueViolation
from fintech_kernel.contracts.ledger import ClaimedLines
from fintech_kernel.domain.execution import RaceLost

from fintech_ledger.domain.errors import ClaimBroken
from fintech_ledger.infrastructure import queries

CHUNK_SIZE_MAX: Final = 1_000
"""Most transfers that one insert claims."""

CHUNKS_MAX: Final = 10_000
"""A set closes behind so many full chunks; the rest is the next settlement's."""

CLAIM_ATTEMPTS_MAX: Final = 30
"""How often one chunk is tried when rivals take its transfers, before the answer is 503."""

CLAIM_PAUSE_SECONDS_MAX: Final = 0.05
"""Longest pause (full jitter) between such attempts."""

HINTS_OF_STATEMENT: Final = 500
"""Hints that one statement clears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a settlement asked for, frozen in its request."""

    settlement_id: str
    own_transfer_id: str
    merchant_id: str
    account: str
    cutoff: int
    chunk_size: int

    def marker(self, chunk: int) -> str:
        """Return the key of a chunk's marker; the first is the id of the settlement's own transfer."""
        return self.own_transfer_id if chunk == 0 else f"{self.settlement_id}#{chunk}"

    @property
    def operation_id(self) -> str:
        """The operation that claims."""
        return self.own_transfer_id.partition(":")[0]

    def is_closed_by(self, counts: Sequence[int]) -> bool:
        """Whether these chunks, by their numbers of lines, are the whole set."""
        return bool(counts) and (counts[-1] < self.chunk_size or len(counts) >= CHUNKS_MAX)


async def run_claim(database: Database, claim: Claim, jitter: random.Random) -> ClaimedLines:
    """Claim chunk after chunk until the set is closed, then count and sum it.

    Whoever runs it again goes on behind the chunks that stand and returns the same lines. Hints are cleared
    chunk by chunk: otherwise each chunk would look past all that were claimed before it. That of a chunk
    which stands when we come may have been left to us, too.

    Raises:
        RaceLost: rivals took the transfers of one chunk ``CLAIM_ATTEMPTS_MAX`` times.
        ClaimBroken: what stands contradicts the protocol.
        OutcomeUnknown: the database did not answer in time.
    """
    counts = await _standing(database, claim)
    if counts and not claim.is_closed_by(counts):
        await _clear_hints_of_chunk(database, claim, len(counts) - 1)
    while not claim.is_closed_by(counts):
        counts = (*counts, await _claim_chunk(database, claim, len(counts), jitter))
        _check_full(claim, counts[:-1])
        await _clear_hints_of_chunk(database, claim, len(counts) - 1)
    result = await database.execute(
        queries.claimed_total(settlement_id=claim.settlement_id, merchant_id=claim.merchant_id)
    )
    row: dict[str, Any] = dict(result.rows[0])
    if row["entries"] != sum(counts):
        raise ClaimBroken(f"{claim.settlement_id}: {row['entries']} lines, counted {sum(counts)}")
    return ClaimedLines(count=row["entries"], total=row["total"])


async def clear_hints(database: Database, merchant_id: str) -> None:
    """Let a merchant's claimed transfers be looked at no more.

    They have lines, which is what counts; a hint that was not cleared is found by the next claim. So is
    that of a settlement's own transfer, which is posted behind its claim. It looks at all that the merchant
    has unclaimed: once behind a claim, never for each chunk.
    """
    while True:
        found = await database.execute(
            queries.claimed_hints(merchant_id=merchant_id, limit=HINTS_OF_STATEMENT)
        )
        ids = [row["transfer_id"] for row in found.rows]
        if ids:
            await database.execute(queries.clear_claimed(merchant_id=merchant_id, transfer_ids=ids))
        if len(ids) < HINTS_OF_STATEMENT:
            return


async def _clear_hints_of_chunk(database: Database, claim: Claim, chunk: int) -> None:
    """Let the transfers of one chunk be looked at no more, by their keys."""
    found = await database.execute(
        queries.chunk_keys(
            settlement_id=claim.settlement_id, merchant_id=claim.merchant_id, chunk=chunk
        )
    )
    ids = [row["line_key"] for row in found.rows]
    for first in range(0, len(ids), HINTS_OF_STATEMENT):
        some = ids[first : first + HINTS_OF_STATEMENT]
        await database.execute(
            queries.clear_claimed(merchant_id=claim.merchant_id, transfer_ids=some)
        )


async def _standing(database: Database, claim: Claim) -> tuple[int, ...]:
    """Return the numbers of lines of the chunks that stand."""
    result = await database.execute(
        queries.chunk_counts(settlement_id=claim.settlement_id, merchant_id=claim.merchant_id)
    )
    if [row["chunk"] for row in result.rows] != list(range(len(result.rows))):
        raise ClaimBroken(f"{claim.settlement_id}: its chunks have gaps")
    counts = tuple(_lines(claim, row) for row in result.rows)
    _check_full(claim, counts[:-1])
    return counts


async def _claim_chunk(database: Database, claim: Claim, chunk: int, jitter: random.Random) -> int:
    """Make a chunk stand, by us or by whoever was faster, and return its number of lines."""
    insert = queries.claim_chunk(
        settlement_id=claim.settlement_id,
        marker=claim.marker(chunk),
        merchant_id=claim.merchant_id,
        account=claim.account,
        cutoff=claim.cutoff,
        chunk=chunk,
        size=claim.chunk_size,
    )
    read_back = queries.one_chunk_count(
        settlement_id=claim.settlement_id, merchant_id=claim.merchant_id, chunk=chunk
    )
    for _ in range(CLAIM_ATTEMPTS_MAX):
        inserted, found = await database.run([insert, read_back])
        if isinstance(inserted.error, UniqueViolation):
            found = await database.execute(read_back)
        elif inserted.error is not None:
            raise inserted.error
        rows = found.unwrap().rows
        if rows:
            return _lines(claim, rows[0])
        await asyncio.sleep(jitter.uniform(0, CLAIM_PAUSE_SECONDS_MAX))
    raise RaceLost(claim.operation_id)


def _lines(claim: Claim, row: Row) -> int:
    counted: dict[str, Any] = dict(row)
    if counted["markers"] != 1:
        raise ClaimBroken(f"{claim.settlement_id}: chunk {counted['chunk']} has no one marker")
    return counted["entries"] - 1


def _check_full(claim: Claim, counts: Sequence[int]) -> None:
    if any(count != claim.chunk_size for count in counts):
        raise ClaimBroken(f"{claim.settlement_id}: a chunk was claimed behind one that is not full")
