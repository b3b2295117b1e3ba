"""Reading the trail leaves a trail: each access is a journal entry, written before anything is shown.

The entry stands alone in a stream of the platform (``/aud_...``), so that readers never wait for one
another. It says who, when, from which request and what was asked for; it is sealed like any other.
"""

from collections.abc import Mapping
from typing import Final

from fintech_dbclient import Database, UniqueViolation

from fintech_kernel.canonical import Json
from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.journal import Draft, Entry, Stream, stream_id_of
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.infrastructure import queries
from fintech_kernel.observability.context import current_request_id

ACCESSED: Final = "audit.accessed"
EXPORTED: Final = "audit.exported"
ACCESS_PREFIX: Final = "aud"
_STEP: Final = "access"


class AuditAccess:
    """Writes who reads the trail."""

    def __init__(self, *, database: Database, clock: Clock, identifiers: Identifiers) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers

    async def note(
        self, actor: Actor, *, asked: Mapping[str, Json], event: str = ACCESSED
    ) -> Entry:
        """Write one access; when this returns it stands.

        Raises:
            DatabaseError: it may not stand: show nothing.
        """
        access_id = self._identifiers.new(ACCESS_PREFIX)
        (entry,) = Stream(stream_id_of(PLATFORM, access_id)).next_entries(
            [Draft(type=event, data=asked)],
            step_key=f"{access_id}:{_STEP}",
            actor=actor.to_json(),
            request_id=current_request_id(),
            occurred_at=self._clock.now_milliseconds(),
        )
        try:
            await self._database.execute(queries.append_entries([entry.columns()]))
        except UniqueViolation:
            return entry  # the id is new, so the row that stands is ours: a reply was lost
        return entry
