"""Admission: quotas and slots, at the limit, one above, far above; and slots that come back."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from fintech_kernel.domain.denials import Denial
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.health import health_router
from fintech_kernel.web.problems import PROBLEM_JSON
from fintech_kernel.web.strict_json import StrictJsonRoute
from starlette.responses import JSONResponse

pytestmark = pytest.mark.anyio

ITEM = re.compile(r'"([a-z]+)"((?:;[a-z]+=[0-9]+)+)')
"""An item of an RFC 9651 list: a string with integer parameters, as both headers have them."""


def parsed(header: str) -> dict[str, dict[str, int]]:
    """Read a structured list, and nothing that is not one."""
    items: dict[str, dict[str, int]] = {}
    for text in header.split(", "):
        item = ITEM.fullmatch(text)
        assert item, text
        pairs = [pair.split("=") for pair in item[2].removeprefix(";").split(";")]
        items[item[1]] = {name: int(value) for name, value in pairs}
    return items


@pytest.fixture
def limits() -> dict[str, Any]:
    return {}


@pytest.fixture
def settings(make_settings: Any, limits: dict[str, Any]) -> Any:
    return make_settings(**limits)


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def app(new_app: Any, gate: asyncio.Event) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)
    open_router = APIRouter()
    guarded = [Depends(requires("things:read"))]

    @router.get("/things/{thing_id}", dependencies=guarded)
    async def read(thing_id: str) -> dict[str, str]:
        return {"thing_id": thing_id}

    @router.get("/waits", dependencies=guarded)
    async def waits() -> dict[str, str]:
        await gate.wait()
        return {}

    @router.get("/breaks", dependencies=guarded)
    async def breaks() -> None:
        raise InvariantBroken("a bug")

    @router.get("/streams", dependencies=guarded)
    async def streams() -> StreamingResponse:
        async def parts() -> Any:
            yield b"begun"
            await gate.wait()
            yield b"ended"

        return StreamingResponse(parts())

    @open_router.post("/auth/token")
    async def token(request: Request) -> JSONResponse:
        return JSONResponse({}, status_code=int((await request.body()) or b"200"))

    return new_app(router, open_router)


@pytest.fixture
async def client(app: Any, client_of: Any) -> Any:
    async with client_of(app) as opened:
        yield opened


def limited(**limits: Any) -> Any:
    return pytest.mark.parametrize("limits", [limits])


async def statuses(call: Callable[[], Any], count: int) -> list[int]:
    return [(await call()).status_code for _ in range(count)]


@limited(rate_limit_address="5/hour")
async def test_an_address_has_its_quota_and_then_429(client: Any) -> None:
    answers = await statuses(lambda: client.get("/v1/none"), 500)
    assert answers == [404] * 5 + [429] * 495


@limited(rate_limit_principal="5/hour")
async def test_a_principal_has_its_quota_and_others_have_theirs(
    client: Any, bearer: Any, token_for: Any
) -> None:
    answers = await statuses(lambda: client.get("/v1/things/1", headers=bearer), 500)
    other = {"authorization": f"Bearer {token_for(subject='bob')}"}
    namesake = {"authorization": f"Bearer {token_for(merchant='mch_2')}"}
    assert answers == [200] * 5 + [429] * 495
    assert (await client.get("/v1/things/1", headers=other)).status_code == 200
    assert (await client.get("/v1/things/1", headers=namesake)).status_code == 200


@limited(rate_limit_principal="1/hour")
async def test_a_forged_token_costs_nobodys_quota(client: Any, bearer: Any) -> None:
    forged = {"authorization": bearer["authorization"] + "x"}
    assert set(await statuses(lambda: client.get("/v1/things/1", headers=forged), 20)) == {401}
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(rate_limit_address="2/hour")
async def test_429_is_a_problem_that_says_when_to_come_back(client: Any) -> None:
    await statuses(lambda: client.get("/v1/none"), 2)
    response = await client.get("/v1/none")
    assert response.headers["content-type"] == PROBLEM_JSON
    assert response.json()["code"] == "rate_limited"
    assert 1 <= int(response.headers["retry-after"]) <= 3_601
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert parsed(response.headers["ratelimit"])["address"]["r"] == 0


@limited(rate_limit_address="9/hour", rate_limit_principal="5/minute")
async def test_every_answer_says_the_quotas_and_what_is_left(client: Any, bearer: Any) -> None:
    await client.get("/v1/none")
    response = await client.get("/v1/things/1", headers=bearer)
    policy = parsed(response.headers["ratelimit-policy"])
    left = parsed(response.headers["ratelimit"])
    assert policy == {"address": {"q": 9, "w": 3600}, "principal": {"q": 5, "w": 60}}
    assert {name: one["r"] for name, one in left.items()} == {"address": 7, "principal": 4}
    assert all(1 <= one["t"] <= policy[name]["w"] for name, one in left.items())


async def test_without_a_quota_nothing_is_said(client: Any, bearer: Any) -> None:
    response = await client.get("/v1/things/1", headers=bearer)
    assert not {"ratelimit", "ratelimit-policy"} & {*response.headers}


@limited(rate_limit_token="3/hour")
async def test_refused_requests_for_a_token_have_a_quota_of_their_own(client: Any) -> None:
    async def ask(status: str) -> int:
        return (await client.post("/v1/auth/token", content=status)).status_code

    assert [await ask("200") for _ in range(9)] == [200] * 9
    assert [await ask("401") for _ in range(3)] == [401] * 3
    assert [await ask("200") for _ in range(9)] == [429] * 9
    assert (await client.get("/v1/none")).status_code == 404


@limited(rate_limit_address="1/hour", app_trusted_proxies=["10.0.0.0/8"])
async def test_spoofed_forwarding_headers_change_neither_the_quota_nor_the_log(
    client: Any, lines: Any
) -> None:
    await client.get("/v1/none")
    for number in range(20):
        spoofed = f"198.51.100.{number}"
        headers = {"X-Forwarded-For": spoofed, "Forwarded": f"for={spoofed}", "X-Real-IP": spoofed}
        assert (await client.get("/v1/none", headers=headers)).status_code == 429
    assert {line["address"] for line in lines()} == {"127.0.0.1"}
    assert "198.51.100" not in str(lines())


@limited(rate_limit_address="1/hour", app_trusted_proxies=["127.0.0.0/8"])
async def test_clients_of_a_trusted_proxy_have_quotas_of_their_own(client: Any) -> None:
    for number in range(20):
        headers = {"X-Forwarded-For": f"1.1.1.1, 198.51.100.{number}"}
        assert (await client.get("/v1/none", headers=headers)).status_code == 404


@limited(app_concurrency_max=3)
async def test_the_process_takes_so_many_at_once_and_refuses_the_rest(
    client: Any, bearer: Any, gate: asyncio.Event
) -> None:
    running = [asyncio.create_task(client.get("/v1/waits", headers=bearer)) for _ in range(3)]
    await asyncio.sleep(0.05)
    refused = await client.get("/v1/things/1", headers=bearer)
    many = await asyncio.gather(*(client.get("/v1/none") for _ in range(300)))
    gate.set()
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert {one.status_code for one in many} == {503}
    assert {(await one).status_code for one in running} == {200}
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(app_concurrency_merchant_max=2)
async def test_a_merchant_takes_its_own_slots_and_nobody_elses(
    client: Any, bearer: Any, token_for: Any, gate: asyncio.Event
) -> None:
    other = {"authorization": f"Bearer {token_for(merchant='mch_2')}"}
    staff = {"authorization": f"Bearer {token_for('platform_admin', merchant='')}"}
    running = [asyncio.create_task(client.get("/v1/waits", headers=bearer)) for _ in range(2)]
    await asyncio.sleep(0.05)
    refused = await client.get("/v1/things/1", headers=bearer)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    for headers in (other, staff):
        assert (await client.get("/v1/things/1", headers=headers)).status_code == 200
    gate.set()
    assert {(await one).status_code for one in running} == {200}
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(app_concurrency_max=1, app_concurrency_merchant_max=1, app_request_timeout_seconds=0.2)
@pytest.mark.parametrize("path", ["/v1/breaks", "/v1/waits", "/v1/none", "/v1/things/1"])
async def test_a_slot_is_free_again_after_an_error_a_deadline_or_a_success(
    client: Any, bearer: Any, path: str
) -> None:
    await client.get(path, headers=bearer)
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(app_concurrency_max=1, app_concurrency_merchant_max=1)
@pytest.mark.parametrize("path", ["/v1/waits", "/v1/streams"])
async def test_a_slot_is_free_again_when_the_server_gives_a_request_up(
    app: Any, client: Any, bearer: Any, path: str
) -> None:
    given_up = asyncio.create_task(client.get(path, headers=bearer))
    await asyncio.sleep(0.05)
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 503
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(app_concurrency_max=1, app_concurrency_merchant_max=1)
async def test_a_streamed_answer_holds_its_slot_until_it_ends(
    client: Any, bearer: Any, gate: asyncio.Event
) -> None:
    streaming = asyncio.create_task(client.get("/v1/streams", headers=bearer))
    await asyncio.sleep(0.05)
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 503
    gate.set()
    assert (await streaming).content == b"begunended"
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(app_concurrency_max=1, app_concurrency_merchant_max=1)
async def test_a_client_that_leaves_gives_its_slot_back(
    app: Any, client: Any, bearer: dict[str, str]
) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        del message

    headers = [(b"authorization", bearer["authorization"].encode())]
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/v1/streams",
        "raw_path": b"/v1/streams", "query_string": b"", "root_path": "", "scheme": "http",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("api.test", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 200


@limited(rate_limit_address="1/hour", app_concurrency_max=1)
async def test_health_answers_while_everything_else_is_refused(
    new_app: Any, client_of: Any, app: Any, client: Any, bearer: Any
) -> None:
    app.include_router(health_router(()))
    running = asyncio.create_task(client.get("/v1/waits", headers=bearer))
    await asyncio.sleep(0.05)
    assert (await client.get("/v1/things/1", headers=bearer)).status_code == 429
    for path in ("/health/live", "/health/ready"):
        answers = [await client.get(path) for _ in range(50)]
        assert {one.status_code for one in answers} == {200}
        assert "ratelimit" not in answers[0].headers
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@limited(rate_limit_address="6/hour")
async def test_each_denial_is_told_once_with_who_why_and_where(
    client: Any, context: Any, bearer: Any, token_for: Any
) -> None:
    powerless = {"authorization": f"Bearer {token_for('auditor', merchant='', subject='eve')}"}
    await client.get("/v1/things/1", headers=bearer)
    await client.get("/v1/none", headers=bearer)
    await client.get("/v1/things/1")
    await client.get("/v1/things/1", headers=powerless)
    await statuses(lambda: client.get("/v1/things/1", headers=bearer), 2)
    await client.get("/v1/things/1", headers=bearer)
    template = "/v1/things/{thing_id}"
    assert context.denied == [
        Denial(reason="unauthenticated", route=template, address="127.0.0.1"),
        Denial(reason="forbidden", route=template, subject="eve"),
        Denial(reason="rate_limited", route="-", address="127.0.0.1"),
    ]


async def test_the_log_says_each_refusal_with_its_code(
    client: Any, lines: Any, bearer: Any
) -> None:
    await client.get("/v1/things/1")
    await client.get("/v1/things/1", headers=bearer)
    refused, served = (line for line in lines() if line["message"] == "request")
    assert (refused["code"], refused["address"]) == ("unauthenticated", "127.0.0.1")
    assert not {"code", "address"} & served.keys()
