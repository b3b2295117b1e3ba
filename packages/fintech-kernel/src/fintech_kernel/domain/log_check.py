"""Whether the transparency log holds for a period: verified from the last tree head signed before it.

A head signed before the period vouches for all that was sealed until then; from there on every entry is
read and compared. That is the period's own work and no more; `fintech audit verify` reads everything. A
long period takes several calls: each goes on where the last one of this process stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fintech_dbclient import Database

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.contracts.closing import ClosePeriod, Obstacle
from fintech_kernel.domain.checkpoints import CheckpointRejected, VerificationKey, open_note
from fintech_kernel.domain.transparency import SignedHead, TransparencyLog
from fintech_kernel.domain.verification import LogBroken, LogVerifier
from fintech_kernel.errors import InvariantBroken, NotFound
from fintech_kernel.infrastructure import closing_queries

PAGES_PER_CALL_MAX: Final = 40
"""Pages of 500 entries that one call reads: a second or two."""

VALID_SECONDS: Final = 900
"""How long a finished verification is believed before it is done again."""


@dataclass(slots=True, kw_only=True)
class _Progress:
    verifier: LogVerifier
    until: int
    verified_at: int | None = None


class LogCheck:
    """Verifies the log, part by part."""

    def __init__(
        self,
        *,
        database: Database,
        log: TransparencyLog,
        clock: Clock,
        keys: Sequence[VerificationKey],
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._keys = keys
        self._progress: dict[str, _Progress] = {}

    def forget(self) -> None:
        """End every verification under way."""
        self._progress.clear()

    async def check(self, period: ClosePeriod) -> Sequence[Obstacle]:
        """Return what is in the way: entries without a position, a broken log, or work that is left."""
        waiting = await self._database.execute(closing_queries.unsealed(before=period.ends_at))
        if waiting.rows:
            return [
                Obstacle(
                    code="audit_not_sealed",
                    detail="entries of the period have no position in the log yet: `fintech audit seal`,"
                    " or wait for the servers to do it",
                )
            ]
        try:
            return await self._verified(period)
        except (LogBroken, CheckpointRejected, InvariantBroken) as broken:
            self._progress.pop(period.name, None)
            return [
                Obstacle(
                    code="audit_broken",
                    detail=f"the transparency log does not verify: {broken}; `fintech audit verify`",
                )
            ]

    async def _verified(self, period: ClosePeriod) -> Sequence[Obstacle]:
        now = self._clock.now_milliseconds()
        progress = self._progress.get(period.name)
        if progress is not None and progress.verified_at is not None:
            if now < progress.verified_at + VALID_SECONDS * MILLISECONDS_PER_SECOND:
                return ()
            progress = None
        if progress is None:
            progress = await self._begun(period)
            if progress is None:
                return ()
            self._progress = {period.name: progress}
        if await self._log.verify_part(progress.verifier, pages_max=PAGES_PER_CALL_MAX):
            progress.verified_at = now
            return ()
        done, until = progress.verifier.size, progress.until
        return [
            Obstacle(
                code="audit_not_verified",
                detail=f"the transparency log is verified up to entry {done} of {until}: ask again",
            )
        ]

    async def _begun(self, period: ClosePeriod) -> _Progress | None:
        """Return a verification that begins behind the last head signed before the period.

        Raises:
            LogBroken, CheckpointRejected: that head is not genuine, or not of these entries.
        """
        try:
            latest = await self._log.head()
        except NotFound:
            return None
        before = await self._head_before(period.begins_at, latest)
        verifier = LogVerifier(self._keys)
        if before is not None:
            head = open_note(before.note, self._keys)
            verifier = LogVerifier(self._keys, begin=await self._log.edge(head))
        return _Progress(verifier=verifier, until=latest.head.size)

    async def _head_before(self, moment: int, latest: SignedHead) -> SignedHead | None:
        """Return the longest head signed before a moment, found by halving; None where there is none.

        Any genuine head is a right beginning: where clocks of signers differ, this one is a little off.
        """
        low: SignedHead | None = None
        begin, end = 0, latest.head.size + 1
        while end - begin > 1:
            middle = (begin + end) // 2
            found = await self._log.heads(before=middle + 1, limit=1)
            if found and found[0].head.signed_at >= moment:
                end = found[0].head.size
                continue
            low, begin = (found[0] if found else low), middle
        return low
