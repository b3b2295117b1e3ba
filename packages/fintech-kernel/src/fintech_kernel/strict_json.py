"""JSON read strictly: what two parsers could read differently is refused (RFC 7493, I-JSON).

Python's own parser accepts NaN and duplicate keys, turns ``1e400`` into infinity and fails in several
ways on deep nesting and on integers of thousands of digits. Here each of these is one error with a
fixed text. Card numbers are not looked for here: see ``security.card_numbers``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, cast

DEPTH_MAX: Final = 16
"""Objects and arrays inside one another."""

INTEGER_MAX: Final = 2**53 - 1
"""Largest integer, either sign: what every JSON reader holds exactly (RFC 7493 section 2.2)."""

INTEGER_CHARACTERS_MAX: Final = 17
"""A sign and sixteen digits. Checked first, so that thousands of digits are never converted."""

FLOAT_CHARACTERS_MAX: Final = 64
"""Characters of a number with fraction or exponent. No schema of ours takes one; they are read so
that the schema can say so."""

SentJson: TypeAlias = (
    "str | int | float | bool | Mapping[str, SentJson] | Sequence[SentJson] | None"
)
"""A JSON value as somebody sent it. Schemas take no floats, but clients send them."""


class NotStrictJson(ValueError):
    """The bytes are not JSON that every reader reads alike.

    Attributes:
        rule: the rule that they break, fixed text.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def parse_strict_json(raw: bytes) -> SentJson:
    """Return the value of a JSON text in UTF-8.

    Raises:
        NotStrictJson: not UTF-8, not JSON, or JSON that readers disagree about.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictJson("must be UTF-8") from None
    try:
        value = cast("SentJson", _decoder.decode(text))
    except json.JSONDecodeError:
        raise NotStrictJson("must be one complete JSON value") from None
    except RecursionError:
        raise NotStrictJson(_TOO_DEEP) from None
    # Brackets inside strings are counted too: the count is an upper bound of the depth, and hardly any
    # body reaches it. Only an escape can bring in a NUL or a lone surrogate: the decoder refuses them raw.
    if text.count("[") + text.count("{") > DEPTH_MAX:
        _refuse_depth(value)
    if "\\u" in text:
        _refuse_characters(value)
    return value


_TOO_DEEP: Final = f"must not nest deeper than {DEPTH_MAX} levels"


def _object(pairs: list[tuple[str, SentJson]]) -> dict[str, SentJson]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("must not repeat a key in an object")
    return members


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_CHARACTERS_MAX or abs(number := int(digits)) > INTEGER_MAX:
        raise NotStrictJson(f"integers must lie between -{INTEGER_MAX} and {INTEGER_MAX}")
    return number


def _float(digits: str) -> float:
    if len(digits) > FLOAT_CHARACTERS_MAX or not math.isfinite(number := float(digits)):
        raise NotStrictJson("numbers must be finite and short")
    return number


def _constant(_name: str) -> NoReturn:
    raise NotStrictJson("must not hold NaN or Infinity")


def _refuse_depth(value: SentJson) -> None:
    level: list[SentJson] = [value]
    for _ in range(DEPTH_MAX):
        children = (child for parent in level for child in _children(parent))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise NotStrictJson(_TOO_DEEP)


def _children(value: SentJson) -> "Sequence[SentJson]":
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _refuse_characters(value: SentJson) -> None:
    for text in strings_of(value):
        if "\x00" in text:
            raise NotStrictJson("strings must not hold the NUL character")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise NotStrictJson("strings must not hold lone surrogates")


def strings_of(value: SentJson) -> "list[str]":
    """Return every string in a value, keys of objects included."""
    found: list[str] = []
    pending: list[SentJson] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return found


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
