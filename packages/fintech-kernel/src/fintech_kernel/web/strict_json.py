"""Routes whose bodies are read strictly, once, and only from principals that may send them.

``StrictJsonRoute`` is the class of every JSON route (``APIRouter(route_class=StrictJsonRoute)``). It
authenticates first, so that nobody without a token makes us read a body; then it refuses parameters that
the route does not have, and reads and checks the body; only then do FastAPI and the schemas see it. What
was sent stays at hand for the fingerprint.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from email.message import Message
from typing import Any, Final, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response

from fintech_kernel.errors import InvalidRequest, InvariantBroken, NotFound
from fintech_kernel.security.card_numbers import holds_card_number, may_hold_card_number
from fintech_kernel.strict_json import NotStrictJson, SentJson, parse_strict_json, strings_of
from fintech_kernel.web.authentication import requirements
from fintech_kernel.web.errors import (
    BodyNotExpected,
    CardNumberRefused,
    MalformedJson,
    UnsupportedMediaType,
)
from fintech_kernel.web.validation import pointer_to

_JSON: Final = "application/json"
_CHARSETS: Final = frozenset({"", "utf-8"})
_ENCODINGS: Final = frozenset({"", "identity"})

_ENCODED_SLASH: Final = b"%2f"
_TAKES_SLASHES: Final = ":path}"


class StrictJsonRequest(Request):
    """A request whose body was read strictly. ``sent`` is None where there was none."""

    sent: SentJson = None

    async def json(self) -> SentJson:
        """Return the body as it was read; it is not parsed again."""
        return self.sent

    async def read_body(self) -> None:
        """Read and check the body.

        Raises:
            UnsupportedMediaType: a body that is not plain ``application/json``.
            MalformedJson: a body that readers disagree about.
            CardNumberRefused: a string in it looks like a card number.
        """
        raw = await self.body()
        if not raw:
            return
        _check_media_type(self)
        self.sent = parse_body(raw)


Handle = Callable[[StrictJsonRequest], Coroutine[Any, Any, Response]]
"""Answers a request that was read strictly."""


class StrictJsonRoute(APIRoute):
    """A route that authenticates first and reads parameters and JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler of this route."""
        handle = strictly(
            super().get_route_handler(),
            # A permission that only an including router requires is checked later, by FastAPI.
            self.dependant,
            path=self.path,
            takes_body=self.body_field is not None,
        )

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return handle_strictly


def strictly(handle: Handle, dependant: Dependant, *, path: str, takes_body: bool) -> Handle:
    """Return a route's handler behind what is asked of every request before."""
    required = tuple(requirements(dependant))
    takes_slashes = _TAKES_SLASHES in path
    parameters = dict(_query_parameters(dependant))

    async def handle_strictly(request: StrictJsonRequest) -> Response:
        if not takes_slashes and _ENCODED_SLASH in request.scope.get("raw_path", b"").lower():
            raise NotFound  # it was decoded: what the path says is not what the router read
        for requirement in required:
            await requirement(request)
        if request.scope["query_string"]:
            _check_query(request, parameters)
        await request.read_body()
        if not takes_body and request.sent not in (None, {}):
            raise BodyNotExpected
        return await handle(request)

    return handle_strictly


def parse_body(raw: bytes) -> SentJson:
    """Return what a body says.

    Raises:
        MalformedJson: readers disagree about it.
        CardNumberRefused: a string in it looks like a card number.
    """
    try:
        value = parse_strict_json(raw)
    except NotStrictJson as error:
        raise MalformedJson(error.rule) from None
    text = raw.decode()
    if ("\\u" in text or may_hold_card_number(text)) and any(
        map(holds_card_number, strings_of(value))
    ):
        raise CardNumberRefused
    return value


def sent_body(request: Request) -> SentJson:
    """Return the body as it was sent, before any default; None where there was none.

    Raises:
        InvariantBroken: the route is no ``StrictJsonRoute``.
    """
    if not isinstance(request, StrictJsonRequest):
        raise InvariantBroken("the route is no StrictJsonRoute, so what was sent is not known")
    return request.sent


def _query_parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the names of a route's query parameters, and whether each may be given several times."""
    for parameter in dependant.query_params:
        yield parameter.alias, _is_list(parameter.field_info.annotation)
    for inner in dependant.dependencies:
        yield from _query_parameters(inner)


def _is_list(annotation: object) -> bool:
    return list in (annotation, get_origin(annotation)) or any(map(_is_list, get_args(annotation)))


def _check_query(request: Request, parameters: Mapping[str, bool]) -> None:
    """Refuse what the route would not read: a filter with a typing error must not show everything.

    Raises:
        InvalidRequest: an unknown parameter, or one of a single value given twice.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in parameters:
            raise InvalidRequest(pointer_to("query", name), "is not a parameter of this operation")
        if name in seen and not parameters[name]:
            raise InvalidRequest(pointer_to("query", name), "must be given once")
        seen.add(name)


def _check_media_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type != _JSON and not _is_json_in_utf8(content_type):
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "").lower() not in _ENCODINGS:
        raise UnsupportedMediaType


def _is_json_in_utf8(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    charset = message.get_content_charset("")
    return message.get_content_type() == _JSON and charset in _CHARSETS
