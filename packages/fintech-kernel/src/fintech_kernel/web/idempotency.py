"""``Idempotency-Key`` and the fingerprint of a request: has this been asked before, and was it this?

Header: draft-ietf-httpapi-idempotency-key-header; a structured string (``"8e03978e"``) as the draft
says, or bare as most clients send it. Both forms name the same key. The fingerprint covers method,
path template, path parameters and the body as it was sent, before any default; it is keyed, so that a
stored fingerprint tells nothing about a body.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from fastapi import Request

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.errors import IdempotencyKeyMissing, InvalidRequest
from fintech_kernel.security.card_numbers import holds_card_number
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.web.context import context_of
from fintech_kernel.web.errors import CardNumberRefused
from fintech_kernel.web.strict_json import sent_body
from fintech_kernel.web.templates import path_template

KEY_CHARACTERS_MAX: Final = 255
FINGERPRINT_PURPOSE: Final = "fingerprint"

KEY_PATTERN: Final = (
    rf"^([!#-+\--:<-\[\]-~]{{1,{KEY_CHARACTERS_MAX}}}"  # bare: visible ASCII without " \ , ;
    rf'|"([!#-\[\]-~]|\\["\\]){{1,{KEY_CHARACTERS_MAX}}}")$'  # quoted, with " and \ escaped
)
"""The header's two forms, as the API's document shows them."""

_HEADER: Final = "idempotency-key"
_POINTER: Final = f"/headers/{_HEADER}"
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARACTERS_MAX}}}")
_BARE: Final = re.compile(r'[^"\\,;]+')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class SignedFingerprint:
    """What was asked, signed: implements ``domain.operations.Fingerprint``."""

    _asked: bytes
    _keyring: KeyRing

    @property
    def value(self) -> str:
        """The signature that is stored."""
        return self._keyring.sign(FINGERPRINT_PURPOSE, self._asked)

    def matches(self, stored: str) -> bool:
        """Whether ``stored`` was made of the same request, with this secret or an earlier one."""
        return self._keyring.verify(FINGERPRINT_PURPOSE, self._asked, stored)


async def idempotency(request: Request) -> IdempotentCall:
    """Return key and fingerprint of a request: a dependency of every POST that moves something.

    Raises:
        IdempotencyKeyMissing: there is no such header.
        InvalidRequest: it is not one key of 1 to 255 visible ASCII characters.
        CardNumberRefused: it looks like a card number.
    """
    key = parse_key(request.headers.getlist(_HEADER))
    return IdempotentCall(key=key, fingerprint=fingerprint_of(request))


def parse_key(values: Sequence[str]) -> str:
    """Return the key of the header's values.

    Raises:
        IdempotencyKeyMissing: there is none.
        InvalidRequest: it is not one key of 1 to 255 visible ASCII characters.
        CardNumberRefused: it looks like a card number.
    """
    if not values:
        raise IdempotencyKeyMissing(IdempotencyKeyMissing.code)
    if len(values) > 1:
        raise InvalidRequest(_POINTER, "must be sent once")
    text = values[0].strip(" ")
    if quoted := _QUOTED.fullmatch(text):
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise InvalidRequest(_POINTER, "must be one string, quoted or bare, without parameters")
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            _POINTER, f"must have 1 to {KEY_CHARACTERS_MAX} visible ASCII characters"
        )
    if holds_card_number(key):
        raise CardNumberRefused
    return key


def fingerprint_of(request: Request) -> SignedFingerprint:
    """Return the fingerprint of a request that a ``StrictJsonRoute`` read."""
    asked = [
        request.method,
        path_template(request.scope),
        {name: str(value) for name, value in request.path_params.items()},
        sent_body(request),
    ]
    data = canonical_json(cast("Json", asked)).encode()
    return SignedFingerprint(data, context_of(request).keyring)
