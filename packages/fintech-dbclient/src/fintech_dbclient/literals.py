"""Parameters written into SQL text, for engines that take none. The one place that does it.

Strict on purpose: a value is ``str``, ``int`` or ``None`` and nothing else; NUL, lone surrogates
and integers beyond 64 bits are refused. Text is quoted as standard SQL has it (a quote is doubled,
a backslash is a backslash), so an engine that reads backslash escapes must not be used this way:
the conformance kit finds it out.

Placeholders are found by tokens: a ``?`` in a string, a quoted identifier or a comment is none.
"""

import re
from collections.abc import Sequence

from fintech_dbclient.statements import Value

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1

_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*'          # string
    | "(?:[^"]|"")*"          # quoted identifier
    | --[^\n]*                # comment to the end of the line
    | /\*(?:[^*]|\*(?!/))*\*/ # comment
    | \?
    | ['"]                    # a quote that nothing closes
    | /\*                     # a comment that nothing closes
    """,
    re.VERBOSE,
)
_MUST_NOT_TOUCH = re.compile(r"""[\w'"?$@:\\]""")


def check_value(value: object) -> str | None:
    """Say why a value must not be sent to a database, or None where it may."""
    if value is None:
        return None
    if type(value) is int:
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return None
        return "an integer beyond 64 bits"
    if isinstance(value, str):  # a StrEnum's member too: it is sent as its text
        if "\0" in value:
            return "text with a NUL"
        return None if value.isascii() or _is_encodable(value) else "text with a lone surrogate"
    return f"a value of type {type(value).__name__}"


def literal(value: Value) -> str:
    """Write one value as an SQL literal.

    Raises:
        ValueError: the value must not be sent to a database.
    """
    reason = check_value(value)
    if reason is not None:
        raise ValueError(f"{reason} has no literal")
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return _integer(value)
    return "'" + value.replace("'", "''") + "'"


def inline(sql: str, params: Sequence[Value]) -> str:
    """Write parameters in the place of their ``?``.

    Raises:
        ValueError: the counts differ, a value is refused, quotes do not close, or a ``?`` touches
            a word, a quote or another ``?``, where a literal could melt into its neighbour.
    """
    parts: list[str] = []
    end = 0
    used = 0
    for match in _TOKEN.finditer(sql):
        found = match.group()
        if found in {"'", '"', "/*"}:
            raise ValueError(f"unclosed {found} at character {match.start()}")
        if found.startswith("'") and _is_prefixed(sql, match.start()):
            raise ValueError(f"a prefixed string at character {match.start()}: its rules differ")
        if found != "?":
            continue
        if used == len(params):
            raise ValueError(f"more placeholders than the {len(params)} parameters")
        _check_neighbours(sql, match.start())
        parts += [sql[end : match.start()], literal(params[used])]
        end = match.end()
        used += 1
    if used != len(params):
        raise ValueError(f"{used} placeholders for {len(params)} parameters")
    parts.append(sql[end:])
    return "".join(parts)


def _integer(value: int) -> str:
    if value == INTEGER_MIN:  # its positive counterpart is beyond 64 bits: SQLite makes it a float
        return f"(-{INTEGER_MAX} - 1)"
    return str(value) if value >= 0 else f"({value})"  # "-?" must not become a "--" comment


def _check_neighbours(sql: str, at: int) -> None:
    around = sql[max(0, at - 1) : at] + sql[at + 1 : at + 2]
    if _MUST_NOT_TOUCH.search(around):
        raise ValueError(f"the placeholder at character {at} touches its neighbour: add a space")


def _is_prefixed(sql: str, at: int) -> bool:
    """Whether a string is written as ``E'...'`` or the like, where a backslash would escape."""
    return at > 0 and (sql[at - 1].isalnum() or sql[at - 1] in "_&$")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
