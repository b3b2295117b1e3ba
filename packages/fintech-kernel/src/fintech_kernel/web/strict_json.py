"""Routes whose bodies are read strictly, once, and only from principals that may send them.

``StrictJsonRoute`` is the class of every JSON route (``APIRouter(route_class=StrictJsonRoute)``). It
authenticates first, so that nobody without a token makes us read a body; then it reads and checks the
body; only then do FastAPI and the schemas see it. What was sent stays at hand for the fingerprint.
"""

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from fintech_kernel.errors import InvariantBroken
from fintech_kernel.security.card_numbers import holds_card_number, may_hold_card_number
from fintech_kernel.strict_json import NotStrictJson, SentJson, parse_strict_json, strings_of
from fintech_kernel.web.authentication import requirements
from fintech_kernel.web.errors import (
    BodyNotExpected,
    CardNumberRefused,
    MalformedJson,
    UnsupportedMediaType,
)

_JSON: Final = "application/json"
_CHARSETS: Final = frozenset({"", "utf-8"})
_ENCODINGS: Final = frozenset({"", "identity"})


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


class StrictJsonRoute(APIRoute):
    """A route that authenticates first and reads JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler of this route."""
        handle = super().get_route_handler()
        # A permission that only an including router requires is checked later, by FastAPI.
        required = tuple(requirements(self.dependant))
        takes_body = self.body_field is not None

        async def handle_strictly(request: Request) -> Response:
            strict = StrictJsonRequest(request.scope, request.receive)
            for requirement in required:
                await requirement(strict)
            await strict.read_body()
            if not takes_body and strict.sent not in (None, {}):
                raise BodyNotExpected
            return await handle(strict)

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
