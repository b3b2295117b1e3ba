"""The routes that read JSON strictly; the reader itself is tested in test_strict_json."""

import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Request
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.strict_json import StrictJsonRequest, StrictJsonRoute, parse_body, sent_body
from pydantic import Field

pytestmark = pytest.mark.anyio

CARD = "4111111111111111"
JSON = {"content-type": "application/json"}


class Thing(StrictModel):
    name: str = "unnamed"
    count: int = 0
    tags: dict[str, str] = Field(default_factory=dict)


@pytest.fixture
def app(new_app: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/things")
    async def make(body: Thing, request: Request) -> dict[str, Any]:
        return {"sent": sent_body(request), "name": body.name}

    @router.post("/guarded", dependencies=[Depends(requires("things:write"))])
    async def guarded(body: Thing) -> dict[str, Any]:
        return {"name": body.name}

    @router.post("/bodiless")
    async def bodiless(request: Request) -> dict[str, Any]:
        return {"sent": sent_body(request)}

    @router.post("/optional")
    async def optional(request: Request, body: Thing | None = None) -> dict[str, Any]:
        return {"sent": sent_body(request)}

    return new_app(router)


@pytest.fixture
async def client(app: Any, client_of: Any) -> Any:
    async with client_of(app) as opened:
        yield opened


async def test_what_was_sent_is_kept_as_it_was_before_defaults(client) -> None:
    response = await client.post("/v1/things", content=b'{"count": 3}', headers=JSON)
    assert response.json() == {"sent": {"count": 3}, "name": "unnamed"}


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"{", "must be one complete JSON value"),
        (b'{"count":NaN}', "must not hold NaN or Infinity"),
        (b'{"name":"a","name":"b"}', "must not repeat a key in an object"),
        (b'{"name":"\\ud800"}', "strings must not hold lone surrogates"),
        (b'{"name":"\\u0000"}', "strings must not hold the NUL character"),
        (b'{"count":' + b"9" * 6_000 + b"}", "integers must lie between"),
        (b'{"count":1e400}', "numbers must be finite and short"),
        (b"[" * 20_000, "must not nest deeper than 16 levels"),
        ('{"name":"a"}'.encode("utf-16"), "must be UTF-8"),
    ],
)
async def test_malformed_json_is_told_precisely(client, raw: bytes, rule: str) -> None:
    response = await client.post("/v1/things", content=raw, headers=JSON)
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_json"
    assert response.json()["errors"][0]["rule"].startswith(rule)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
        "application/json; charset=latin-1", "application/merge-patch+json", "application/jsonx",
        "application/json, text/plain", "text/plain; application/json", "*/*",
    ],
)  # fmt: skip
async def test_another_media_type_is_refused(client, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = await client.post("/v1/things", content=b"{}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
async def test_json_in_utf8_is_accepted_however_it_is_spelt(client, content_type: str) -> None:
    response = await client.post(
        "/v1/things", content=b"{}", headers={"content-type": content_type}
    )
    assert response.status_code == 200


async def test_a_compressed_body_is_refused(client) -> None:
    headers = JSON | {"content-encoding": "gzip"}
    response = await client.post("/v1/things", content=b"{}", headers=headers)
    assert response.status_code == 415


@pytest.mark.parametrize(
    "sent",
    [
        {"name": CARD},
        {"name": "4111 1111 1111 1111"},
        {"name": f"my card is {CARD}!"},
        {"tags": {"card": CARD}},
        {"tags": {CARD: "x"}},
        {"unknown": [{"deep": [CARD]}]},
        {CARD: 1},
    ],
)
async def test_a_card_number_is_refused_wherever_it_stands(client, lines, sent: Any) -> None:
    response = await client.post("/v1/things", json=sent)
    assert (response.status_code, response.json()["code"]) == (422, "card_number_refused")
    assert "4111" not in response.text
    assert "4111" not in str(lines())


async def test_a_card_number_behind_escapes_is_refused(client) -> None:
    raw = '{"name":"' + "".join(f"\\u00{ord(digit):x}" for digit in CARD) + '"}'
    response = await client.post("/v1/things", content=raw.encode(), headers=JSON)
    assert response.json()["code"] == "card_number_refused"


async def test_digits_that_fail_luhn_and_large_amounts_pass(client) -> None:
    response = await client.post("/v1/things", json={"name": "4111111111111112", "count": 10**15})
    assert response.status_code == 200
    assert parse_body(json.dumps({"amount": 4111111111111111}).encode())


async def test_nobody_without_a_token_makes_us_read_a_body(app, bearer) -> None:
    read: list[int] = []

    async def call(headers: dict[str, str]) -> int:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            read.append(1)
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/guarded",
            "raw_path": b"/v1/guarded", "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(k.encode(), v.encode()) for k, v in (JSON | headers).items()],
            "client": ("127.0.0.1", 1), "server": ("api.test", 80),
        }  # fmt: skip
        await app(scope, receive, send)
        return statuses[0]

    assert await call({}) == 401
    assert read == []
    assert await call(bearer) == 200
    assert read == [1]


async def test_an_operation_without_a_body_takes_none_or_an_empty_object(client) -> None:
    assert (await client.post("/v1/bodiless")).json() == {"sent": None}
    assert (await client.post("/v1/bodiless", json={})).status_code == 200
    refused = await client.post("/v1/bodiless", json={"status": "captured"})
    assert (refused.status_code, refused.json()["code"]) == (422, "body_not_expected")


async def test_an_optional_body_may_be_absent(client) -> None:
    assert (await client.post("/v1/optional")).json() == {"sent": None}
    assert (await client.post("/v1/optional", json={"count": 1})).json() == {"sent": {"count": 1}}


async def test_a_plain_request_does_not_know_what_was_sent() -> None:
    scope = {"type": "http", "headers": []}
    with pytest.raises(InvariantBroken):
        sent_body(Request(scope))
    assert sent_body(StrictJsonRequest(scope)) is None


def test_the_permission_is_an_annotation_too() -> None:
    assert requires("things:read") == requires("things:read")
    assert Annotated[int, Depends(requires("things:read"))]
