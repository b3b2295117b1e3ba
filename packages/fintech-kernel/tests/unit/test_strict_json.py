import contextlib
import json

import pytest
from fintech_kernel.strict_json import (
    DEPTH_MAX,
    INTEGER_MAX,
    NotStrictJson,
    parse_strict_json,
    strings_of,
)
from hypothesis import given
from hypothesis import strategies as st

REFUSED = {
    "nothing": b"",
    "spaces": b"  ",
    "a word": b"hello",
    "half an object": b'{"a":',
    "two values": b"{} {}",
    "trailing comma": b'{"a":1,}',
    "trailing bytes": b"{}x",
    "comment": b"{/* */}",
    "single quotes": b"{'a':1}",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":-Infinity}',
    "float beyond all": b'{"a":1e400}',
    "float with a thousand digits": b'{"a":0.' + b"1" * 1_000 + b"}",
    "integer above": str(INTEGER_MAX + 1).encode(),
    "integer below": str(-INTEGER_MAX - 1).encode(),
    "integer of 6,000 digits": b"9" * 6_000,
    "hexadecimal": b"0x10",
    "leading zero": b"01",
    "plus": b"+1",
    "repeated key": b'{"a":1,"a":2}',
    "repeated key, same value": b'{"a":1,"a":1}',
    "repeated key, escaped": b'{"a":1,"\\u0061":2}',
    "repeated key, deep": b'[{"b":{"a":1,"a":2}}]',
    "lone surrogate": b'"\\ud800"',
    "lone low surrogate": b'"\\udc00"',
    "surrogates in the wrong order": b'"\\udc00\\ud800"',
    "lone surrogate as key": b'{"\\ud800":1}',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "NUL escaped": b'"a\\u0000b"',
    "NUL raw": b'"a\x00b"',
    "newline raw": b'"a\nb"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "Latin-1": b'"\xe9"',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "too deep by one": b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
    "too deep by objects": b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1),
    "endlessly deep": b"[" * 60_000,
    "endlessly deep and closed": b"[" * 30_000 + b"]" * 30_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_readers_disagree_about_is_refused_with_a_fixed_text(name: str) -> None:
    with pytest.raises(NotStrictJson) as refused:
        parse_strict_json(REFUSED[name])
    assert refused.value.rule.startswith(("must ", "integers must", "numbers must", "strings must"))
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b" [1] ",
        b"null",
        b"-0",
        str(INTEGER_MAX).encode(),
        b'"[[[[[[[[[[[[[[[[[[[["',
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'{"a":{"a":1}}',
        '"\U0001f600 caf\u00e9"'.encode(),
        b'"\\ud83d\\ude00"',
        b"12.5",
    ],
)
def test_plain_json_is_read(raw: bytes) -> None:
    assert parse_strict_json(raw) == json.loads(raw)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\u00e9", max_size=3), inner)
    ),
    max_leaves=DEPTH_MAX - 1,
)


@given(json_values, st.booleans())
def test_whatever_is_written_strictly_is_read_alike(value: object, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse_strict_json(raw) == value


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_a_value_or_refused(raw: bytes) -> None:
    with contextlib.suppress(NotStrictJson):
        parse_strict_json(raw)


def test_every_string_is_found_keys_included() -> None:
    assert sorted(strings_of({"a": ["b", {"c": "d"}], "e": 1})) == ["a", "b", "c", "d", "e"]
