"""Routes that are solved by a plan answer as FastAPI does, byte for byte."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Query, Request
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.errors import NotFound
from fintech_kernel.web.answers import json_response
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.direct import DirectRoutes
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.problems import ProblemHandlers
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.strict_json import StrictJsonRoute
from pydantic import Field
from starlette.responses import Response

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
KEY = {"idempotency-key": "k-1"}


class Thing(StrictModel):
    name: str = Field(min_length=2)
    count: int = 0


async def size(big: Annotated[int, Query(ge=1)] = 1) -> int:
    return big * 10


async def label(size: Annotated[int, Depends(size)], word: str = "none") -> str:
    return f"{word}/{size}"


def in_a_thread() -> str:
    return "slow"


@pytest.fixture
def app(new_app: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/things")
    async def make(
        body: Thing,
        actor: Annotated[Actor, Depends(requires("things:write"))],
        call: Annotated[IdempotentCall, Depends(idempotency)],
    ) -> Response:
        return json_response([body.name, actor.subject, call.key], status=201)

    @router.get("/things/all")
    async def show_all() -> Response:
        return json_response("all")

    @router.get("/things/{thing_id}")
    async def show(
        thing_id: int,
        request: Request,
        label: Annotated[str, Depends(label)],
        size: Annotated[int, Depends(size)],
    ) -> Response:
        if thing_id == 0:
            raise NotFound
        return json_response([thing_id, label, size, request.path_params])

    @router.put("/things/{thing_id}")
    async def change(thing_id: str, body: Thing | None = None) -> Response:
        return json_response([thing_id, body and body.name])

    @router.get("/slow", dependencies=[Depends(in_a_thread)])
    async def slow() -> Response:
        return json_response("slow")

    @router.get("/modelled")
    async def modelled() -> Thing:
        return Thing(name="ab")

    return new_app(router)


REQUESTS = [
    ("POST", "/v1/things", {**JSON, **KEY}, b'{"name": "ab"}', 201),
    ("POST", "/v1/things", {**JSON, **KEY}, b'{"name": "a", "count": "1", "more": 1}', 422),
    ("POST", "/v1/things", {**JSON, **KEY}, b"", 422),
    ("POST", "/v1/things", {**JSON, **KEY}, b"null", 422),
    ("POST", "/v1/things", JSON, b'{"name": "a"}', 400),
    ("POST", "/v1/things", {**JSON, **KEY, "authorization": "Bearer x"}, b"{}", 401),
    ("POST", "/v1/things?name=ab", {**JSON, **KEY}, b'{"name": "ab"}', 422),
    ("GET", "/v1/things/all", {}, b"", 200),
    ("GET", "/v1/things/7?big=2&word=w", {}, b"", 200),
    ("GET", "/v1/things/seven?big=0", {}, b"", 422),
    ("GET", "/v1/things/0", {}, b"", 404),
    ("GET", "/v1/things/7/more", {}, b"", 404),
    ("PUT", "/v1/things/7", {}, b"", 200),
    ("PUT", "/v1/things/7%2f8", {}, b"", 404),
    ("PUT", "/v1/things/7", JSON, b'{"name": "ab"}', 200),
    ("DELETE", "/v1/things/7", {}, b"", 405),
    ("GET", "/v1/slow", {}, b"", 200),
    ("GET", "/v1/modelled", {}, b"", 200),
]


@pytest.mark.parametrize("asked", REQUESTS)
async def test_a_planned_route_answers_as_fastapi_does(app, client_of, bearer, asked: Any) -> None:
    method, path, headers, body, status = asked
    told = {**bearer, **headers, "x-request-id": "req-1", "traceparent": f"00-{1:032x}-{1:016x}-00"}
    answers: list[Any] = []
    async with client_of(app) as client:
        for override in ({}, {object: object}):  # with an override, all routes are FastAPI's
            app.dependency_overrides.update(override)
            answer = await client.request(method, path, headers=told, content=body)
            shown = {name: one for name, one in answer.headers.items() if name != "traceparent"}
            answers.append((answer.status_code, answer.content, shown))
    assert answers[0] == answers[1]
    assert answers[0][0] == status


def test_what_needs_more_than_a_plan_is_left_to_fastapi(app) -> None:
    direct = DirectRoutes(app, routes=app, problems=ProblemHandlers([]))
    routes = [route for group in direct._routes.values() for route in group]
    planned = {route.endpoint.__name__ for route in routes if route.handle is not None}
    left = {route.endpoint.__name__ for route in routes if route.handle is None}
    assert planned == {"make", "show_all", "show", "change"}
    assert {"slow", "modelled"} <= left
