"""What a request may not be, in whatever form it comes: parameters, paths, methods, headers."""

from typing import Annotated, Any
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, Depends, Query
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.pagination import LIMIT_MAX, Page, page
from fintech_kernel.web.strict_json import StrictJsonRoute

pytestmark = pytest.mark.anyio

READER = [Depends(requires("things:read"))]
WRITER = [Depends(requires("things:write"))]


@pytest.fixture
def app(new_app: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/things", dependencies=READER)
    async def things(
        page: Annotated[Page, Depends(page)],
        status: str | None = None,
        since: Annotated[int | None, Query(alias="from")] = None,
        tag: Annotated[list[str] | None, Query()] = None,
    ) -> dict[str, Any]:
        return {"limit": page.limit, "status": status, "since": since, "tags": tag}

    @router.get("/things/{thing_id}", dependencies=READER)
    async def thing(thing_id: str) -> dict[str, str]:
        return {"thing_id": thing_id}

    @router.post("/things/{thing_id}/close", dependencies=WRITER)
    async def close(thing_id: str) -> dict[str, str]:
        return {"closed": thing_id}

    @router.get("/files/{name:path}", dependencies=READER)
    async def file(name: str) -> dict[str, str]:
        return {"name": name}

    return new_app(router)


@pytest.fixture
async def client(app: Any, client_of: Any) -> Any:
    async with client_of(app) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"limit": 50, "status": None, "since": None, "tags": None}),
        ("?status=open&from=3", {"limit": 50, "status": "open", "since": 3, "tags": None}),
        ("?tag=a&tag=b", {"limit": 50, "status": None, "since": None, "tags": ["a", "b"]}),
        (f"?limit={LIMIT_MAX}", {"limit": 200, "status": None, "since": None, "tags": None}),
    ],
)
async def test_parameters_of_the_operation_are_read(
    client: Any, bearer: Any, query: str, shown: dict[str, Any]
) -> None:
    assert (await client.get(f"/v1/things{query}", headers=bearer)).json() == shown


@pytest.mark.parametrize(
    ("query", "pointer", "rule"),
    [
        ("?stauts=open", "/query/stauts", "is not a parameter of this operation"),
        ("?Status=open", "/query/Status", "is not a parameter of this operation"),
        ("?since=3", "/query/since", "is not a parameter of this operation"),
        ("?merchant_id=mch_2", "/query/merchant_id", "is not a parameter of this operation"),
        ("?status=open&status=closed", "/query/status", "must be given once"),
        ("?limit=1&limit=1", "/query/limit", "must be given once"),
        ("?%3Cscript%3E=1", "/query", "is not a parameter of this operation"),
        ("?=1", "/query", "is not a parameter of this operation"),
        ("?limit=0", "/query/limit", "must be at least 1"),
        (f"?limit={LIMIT_MAX + 1}", "/query/limit", "must be at most 200"),
        (f"?limit={LIMIT_MAX * 100}", "/query/limit", "must be at most 200"),
    ],
)
async def test_any_other_parameter_is_named_and_refused(
    client: Any, bearer: Any, query: str, pointer: str, rule: str
) -> None:
    response = await client.get(f"/v1/things{query}", headers=bearer)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["errors"] == [{"pointer": pointer, "rule": rule}]


async def test_parameters_of_nobody_are_not_looked_at(client: Any) -> None:
    assert (await client.get("/v1/things?stauts=open")).status_code == 401


async def test_an_operation_without_parameters_takes_none(client: Any, bearer: Any) -> None:
    response = await client.post("/v1/things/1/close?force=true", headers=bearer)
    assert response.status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/v1/things/1%2fclose", "/v1/things/1%2Fclose", "/v1/things%2f1", "/v1%2fthings/1",
        "/v1/things/a%2fb", "/v1/things/%2f", "/v1/things/1/", "/v1/things/", "/v1//things/1",
        "//v1/things/1", "/V1/things/1", "/v1/Things/1",
        "/v1/things/../things/1/x", "/v1/./things/1", "/v1/things/1/../../things/1",
        "/v1/%2e%2e/v1/things/1", "/v1/things/1%00/x", "/things/1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_path_has_one_spelling(app: Any, bearer: Any, method: str, path: str) -> None:
    status = await status_of(app, method, path, bearer)
    assert status in {404, 405}, path


async def test_what_may_hold_slashes_may_hold_them_encoded(client: Any, bearer: Any) -> None:
    for path in ("/v1/files/a/b", "/v1/files/a%2Fb"):
        assert (await client.get(path, headers=bearer)).json() == {"name": "a/b"}


@pytest.mark.parametrize(
    "method", ["HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "get", "GETX"]
)
async def test_a_method_that_the_route_does_not_have_is_405(
    app: Any, bearer: Any, method: str
) -> None:
    assert await status_of(app, method, "/v1/things/1", bearer) == 405


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"]
)
async def test_no_header_changes_the_method(client: Any, bearer: Any, header: str) -> None:
    response = await client.get("/v1/things/1", headers={**bearer, header: "DELETE"})
    assert response.json() == {"thing_id": "1"}
    assert (
        await client.get("/v1/things/1/close", headers={**bearer, header: "POST"})
    ).status_code == 405


@pytest.mark.parametrize(
    "header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"]
)
async def test_no_header_changes_the_path(client: Any, bearer: Any, header: str) -> None:
    response = await client.get("/v1/things/1", headers={**bearer, header: "/v1/things/2"})
    assert response.json() == {"thing_id": "1"}
    assert (
        await client.get("/v1/none", headers={**bearer, header: "/v1/things/2"})
    ).status_code == 404


async def status_of(app: Any, method: str, path: str, headers: dict[str, str]) -> int:
    """Ask as a server would hand it over: no client has tidied the path or the method."""
    sent: list[dict[str, Any]] = []
    received = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return received.pop() if received else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": unquote(path),
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("api.test", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return int(sent[0]["status"])
