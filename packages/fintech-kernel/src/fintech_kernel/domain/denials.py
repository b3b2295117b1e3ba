"""Denials: refused requests that belong to no object, counted and written to the trail in a few rows.

The first of a reason in a minute is written at once, the others with the next minute's: one journal
entry with a count for each principal (or address), reason and route. The number of counts is bounded;
what comes beyond is counted under ``other``, so nothing is lost but who it was. Each is also a line in
the log.

A process writes to a stream that nobody else knows (``/den_...``), so nobody races it; after a lost reply
it sends the same entry again. What it has counted and not written dies with a process that is killed.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fintech_dbclient import Database, UniqueViolation

from fintech_kernel.canonical import Json
from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import PLATFORM, job_actor
from fintech_kernel.domain.journal import Draft, Entry, Stream, stream_id_of
from fintech_kernel.hooks import Job
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.infrastructure import queries

DENIALS_COUNTED: Final = "denials.counted"
DENIALS_PREFIX: Final = "den"
JOB_NAME: Final = "audit.denials"

OTHER: Final = "other"
"""Who and where, once an entry is full."""

COUNTS_MAX: Final = 50
"""Counts of one entry, besides one ``other`` for each reason."""

STREAM_ENTRIES_MAX: Final = 100
"""Entries of one stream; it is held in memory, and the next entry begins another."""

WRITE_EVERY_SECONDS: Final = 60
WRITE_TIMEOUT_SECONDS: Final = 20
_AT_ONCE_EVERY_MILLISECONDS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What was refused to whom. ``address`` is empty where the principal is known."""

    reason: str
    route: str
    subject: str = ""
    merchant_id: str = ""
    address: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return what is known of it."""
        facts = {
            "reason": self.reason,
            "route": self.route,
            "subject": self.subject,
            "merchant_id": self.merchant_id,
            "address": self.address,
        }
        return {name: value for name, value in facts.items() if value}


class Denials:
    """Counts the denials of this process and writes them."""

    def __init__(self, *, database: Database, clock: Clock, identifiers: Identifiers) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._wake: Callable[[str], None] | None = None
        self._counts: dict[Denial, int] = {}
        self._counted_from = 0
        self._woken_at: dict[str, int] = {}
        self._writing = asyncio.Lock()
        self._unsure: Entry | None = None
        self._stream = self._new_stream()

    def use_waker(self, wake: Callable[[str], None]) -> None:
        """Take what runs the job at once."""
        self._wake = wake

    def job(self) -> Job:
        """Return the job that writes."""
        return Job(
            name=JOB_NAME,
            run=self.write,
            every_seconds=WRITE_EVERY_SECONDS,
            timeout_seconds=WRITE_TIMEOUT_SECONDS,
        )

    def note(self, denial: Denial) -> None:
        """Count one."""
        now = self._clock.now_milliseconds()
        if not self._counts:
            self._counted_from = now
        if denial not in self._counts and len(self._counts) >= COUNTS_MAX:
            denial = Denial(reason=denial.reason, route=OTHER, subject=OTHER)
        self._counts[denial] = self._counts.get(denial, 0) + 1
        if now - self._woken_at.get(denial.reason, 0) >= _AT_ONCE_EVERY_MILLISECONDS:
            self._woken_at[denial.reason] = now
            if self._wake is not None:
                self._wake(JOB_NAME)

    async def write(self) -> None:
        """Write what was counted.

        Raises:
            DatabaseError: it may not stand; the next call sends the same entry again.
        """
        async with self._writing:
            while self._unsure is not None or self._counts:
                entry = self._unsure = self._unsure or self._next_entry()
                # Nobody else knows the stream: a row that stands already is ours, its reply was lost.
                with suppress(UniqueViolation):
                    await self._database.execute(queries.append_entries([entry.columns()]))
                self._stream = self._stream.followed_by([entry])
                self._unsure = None

    def _next_entry(self) -> Entry:
        if len(self._stream.entries) >= STREAM_ENTRIES_MAX:
            self._stream = self._new_stream()
        now = self._clock.now_milliseconds()
        counts: list[Json] = [
            {**denial.to_json(), "count": count} for denial, count in self._counts.items()
        ]
        data: dict[str, Json] = {"from": self._counted_from, "until": now, "counts": counts}
        self._counts = {}
        (entry,) = self._stream.next_entries(
            [Draft(type=DENIALS_COUNTED, data=data)],
            step_key=f"{self._stream.stream_id.removeprefix('/')}:{len(self._stream.entries) + 1}",
            actor=job_actor(JOB_NAME).to_json(),
            request_id="",
            occurred_at=now,
        )
        return entry

    def _new_stream(self) -> Stream:
        return Stream(stream_id_of(PLATFORM, self._identifiers.new(DENIALS_PREFIX)))
