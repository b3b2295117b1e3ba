"""Bodies that readers disagree about, and members that are the server's to say."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from surface import Operation, answered_fields, placed
from test_matrix import difference
from world import World

pytestmark = pytest.mark.anyio

JSON: Final = {"Content-Type": "application/json"}
MALFORMED: Final = (400, "malformed_json")
MEDIA_TYPE: Final = (415, "unsupported_media_type")
BODY_BYTES_MAX: Final = 65_536

NAMES_AT_ONCE: Final = 15
"""Below the number of violations that one answer lists."""

SERVER_OWNED: Final = frozenset(
    {
        "_links", "actor", "admin", "approved_by", "available_on", "balance", "client_id", "created_by",
        "deleted", "fee", "hash", "id", "internal", "is_admin", "is_platform", "journal", "kind",
        "nonce", "operation_id", "owner", "owner_id", "paid_at", "permissions", "processor",
        "processor_outcome", "role", "roles", "scope", "seq", "settled", "state", "status", "subject",
        "tenant_id", "updated_at", "verified", "version", "__proto__", "constructor",
    }
)  # fmt: skip
"""Names that are not, or not only, in our answers, and that somebody could hope for."""


def tricks(body: Any) -> Iterator[tuple[str, bytes, dict[str, str], tuple[int, str]]]:
    """Yield a valid body spoiled in one way, its headers, and the status and code that answer it."""
    good = json.dumps(body).encode()
    for name, value in {
        "NaN": b"NaN",
        "Infinity": b"Infinity",
        "minus Infinity": b"-Infinity",
        "an integer beyond 2^53": b"9007199254740993",
        "an integer of 6,000 digits": b"9" * 6_000,
        "1e400": b"1e400",
        "a fraction of 6,000 digits": b"0." + b"9" * 6_000,
        "a lone high surrogate": b'"\\ud800"',
        "a lone low surrogate": b'"\\udc00x"',
        "surrogates in the wrong order": b'"\\udc00\\ud800"',
        "NUL, escaped": b'"a\\u0000b"',
        "NUL, raw": b'"a\x00b"',
        "a raw line break": b'"a\nb"',
        "arrays 17 deep": b"[" * 17 + b"]" * 17,
        "arrays 20,000 deep": b"[" * 20_000 + b"]" * 20_000,
        "objects 5,000 deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "a leading zero": b"01",
        "a leading plus": b"+1",
        "hexadecimal": b"0x10",
        "a single-quoted string": b"'x'",
        "a bare word": b"undefined",
        "a comment": b"/* x */ 1",
        "a trailing comma": b"[1,]",
        "a wrong escape": b'"\\x41"',
        "an overlong slash": b'"\xc0\xaf"',
        "half a character": b'"\xe2\x82"',
        "Latin-1": '"é"'.encode("latin-1"),
    }.items():
        yield name, _with_member(good, b'"trick":' + value), JSON, MALFORMED
    repeated = b'"trick":1,"trick":2'
    yield "a repeated key", _with_member(good, repeated), JSON, MALFORMED
    yield "a repeated key, escaped", _with_member(good, b'"a":1,"\\u0061":2'), JSON, MALFORMED
    yield "trailing garbage", good + b"x", JSON, MALFORMED
    yield "two values", good + good, JSON, MALFORMED
    yield "half a value", good[:-1], JSON, MALFORMED
    yield "a byte order mark", b"\xef\xbb\xbf" + good, JSON, MALFORMED
    yield "UTF-16", json.dumps(body).encode("utf-16"), JSON, MALFORMED
    yield "UTF-32", json.dumps(body).encode("utf-32-le"), JSON, MALFORMED
    yield "white space", b"  ", JSON, MALFORMED
    yield "form", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, MEDIA_TYPE
    for content_type in (
        "text/plain", "application/xml", "application/json5", "application/ld+json", "multipart/form-data",
        "application/json; charset=utf-16", "application/json; charset=latin-1", "text/json", "", "json",
    ):  # fmt: skip
        yield f"type {content_type!r}", good, {"Content-Type": content_type}, MEDIA_TYPE
    for encoding in ("gzip", "deflate", "br", "identity, gzip"):
        yield f"encoding {encoding}", good, {**JSON, "Content-Encoding": encoding}, MEDIA_TYPE
    too_large = b" " * (BODY_BYTES_MAX + 1 - len(good)) + good
    yield "a byte too large", too_large, JSON, (413, "body_too_large")
    yield "100 times too large", b" " * 100 * BODY_BYTES_MAX, JSON, (413, "body_too_large")


def _with_member(good: bytes, member: bytes) -> bytes:
    """Return an object with one more member; of what is no object, an object of that member."""
    inside = good[1:-1] if good.startswith(b"{") else b""
    return b"{" + inside + (b"," if inside else b"") + member + b"}"


async def sent(
    world: World, operation: Operation, content: bytes, headers: dict[str, str]
) -> httpx.Response:
    """Return the answer to these bytes as the body of a request that is valid otherwise."""
    request = world.request(operation, body=None, headers=headers)
    if not headers.get("Content-Type"):
        request.headers.pop("Content-Type", None)
    spoiled = world.app.client.build_request(
        request.method, request.url, content=content, headers=request.headers
    )
    return await world.app.client.send(spoiled)


async def test_a_body_that_readers_disagree_about_is_refused_and_changes_nothing(
    world: World, writing_operation: Operation
):
    operation = writing_operation
    before = world.counts()
    found: list[str] = []
    for name, content, headers, expected in tricks(world.body(operation) or {}):
        answer = await sent(world, operation, content, headers)
        told = (answer.status_code, answer.json()["code"])
        if told != expected or answer.headers["content-type"] != "application/problem+json":
            found.append(f"{operation.label}, {name}: {told}, not {expected}: {answer.text}")
    assert found == []
    assert world.counts() == before


async def test_an_empty_or_another_value_than_an_object_is_refused(
    world: World, operation_with_body: Operation
):
    operation = operation_with_body
    before = world.counts()
    for content in (b"", b"null", b"true", b"1", b"1.5", b'"x"', b"[]", b"[{}]"):
        answer = await sent(world, operation, content, JSON)
        assert answer.status_code == 422, f"{operation.label}, {content!r}: {answer.text}"
        assert answer.json()["code"] == "invalid_request", operation.label
    assert world.counts() == before


async def test_a_body_where_none_is_taken_is_refused(world: World, all_operations):
    before = world.counts()
    for operation in all_operations:
        if operation.body is None and operation.permissions:
            answer = await sent(world, operation, b'{"status":"paid"}', JSON)
            assert answer.status_code == 422, f"{operation.label}: {answer.text}"
    assert world.counts() == before


def test_every_object_of_a_body_lists_its_members(operation_with_body: Operation):
    assert operation_with_body.closed_objects() != []


@pytest.fixture(scope="module")
def server_owned(world: World) -> list[str]:
    """Return every name that some answer shows, and those that somebody could hope for."""
    return sorted(answered_fields(world.app.app) | SERVER_OWNED)


async def test_a_member_that_is_the_servers_to_say_is_refused_everywhere(
    world: World, operation_with_body: Operation, server_owned: list[str]
):
    operation = operation_with_body
    before = world.counts()
    found: list[str] = []
    for where in operation.closed_objects():
        names = [name for name in server_owned if name not in operation.members(where)]
        for some in batched(names, NAMES_AT_ONCE):
            for value in ("x", None, {"amount": 1, "currency": "KES"}):
                body = world.body(operation)
                for name in some:
                    body = placed(operation, body, (*where, name), value)
                answer = await world.call(operation, body=body)
                wanted = {"/" + "/".join(map(str, (*where, name))) for name in some}
                accepted = sorted(wanted - _pointers(answer))
                if answer.status_code != 422 or accepted:
                    found.append(f"{operation.label}, {accepted} = {value!r}: {answer.text}")
    assert found == []
    assert world.counts() == before


def batched(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


def _pointers(answer: httpx.Response) -> set[str]:
    return {one["pointer"] for one in answer.json().get("errors", ())}


def test_whoever_writes_with_a_token_writes_strict_json(all_operations):
    assert [
        operation.label
        for operation in all_operations
        if operation.permissions and not operation.is_strict
    ] == []


async def test_a_signed_operation_answers_any_unsigned_bytes_alike(world: World, all_operations):
    before = world.counts()
    for operation in (one for one in all_operations if one.is_signed and not one.is_form):
        plain = await sent(world, operation, b"{}", JSON)
        assert plain.status_code == 401
        for name, content, headers, _ in tricks({"event_id": "evt_1"}):
            answer = await sent(world, operation, content, headers)
            allowed = {401, 413} if len(content) > BODY_BYTES_MAX else {401}
            assert answer.status_code in allowed, f"{operation.label}, {name}: {answer.text}"
            assert answer.status_code == 413 or difference(answer, plain) == "", name
    assert world.counts() == before
