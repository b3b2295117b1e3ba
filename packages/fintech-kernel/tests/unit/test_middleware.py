import asyncio
import re
from typing import Any

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from fintech_dbclient.deadlines import seconds_left
from fintech_kernel.errors import Refusal
from fintech_kernel.observability.context import current_request_id, note_operation
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.limits import HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX
from fintech_kernel.web.strict_json import StrictJsonRoute

pytestmark = pytest.mark.anyio

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BODY_BYTES_MAX = 2_048


@pytest.fixture
def settings(make_settings: Any) -> Any:
    return make_settings(app_body_bytes_max=BODY_BYTES_MAX, app_request_timeout_seconds=0.2)


@pytest.fixture
def app(new_app: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)
    plain = APIRouter()

    @router.get("/things/{thing_id}")
    async def read(thing_id: str, token: str = "") -> dict[str, Any]:
        return {"request_id": current_request_id(), "left": seconds_left(99.0)}

    @router.post("/things", dependencies=[Depends(requires("things:write"))])
    async def make() -> dict[str, Any]:
        note_operation("op_1")
        return {}

    @router.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    @router.get("/own-timeout")
    async def own_timeout() -> None:
        raise TimeoutError("canary")

    @router.get("/breaks-off")
    async def breaks_off() -> StreamingResponse:
        async def parts():
            yield b"begun"
            raise Refusal(canary=1)

        return StreamingResponse(parts())

    @plain.post("/plain")
    async def plain_route(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @plain.post("/swallows")
    async def swallows(request: Request) -> dict[str, str]:
        try:
            await request.body()
        except Exception:  # noqa: BLE001 - a route that hides what happened
            return {"said": "all is well"}
        return {}

    return new_app(router, plain)


@pytest.fixture
async def client(app: Any, client_of: Any) -> Any:
    async with client_of(app) as opened:
        yield opened


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
async def test_a_valid_request_id_is_kept(client, given: str) -> None:
    response = await client.get("/v1/things/1", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given == response.json()["request_id"]


@pytest.mark.parametrize(
    "given",
    ["", " ", "x" * 65, "a b", "a/b", "a\tb", "<script>", "4111111111111111", "a,b", "a\\nb"],
)
async def test_any_other_request_id_is_replaced(client, lines, given: str) -> None:
    response = await client.get("/v1/things/1", headers={"X-Request-ID": given})
    assert re.fullmatch(r"req_[0-9a-z]{26}", response.headers["x-request-id"])
    assert [line["request_id"] for line in lines()] == [response.headers["x-request-id"]]


async def test_two_request_ids_are_none(client) -> None:
    headers = [("X-Request-ID", "a"), ("X-Request-ID", "b")]
    response = await client.get("/v1/things/1", headers=headers)
    assert response.headers["x-request-id"].startswith("req_")


async def test_a_valid_trace_goes_on_in_a_span_of_ours(client, lines) -> None:
    response = await client.get("/v1/things/1", headers={"traceparent": TRACE})
    version, trace_id, span_id, flags = response.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE.split("-")[1], "01")
    assert span_id != TRACE.split("-")[2]
    assert lines()[0]["trace_id"] == trace_id


@pytest.mark.parametrize(
    "given",
    [
        "", "x", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", TRACE.upper(), TRACE + "-x", "ff" + TRACE[2:],
        TRACE.replace("00f067aa0ba902b7", "0" * 16), TRACE[:-1], f"{TRACE}\n",
    ],
)  # fmt: skip
async def test_any_other_trace_is_begun_anew(client, given: str) -> None:
    response = await client.get("/v1/things/1", headers={"traceparent": given})
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", response.headers["traceparent"])
    assert "4bf92f35" not in response.headers["traceparent"].lower()


@pytest.mark.parametrize("path", ["/v1/things/1", "/v1/none", "/v1/own-timeout", "/v1/slow"])
async def test_every_answer_has_the_security_headers(client, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in headers


async def test_only_the_documentation_may_load_scripts(client) -> None:
    assert "script-src" in (await client.get("/docs")).headers["content-security-policy"]
    assert "script-src" not in (await client.get("/v1/x")).headers["content-security-policy"]


async def test_the_access_log_has_the_template_and_no_values(client, lines, bearer) -> None:
    await client.get("/v1/things/canary-path?token=canary-query", headers={"cookie": "canary"})
    await client.post("/v1/things", json={}, headers=bearer)
    await client.get("/v1/canary-nowhere")
    first, second, third = lines()
    assert (first["message"], first["method"], first["route"]) == (
        "request",
        "GET",
        "/v1/things/{thing_id}",
    )
    assert first["status"] == 200
    assert first["duration_ms"] > 0
    assert (second["subject"], second["merchant_id"], second["operation_id"]) == (
        "ann",
        "mch_1",
        "op_1",
    )
    assert (third["route"], third["status"]) == ("-", 404)
    assert "canary" not in str(lines())


@pytest.mark.parametrize("size", [0, 1, BODY_BYTES_MAX])
async def test_a_body_within_the_limit_is_read(client, size: int) -> None:
    assert (await client.post("/v1/plain", content=b"x" * size)).json() == {"size": size}


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 100 * BODY_BYTES_MAX])
@pytest.mark.parametrize("path", ["/v1/plain", "/v1/swallows", "/v1/things"])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_the_limit_is_refused(
    client, bearer, size: int, path: str, announced: bool
) -> None:
    sent = 0

    async def parts() -> Any:
        nonlocal sent
        for _ in range(size // 64 + 1):
            sent += 64
            yield b"x" * 64

    content = b"x" * size if announced else parts()
    response = await client.post(path, content=content, headers=bearer)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert sent <= BODY_BYTES_MAX + 128


async def test_a_number_that_is_no_length_is_not_trusted(client) -> None:
    response = await client.post("/v1/plain", content=b"x", headers={"content-length": "9" * 400})
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("size", "status"), [(URL_BYTES_MAX, 404), (URL_BYTES_MAX + 1, 414), (60_000, 414)]
)
async def test_a_long_url_is_refused(client, size: int, status: int) -> None:
    query = "/x?" + "q" * 100
    path = "/v1/" + "a" * (size - len("/v1/") - len(query) + 1)
    assert (await client.get(path + query)).status_code == status


async def test_large_and_many_headers_are_refused(client) -> None:
    large = await client.get("/v1/none", headers={"x-large": "x" * HEADER_BYTES_MAX})
    many = await client.get("/v1/none", headers=[("x-many", "1")] * (HEADERS_MAX + 1))
    assert {large.status_code, many.status_code} == {431}
    assert large.json()["code"] == "headers_too_large"


async def test_an_answer_that_is_late_is_503_and_says_to_repeat(client) -> None:
    response = await client.get("/v1/slow")
    assert (response.status_code, response.json()["code"]) == (503, "deadline_exceeded")
    assert response.headers["retry-after"] == "1"


async def test_what_we_call_knows_how_long_it_has(client) -> None:
    assert 0 < (await client.get("/v1/things/1")).json()["left"] <= 0.2


async def test_a_timeout_that_is_not_ours_is_an_error_of_ours(client, lines) -> None:
    response = await client.get("/v1/own-timeout")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "canary" not in str(lines())


async def test_a_body_that_does_not_arrive_is_408(client, bearer) -> None:
    async def parts() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    response = await client.post("/v1/things", content=parts(), headers=bearer)
    assert (response.status_code, response.json()["code"]) == (408, "body_too_slow")
    assert response.headers["connection"] == "close"


def scope_of(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "headers": [],
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("api.test", 80),
    }  # fmt: skip


async def test_an_answer_that_breaks_off_is_not_completed_but_logged(app, lines) -> None:
    sent: list[Any] = []
    received = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not received:
            await asyncio.sleep(5)
        return received.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of("GET", "/v1/breaks-off"), receive, send)
    assert [message.get("more_body") for message in sent] == [None, True]
    assert [line["message"] for line in lines()] == ["unhandled error", "request"]


async def test_a_client_that_leaves_is_no_error(app, lines) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await app(scope_of("POST", "/v1/plain"), receive, send)
    assert {line["level"] for line in lines()} <= {"DEBUG", "INFO"}
