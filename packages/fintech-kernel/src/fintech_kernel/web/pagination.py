"""Lists in pages: ``limit``, an opaque ``cursor``, and ``{"data": [...], "next_cursor": ...}``.

A cursor holds the keyset position of the last row and a signature over it, the path, the filters and
the principal's merchant. So it works for the same list only, and for the same merchant; one that was
changed, or taken elsewhere, is refused.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias, cast

from fastapi import Query, Request

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.domain.actors import PLATFORM
from fintech_kernel.errors import InvalidRequest
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.strict_json import NotStrictJson, parse_strict_json
from fintech_kernel.web.context import context_of, known_actor
from fintech_kernel.web.templates import path_template

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
CURSOR_CHARACTERS_MAX: Final = 1_024
CURSOR_PURPOSE: Final = "cursor"

Position: TypeAlias = tuple[str | int, ...]
"""Where a page ends: the sort columns of its last row."""

_PAGING: Final = frozenset({"limit", "cursor"})
_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which page is asked for: at most ``limit`` rows behind ``after`` (None: from the start)."""

    limit: int
    after: Position | None
    keyring: KeyRing
    list_id: str

    def next_cursor(self, position: Position) -> str:
        """Return the cursor of the page behind ``position``."""
        text = canonical_json(list(position))
        signature = self.keyring.sign(CURSOR_PURPOSE, _signed(self.list_id, text))
        return (
            base64.urlsafe_b64encode(f"{signature}{_SEPARATOR}{text}".encode()).decode().rstrip("=")
        )


async def page(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, le=LIMIT_MAX, description="rows of a page", examples=[LIMIT_DEFAULT])
    ] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None,
        Query(
            max_length=CURSOR_CHARACTERS_MAX,
            description="`next_cursor` of the page before; with the same filters",
        ),
    ] = None,
) -> Page:
    """Return which page is asked for: a dependency of every list, declared after ``requires(...)``.

    Raises:
        InvalidRequest: the cursor is not one of ours for this list.
    """
    keyring = context_of(request).keyring
    list_id = _list_id(request)
    after = None if cursor is None else _position(cursor, keyring, list_id)
    return Page(limit=limit, after=after, keyring=keyring, list_id=list_id)


def page_body(data: Sequence[Json], next_cursor: str | None) -> Mapping[str, Json]:
    """Return the body of a page; without a next one ``next_cursor`` is null."""
    return {"data": data, "next_cursor": next_cursor}


def _list_id(request: Request) -> str:
    actor = known_actor(request)
    filters = sorted(
        [name, value] for name, value in request.query_params.multi_items() if name not in _PAGING
    )
    return canonical_json(
        [
            path_template(request.scope),
            {name: str(value) for name, value in request.path_params.items()},
            cast("Json", filters),
            actor.merchant_id if actor else PLATFORM,
        ]
    )


def _signed(list_id: str, position: str) -> bytes:
    return f"{list_id}{_SEPARATOR}{position}".encode()


def _position(cursor: str, keyring: KeyRing, list_id: str) -> Position:
    refused = InvalidRequest("/query/cursor", "must be a next_cursor of this list")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        signature, separator, text = raw.decode().partition(_SEPARATOR)
        if not separator or not keyring.verify(CURSOR_PURPOSE, _signed(list_id, text), signature):
            raise refused
        return tuple(cast("list[str | int]", parse_strict_json(text.encode())))
    except (binascii.Error, ValueError, NotStrictJson):
        raise refused from None
