"""``/v1/audit``: the trail, the log's tree heads, and proofs over it. For auditors and administrators.

Every call here is itself written to the trail before it is answered. The trail shows what is sealed: an
entry appears within the seal interval of its writing.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fintech_kernel.canonical import Json
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.audit_access import ACCESSED, EXPORTED
from fintech_kernel.domain.permissions import AUDITOR, PLATFORM_ADMIN
from fintech_kernel.domain.transparency import SealedEntry, SignedHead, header_line
from fintech_kernel.errors import InvalidRequest
from fintech_kernel.hooks import Permission
from fintech_kernel.identifiers import MERCHANT_ID
from fintech_kernel.infrastructure.audit_queries import TrailFilter
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.context import context_of
from fintech_kernel.web.pagination import Page, page, page_body
from fintech_kernel.web.problems import json_bytes
from fintech_kernel.web.strict_json import StrictJsonRoute

READ: Final = "audit:read"
PERMISSIONS: Final = (
    Permission(
        name=READ,
        summary="Read the audit trail of everybody, and prove it",
        roles=(AUDITOR, PLATFORM_ADMIN),
    ),
)
TAG: Final = {"name": "audit", "description": "What happened, provably: the transparency log."}

EXPORT_ENTRIES_MAX: Final = 1_000
POSITION_MAX: Final = 2**53 - 1

_STREAM: Final = "[a-z0-9_]{0,64}/[a-z0-9_]{1,64}"
_HASH: Final = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
_ENTRY_ID: Final = "mer_01k9qq3v5kf7wsc0d3jz8y2m4t/pay_01k9qq3v5kf7wsc0d3jz8y2m4t:1"
_NOTE: Final = (
    "fintech/audit\n2\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\ntime 1760000000000\n\n"
    "\N{EM DASH} fintech/audit 2nBSNg==\n"
)
_SHOWN: Final[dict[str, Any]] = {
    "position": 1,
    "leaf_hash": _HASH,
    "entry_id": _ENTRY_ID,
    "stream_id": _ENTRY_ID.partition(":")[0],
    "seq": 1,
    "type": "payment.created",
    "data": {"amount": 1200},
    "actor": {"subject": "usr_1", "roles": ["merchant_operator"], "merchant_id": "mer_1"},
    "operation_id": "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq",
    "request_id": "req_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "occurred_at": 1760000000000,
    "previous_hash": "0" * 64,
    "hash": _HASH,
}
_PROVED: Final[dict[str, Any]] = {
    "entry_id": _ENTRY_ID,
    "position": 1,
    "leaf_hash": _HASH,
    "tree_size": 2,
    "root_hash": _HASH,
    "hashes": [_HASH],
    "tree_head": _NOTE,
    "entry": {"entry_id": _ENTRY_ID, "seq": 1, "type": "payment.created", "data": "{}"},
}
_LINE: Final = json.dumps({"position": 0, "leaf_hash": _HASH, "entry": _PROVED["entry"]}) + "\n"


def _example(value: object) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [value]})  # pyright: ignore[reportArgumentType] - JSON


class TrailEntryShown(BaseModel):
    """A journal entry with its position in the log."""

    model_config = _example(_SHOWN)

    position: int
    leaf_hash: str = Field(description="hex")
    entry_id: str
    stream_id: str = Field(description="`<merchant>/<object>`; the platform's begins with `/`")
    seq: int
    type: str
    data: Any = Field(description="what happened")
    actor: Any = Field(description="who did it")
    operation_id: str
    request_id: str
    occurred_at: int = Field(description="UTC milliseconds")
    previous_hash: str
    hash: str = Field(description="chains the entries of a stream")


class TrailShown(BaseModel):
    """A page of the trail."""

    model_config = _example({"data": [_SHOWN], "next_cursor": None})

    data: list[TrailEntryShown]
    next_cursor: str | None


class TreeHeadShown(BaseModel):
    """A signed state of the log."""

    model_config = _example(
        {"tree_size": 2, "root_hash": _HASH, "signed_at": 1760000000000, "note": _NOTE}
    )

    tree_size: int
    root_hash: str = Field(description="hex")
    signed_at: int = Field(description="UTC milliseconds")
    note: str = Field(description="C2SP checkpoint, signed: keep it elsewhere")


class TreeHeadsShown(BaseModel):
    """A page of tree heads."""

    model_config = _example(
        {
            "data": [
                {"tree_size": 2, "root_hash": _HASH, "signed_at": 1760000000000, "note": _NOTE}
            ],
            "next_cursor": None,
        }
    )

    data: list[TreeHeadShown]
    next_cursor: str | None


class InclusionShown(BaseModel):
    """That an entry stands at its position (RFC 9162, 2.1.3)."""

    model_config = _example(_PROVED)

    entry_id: str
    position: int
    leaf_hash: str
    tree_size: int
    root_hash: str
    hashes: list[str] = Field(description="hex, from the leaf up")
    tree_head: str = Field(description="the signed note of this tree size")
    entry: dict[str, Any] | None = Field(
        description="the journal row; its RFC 8785 form is the leaf"
    )


class ConsistencyShown(BaseModel):
    """That one state of the log continues another (RFC 9162, 2.1.4)."""

    model_config = _example(
        {
            "from": 1,
            "to": 2,
            "hashes": [_HASH],
            "from_tree_head": _NOTE,
            "to_tree_head": _NOTE,
        }
    )

    first: int = Field(alias="from")
    second: int = Field(alias="to")
    hashes: list[str] = Field(description="hex")
    from_tree_head: str
    to_tree_head: str


class JsonLines(Response):
    """One JSON value a line."""

    media_type = "application/jsonl"


EntryId = Annotated[
    str,
    Path(
        pattern=rf"^({_STREAM}:[1-9][0-9]{{0,3}}|0|[1-9][0-9]{{0,15}})$",
        description="an entry's id, or its position",
        examples=[_ENTRY_ID],
    ),
]
Reader = Annotated[Actor, Depends(requires(READ))]


async def trail_filter(
    stream_id: Annotated[
        str | None, Query(pattern=f"^{_STREAM}$", examples=["mer_1/pay_1"])
    ] = None,
    merchant_id: Annotated[
        str | None, Query(pattern=f"^{MERCHANT_ID.pattern}$", examples=["mer_1"])
    ] = None,
    type: Annotated[  # noqa: A002 - the name of the query parameter
        str | None,
        Query(pattern=r"^[a-z_]{1,64}(\.[a-z_]{1,64}){0,3}$", examples=["payment.created"]),
    ] = None,
    actor: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="the subject of who did it",
            examples=["usr_1"],
        ),
    ] = None,
) -> TrailFilter:
    """Return the conditions of a list."""
    return TrailFilter(stream_id=stream_id, merchant_id=merchant_id, type=type, subject=actor)


def audit_router() -> APIRouter:
    """Return the routes of the audit trail."""
    router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=StrictJsonRoute)

    @router.get("/entries", summary="List the audit trail", response_model=TrailShown)
    async def list_audit_entries(
        request: Request,
        actor: Reader,
        where: Annotated[TrailFilter, Depends(trail_filter)],
        page: Annotated[Page, Depends(page)],
    ) -> Response:
        """Return sealed entries, the latest position first."""
        await _note(request, actor, {"what": "entries", **_given(where)})
        before = int(page.after[0]) if page.after else None
        found = await context_of(request).transparency.trail(
            where=where, before=before, limit=page.limit
        )
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].position,)) if is_full else None
        return json_response(page_body([_entry_shown(one) for one in found], cursor))

    @router.get("/tree-heads", summary="List tree heads", response_model=TreeHeadsShown)
    async def list_audit_tree_heads(
        request: Request, actor: Reader, page: Annotated[Page, Depends(page)]
    ) -> Response:
        """Return signed tree heads, the largest first."""
        await _note(request, actor, {"what": "tree_heads"})
        before = int(page.after[0]) if page.after else None
        found = await context_of(request).transparency.heads(before=before, limit=page.limit)
        is_full = len(found) == page.limit
        cursor = page.next_cursor((found[-1].head.size,)) if is_full else None
        return json_response(page_body([_head_shown(one) for one in found], cursor))

    @router.get(
        "/inclusion/{entry_id:path}", summary="Prove an entry", response_model=InclusionShown
    )
    async def prove_audit_inclusion(
        request: Request,
        entry_id: EntryId,
        actor: Reader,
        tree_size: Annotated[
            int | None,
            Query(ge=1, le=POSITION_MAX, description="of a tree head; default: the latest"),
        ] = None,
    ) -> Response:
        """Prove that an entry is in the log that a tree head signed."""
        await _note(request, actor, {"what": "inclusion", "entry_id": entry_id})
        log = context_of(request).transparency
        return json_response((await log.inclusion(entry_id, size=tree_size)).to_json())

    @router.get("/consistency", summary="Prove the log's past", response_model=ConsistencyShown)
    async def prove_audit_consistency(
        request: Request,
        actor: Reader,
        first: Annotated[
            int, Query(alias="from", ge=1, le=POSITION_MAX, description="size of a tree head")
        ],
        second: Annotated[
            int, Query(alias="to", ge=1, le=POSITION_MAX, description="size of a later one")
        ],
    ) -> Response:
        """Prove that the log of a tree head continues that of an earlier one."""
        if first > second:
            raise InvalidRequest("/query/to", "must not be below from")
        await _note(request, actor, {"what": "consistency", "from": first, "to": second})
        return json_response(
            (await context_of(request).transparency.consistency(first, second)).to_json()
        )

    @router.get(
        "/export",
        summary="Export the log",
        response_class=JsonLines,
        responses={200: {"content": {JsonLines.media_type: {"example": _LINE}}}},
    )
    async def export_audit_log(
        request: Request,
        actor: Reader,
        start: Annotated[int, Query(ge=0, le=POSITION_MAX, description="first position")] = 0,
        limit: Annotated[
            int, Query(ge=1, le=EXPORT_ENTRIES_MAX, description="positions")
        ] = EXPORT_ENTRIES_MAX,
    ) -> Response:
        """Return entries and the tree heads behind them, a line each; from 0 on with the log's key.

        Parts with `start` 0, `limit`, 2 x `limit` ... put together are one file for `fintech audit
        verify`. An empty answer says that there is no more.
        """
        asked: dict[str, Json] = {"what": "export", "start": start, "limit": limit}
        await _note(request, actor, asked, event=EXPORTED)
        context = context_of(request)
        lines = await context.transparency.export_page(begin=start, limit=limit)
        if start == 0:
            lines = [header_line(context.sealer.verification_key), *lines]
        return JsonLines(b"".join(json_bytes(line) + b"\n" for line in lines))

    return router


async def _note(
    request: Request, actor: Actor, asked: Mapping[str, Json], *, event: str = ACCESSED
) -> None:
    await context_of(request).audit_access.note(actor, asked=asked, event=event)


def _given(where: TrailFilter) -> dict[str, Json]:
    asked = {
        "stream_id": where.stream_id,
        "merchant_id": where.merchant_id,
        "type": where.type,
        "subject": where.subject,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _entry_shown(entry: SealedEntry) -> dict[str, Json]:
    leaf = entry.leaf or {}
    return {
        "position": entry.position,
        "leaf_hash": entry.leaf_hash,
        **{name: value for name, value in leaf.items() if name != "step_key"},
        "data": json.loads(str(leaf["data"])),
        "actor": json.loads(str(leaf["actor"])),
        "operation_id": str(leaf["step_key"]).partition(":")[0],
    }


def _head_shown(signed: SignedHead) -> dict[str, Json]:
    return {
        "tree_size": signed.head.size,
        "root_hash": signed.head.root.hex(),
        "signed_at": signed.head.signed_at,
        "note": signed.note,
    }
