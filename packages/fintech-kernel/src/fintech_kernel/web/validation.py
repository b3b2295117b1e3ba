"""What pydantic found wrong with a request, in our words: where, and which rule. Never the value.

Rules are fixed texts by pydantic's error type, with the bounds of our own schemas filled in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

VIOLATIONS_MAX: Final = 20
"""Violations that one answer lists."""

_SHOWN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Names of members that a pointer repeats. Members are named by the sender: anything else is left out."""

_LOCATIONS: Final = {
    "body": "",
    "query": "/query",
    "path": "/path",
    "header": "/headers",
    "cookie": "/cookies",
}

_OTHER_RULE: Final = "is not valid"

_RULES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a member of this schema",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern of this schema",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "enum": "must be one of the values of this schema",
    "literal_error": "must be one of the values of this schema",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "datetime_type": "must be a time (RFC 3339)",
    "datetime_parsing": "must be a time (RFC 3339)",
    "datetime_from_date_parsing": "must be a time (RFC 3339)",
    "timezone_aware": "must name its offset from UTC",
    "date_type": "must be a date",
    "date_parsing": "must be a date",
    "date_from_datetime_parsing": "must be a date",
    "none_required": "must be null",
    "union_tag_not_found": "must name its kind",
    "union_tag_invalid": "must name a known kind",
}


class Rule(ValueError):
    """Raised by a validator of ours: its text is fixed and may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that a request breaks. ``pointer`` is RFC 6901; the body is its root."""

    pointer: str
    rule: str


def violations_of(errors: Sequence[Any]) -> list[Violation]:
    """Return what pydantic found, in our words, without repeats."""
    found = {
        Violation(pointer=_pointer(error["loc"]), rule=_rule(error)): None
        for error in errors[:VIOLATIONS_MAX]
    }
    return list(found)


def pointer_to(place: str, name: str) -> str:
    """Return the pointer to a part that the sender named: ``/query/limit``."""
    return _pointer((place, name))


def _pointer(location: Sequence[str | int]) -> str:
    if not location:
        return ""
    head, *path = location
    pointer = _LOCATIONS.get(str(head), "")
    for part in path:
        name = str(part)
        if not _SHOWN_NAME.fullmatch(name):
            break
        pointer += "/" + (name.lower() if head == "header" else name)
    return pointer


def _rule(error: Mapping[str, Any]) -> str:
    bounds: Mapping[str, Any] = error.get("ctx") or {}
    if isinstance(reason := bounds.get("error"), Rule):
        return str(reason)
    try:
        return _RULES.get(error["type"], _OTHER_RULE).format_map(bounds)
    except KeyError:
        return _OTHER_RULE
