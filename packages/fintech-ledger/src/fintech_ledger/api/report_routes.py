"""The routes of reports: day by day, streamed, as JSON or as CSV."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fintech_kernel.domain.actors import Actor
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.problems import json_bytes
from fintech_kernel.web.schemas import DAY_PATTERN
from fintech_kernel.web.strict_json import StrictJsonRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from fintech_ledger.domain.reports import DailyActivity, Reports

CSV: Final = "text/csv"
COLUMNS: Final = tuple(field.name for field in fields(DailyActivity))

_EXAMPLE: Final[dict[str, Any]] = {
    "day": "2026-11-30",
    "currency": "KES",
    "is_closed": True,
    "sales": 120,
    "volume": 1_204_500,
    "refund_count": 2,
    "refunds": 9_000,
    "fees": 42_100,
    "fees_returned": 315,
    "other": -980_000,
    "balance": 311_204,
}
_CSV_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {CSV: {"schema": {"type": "string"}, "example": ",".join(COLUMNS) + "\r\n"}}}
}

DayQuery = Annotated[
    str,
    Query(
        pattern=DAY_PATTERN,
        description="a day (UTC)",
        examples=["2026-11-30"],
    ),
]
MerchantQuery = Annotated[
    str | None,
    Query(
        pattern="^[a-z0-9_]{1,64}$",
        description="one merchant's; default: a merchant's principals their own, staff the platform's",
        examples=["mer_01k9qq3v5kf7wsc0d3jz8y2m4t"],
    ),
]


class ReportFormat(StrEnum):
    """The forms of a report."""

    JSON = "json"
    CSV = "csv"


class DailyShown(BaseModel):
    """A day in one currency. Amounts are minor units as merchants see them."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    day: str
    currency: str
    is_closed: bool = Field(description="whether the day is closed: then its row never changes")
    sales: int = Field(description="captures")
    volume: int = Field(description="what they amount to, before fees")
    refund_count: int
    refunds: int
    fees: int
    fees_returned: int
    other: int = Field(description="what settlements took or gave back, adjustments; signed")
    balance: int | None = Field(description="what is owed at the day's end; null without a close")


class DailyReport(BaseModel):
    """A report, day by day."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"data": [_EXAMPLE]}]})

    data: list[DailyShown]


def build_report_router(reports: Reports, *, read: str, audit: str) -> APIRouter:
    """Return the routes over reports; merchants' need ``read``, the platform's ``audit``."""
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get(
        "/merchant-daily",
        response_model=DailyReport,
        responses=_CSV_RESPONSE,
        summary="Report a merchant's days",
    )
    async def report_merchant_days(
        actor: Annotated[Actor, Depends(requires(read))],
        first_day: DayQuery,
        last_day: DayQuery,
        merchant_id: MerchantQuery = None,
        format: Annotated[ReportFormat, Query()] = ReportFormat.JSON,  # noqa: A002 - its public name
    ) -> Response:
        """Return volume, refunds, fees and the balance of each day and currency, streamed."""
        days = reports.days(first_day, last_day)
        owner = actor.merchant_for(merchant_id)
        return _streamed(reports.daily(days, merchant_id=owner), format)

    @router.get(
        "/platform-daily",
        response_model=DailyReport,
        responses=_CSV_RESPONSE,
        summary="Report the platform's days",
        dependencies=[Depends(requires(audit))],
    )
    async def report_platform_days(
        first_day: DayQuery,
        last_day: DayQuery,
        format: Annotated[ReportFormat, Query()] = ReportFormat.JSON,  # noqa: A002 - its public name
    ) -> Response:
        """Return the same over all merchants; a day is read in parts of an hour."""
        days = reports.days(first_day, last_day)
        return _streamed(reports.daily(days, merchant_id=None), format)

    return router


def _streamed(
    days: AsyncIterator[Sequence[DailyActivity]], wanted: ReportFormat
) -> StreamingResponse:
    if wanted is ReportFormat.CSV:
        disposition = {"Content-Disposition": 'attachment; filename="daily.csv"'}
        return StreamingResponse(_csv(days), media_type=CSV, headers=disposition)
    return StreamingResponse(_json(days), media_type="application/json")


async def _json(days: AsyncIterator[Sequence[DailyActivity]]) -> AsyncIterator[bytes]:
    separator = b'{"data":['
    async for found in days:
        for row in found:
            yield separator + json_bytes(asdict(row))
            separator = b",\n"
    yield b"]}" if separator == b",\n" else b'{"data":[]}'


async def _csv(days: AsyncIterator[Sequence[DailyActivity]]) -> AsyncIterator[bytes]:
    yield _rows([COLUMNS])
    async for found in days:
        if found:
            yield _rows([tuple(_cell(value) for value in asdict(row).values()) for row in found])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _rows(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
