"""Other ways to say a method or a path: none of them reaches what the plain way does not."""

import re
from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from principals import NOBODY, PRINCIPALS, Principal
from surface import Operation
from test_matrix import difference
from world import World

pytestmark = pytest.mark.anyio

METHODS: Final = (
    "GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "get",
    "post", "GETX",
)  # fmt: skip

OVERRIDES: Final = {
    "X-HTTP-Method-Override": ("GET", "POST", "DELETE"),
    "X-HTTP-Method": ("POST",),
    "X-Method-Override": ("POST",),
    "X-Original-Method": ("POST",),
    "X-Original-URL": ("/health/live", "/v1/merchants"),
    "X-Rewrite-URL": ("/health/live",),
    "X-Forwarded-Prefix": ("/health",),
    "X-Forwarded-For": ("127.0.0.1",),
    "X-Forwarded-Host": ("localhost",),
    "X-Real-IP": ("127.0.0.1",),
    "Forwarded": ("for=127.0.0.1;by=127.0.0.1;host=localhost",),
    "X-Remote-User": ("platform_admin",),
    "X-Forwarded-User": ("platform_admin",),
    "X-User-Roles": ("platform_admin",),
    "X-Merchant-Id": ("",),
    "Cookie": ("access_token=platform_admin",),
}
"""Headers that some servers and gateways obey."""


def variants(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield other spellings of a path, named."""
    head, _, tail = path.rpartition("/")
    yield "trailing slash", f"{path}/".encode()
    yield "trailing slashes", f"{path}//".encode()
    yield "leading slashes", f"/{path}".encode()
    yield "doubled slashes", path.replace("/", "//").encode()
    yield "upper case", path.upper().encode()
    yield "capital", path.replace("/v1", "/V1").encode()
    yield "encoded slashes", b"/" + path[1:].replace("/", "%2f").encode()
    yield "encoded last slash", f"{head}%2F{tail}".encode()
    yield "encoded twice", f"{head}%252f{tail}".encode()
    yield "backslash", f"{head}\\{tail}".encode()
    yield "full-width slash", f"{head}%ef%bc%8f{tail}".encode()
    yield "overlong slash", f"{head}%c0%af{tail}".encode()
    yield "dot segment", f"{head}/./{tail}".encode()
    yield "dot segments up", f"/health/live/../..{path}".encode()
    yield "encoded dot segments up", f"/health/live/%2e%2e/%2e%2e{path}".encode()
    yield "parameters of a segment", f"{path};role=platform_admin".encode()
    yield "suffix", f"{path}.json".encode()
    yield "space at the end", f"{path}%20".encode()
    yield "NUL at the end", f"{path}%00".encode()
    yield "NUL and suffix", f"{path}%00.json".encode()
    yield "line break", f"{path}%0d%0aAuthorization:%20Bearer%20x".encode()
    yield "fragment", f"{path}%23".encode()
    yield "query in the path", f"{path}%3f".encode()


def denied(world: World, operation: Operation) -> list[Principal]:
    """Return nobody, and a principal whose role lacks the permission, where there is one."""
    lacking = (
        one
        for one in PRINCIPALS
        if not one.is_anonymous and not one.may(world.app.context, operation.permissions)
    )
    return [NOBODY, *list(lacking)[-1:]]


def spelled(request: httpx.Request, raw_path: bytes) -> httpx.Request:
    """Return a request whose path is these bytes; no client normalizes them."""
    query = b"?" + request.url.query if request.url.query else b""
    request.url = request.url.copy_with(raw_path=raw_path + query)
    return request


async def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_takes(
    world, all_operations
):
    before = world.counts()
    for operation in all_operations:
        taken = {one.method for one in all_operations if _fits(one.path, operation.path)}
        for method in METHODS:
            if method in taken:
                continue
            request = world.request(operation)
            request.method = method
            answer = await world.app.client.send(request)
            label = f"{method} {operation.path}"
            assert answer.status_code == 405, f"{label}: {answer.status_code}"
            assert set(answer.headers["allow"].split(", ")) == taken, label
            if method != "HEAD":
                assert answer.json()["code"] == "method_not_allowed", label
    assert world.counts() == before


def _fits(template: str, path: str) -> bool:
    """Whether a path is one of a template's: `runs` may stand in the place of an id, too."""
    pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
    return template == path or re.fullmatch(pattern, path) is not None


async def test_another_spelling_of_a_path_lets_nobody_in(
    world: World, guarded_operation: Operation
):
    operation = guarded_operation
    before = world.counts()
    for principal in denied(world, operation):
        plain = world.request(operation, as_=principal).url.raw_path.partition(b"?")[0].decode()
        for name, raw_path in variants(plain):
            answer = await world.app.client.send(
                spelled(world.request(operation, as_=principal), raw_path)
            )
            label = f"{operation.label} as {principal.name}, {name}"
            assert answer.status_code in (400, 401, 403, 404, 405, 422), (
                f"{label}: {answer.status_code} {answer.text}"
            )
            assert answer.headers["content-type"] == "application/problem+json", label
    assert world.counts() == before


async def test_a_foreign_object_is_not_reached_through_an_own_one(world, all_operations):
    viewer = Principal("merchant_viewer", "merchant_viewer")
    for operation in all_operations:
        if operation.method != "GET" or not viewer.may(world.app.context, operation.permissions):
            continue
        for name in operation.path_names:
            own, foreign = world.own[name], world.foreign[name]
            for joint in (
                "/../",
                "%2f..%2f",
                "/%2e%2e/",
                "%2f",
                ";",
                ",",
                "%00",
                "%0a",
                "&",
                "?id=",
            ):
                request = world.request(operation, as_=viewer)
                raw_path = operation.path.format(**{**world.own, name: f"{own}{joint}{foreign}"})
                answer = await world.app.client.send(spelled(request, raw_path.encode()))
                shown = [one for one in (foreign,) if one in answer.text]
                assert shown == [], f"{operation.label}, {name} with {joint}: {answer.text}"


async def test_no_header_overrides_method_path_or_principal(
    world: World, guarded_operation: Operation
):
    operation = guarded_operation
    for principal in denied(world, operation):
        plain = await world.call(operation, as_=principal)
        for name, values in OVERRIDES.items():
            for value in values:
                answer = await world.call(operation, as_=principal, headers={name: value})
                told = difference(answer, plain)
                assert told == "", f"{operation.label} as {principal.name}, {name}: {value}: {told}"


@pytest.mark.parametrize("name", ["_method", "method", "access_token", "token", "role"])
async def test_no_query_parameter_overrides_method_or_token(world, all_operations, name):
    for operation in all_operations:
        if operation.permissions:
            plain = await world.call(operation, as_=NOBODY)
            answer = await world.call(operation, as_=NOBODY, query={name: "POST"})
            assert difference(answer, plain) == "", operation.label
