"""What closes of periods take and show. Times are UTC milliseconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fintech_kernel.canonical import Json
from fintech_kernel.contracts.closing import Obstacle
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import MONTH_PATTERN, StrictModel
from pydantic import BaseModel, ConfigDict, Field

from fintech_ledger.domain.events import PeriodClosed

_EXAMPLE: Final[dict[str, Any]] = {
    "period": "2026-11",
    "until": 1_796_083_200_000,
    "behind_fold": 8_120,
    "fold": 9_904,
    "totals_hash": "5f0c3be0b2f3c4d5a697887766554433221100ffeeddccbbaa99887766554433",
    "closed_by": "user_finance_1",
    "requested_at": 1_796_169_600_000,
}


class PeriodRequest(StrictModel):
    """Close a period."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"period": "2026-11"}]})

    period: Annotated[str, Field(pattern=MONTH_PATTERN, description="a month (UTC) that has ended")]


class PeriodShown(BaseModel):
    """A closed period. Its transfers are those of the folds behind `behind_fold`, up to `fold`."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    period: str
    until: int = Field(description="the period's end")
    behind_fold: int = Field(
        description="the last fold of the period closed before it; 0: none was"
    )
    fold: int = Field(description="the fold that closed its last day")
    totals_hash: str = Field(description="SHA-256 of the trial balance at its end")
    closed_by: str
    requested_at: int


class PeriodsShown(BaseModel):
    """A page of closed periods, newest first."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"data": [_EXAMPLE], "next_cursor": None}]}
    )

    data: list[PeriodShown]
    next_cursor: str | None


class ObstacleShown(BaseModel):
    """A reason why a period cannot be closed yet."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "code": "suspense_not_zero",
                    "subject": "KES",
                    "detail": "suspense:reconciliation:KES holds 300 minor units: resolve what was not"
                    " explained",
                }
            ]
        },
    )

    code: str
    subject: str = Field(description="a currency, a kind, an id; empty where it is about all")
    detail: str


class ReadinessShown(BaseModel):
    """Whether a period can be closed now."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"period": "2026-11", "is_ready": True, "obstacles": []}]},
    )

    period: str
    is_ready: bool
    obstacles: list[ObstacleShown]


def period_view(closed: PeriodClosed) -> dict[str, Json]:
    """Return a closed period as JSON."""
    return to_json(closed)


def readiness_view(period: str, obstacles: tuple[Obstacle, ...]) -> dict[str, Json]:
    """Return whether a period can be closed as JSON."""
    return {
        "period": period,
        "is_ready": not obstacles,
        "obstacles": [
            {"code": one.code, "subject": one.subject, "detail": one.detail} for one in obstacles
        ],
    }


def present_period(result: Mapping[str, Any]) -> Presented:
    """Present the operation that closed a period."""
    return Presented(status=201, body=period_view(from_json(PeriodClosed, result)))
