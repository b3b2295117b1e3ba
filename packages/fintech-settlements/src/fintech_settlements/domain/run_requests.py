"""A run that somebody asked for: who, when, and how far it is.

That it was asked for stands in the journal (stream ``/run_...``); its row is what the job works from.
What a run did stands in the settlements that it opened: the row's counts are only told.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from fintech_dbclient import Row
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.actors import PLATFORM
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Draft, Stream, stream_id_of

from fintech_settlements.domain.errors import CutoffInFuture
from fintech_settlements.infrastructure import run_queries as queries

RUN_REQUESTED: Final = "settlement_run.requested"


class RunStatus(StrEnum):
    """How far a run is."""

    REQUESTED = "requested"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRun:
    """Settle every merchant that is due. Times are UTC milliseconds."""

    run_id: str
    cutoff: int
    requested_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run. Counts are of its last pass: accounts looked at, settlements opened, the others."""

    run_id: str
    cutoff: int
    requested_by: str
    requested_at: int
    status: RunStatus = RunStatus.REQUESTED
    accounts: int = 0
    opened: int = 0
    skipped: int = 0
    finished_at: int | None = None


async def run_request(execution: Execution) -> Finished:
    """Record that a run was asked for.

    Raises:
        CutoffInFuture: it takes what was due by its cutoff, which must have passed.
    """
    command = from_json(RequestRun, execution.command)
    if command.cutoff > command.requested_at:
        raise CutoffInFuture(cutoff=command.cutoff)
    return await execution.conclude(
        stream=Stream(stream_id_of(PLATFORM, command.run_id)),
        step="decide",
        decide=lambda _stream: [Draft(type=RUN_REQUESTED, data=to_json(command))],
        complete=_completed,
    )


def run_of_row(row: Row) -> Run:
    """Return the run of a row."""
    columns: dict[str, Any] = dict(row)
    return from_json(Run, columns)


def _completed(appended: Appended) -> Completion:
    if appended.is_refused:
        return refused(appended.entries[0])
    run = from_json(Run, appended.entries[0].data)
    return Completion(
        result=to_json(run),
        writes=(
            Write(
                statement=queries.insert_run(
                    run_id=run.run_id,
                    cutoff=run.cutoff,
                    requested_by=run.requested_by,
                    requested_at=run.requested_at,
                ),
                confirm=queries.run_by_id(run.run_id),
                expected=({"run_id": run.run_id, "cutoff": run.cutoff},),
            ),
        ),
    )
