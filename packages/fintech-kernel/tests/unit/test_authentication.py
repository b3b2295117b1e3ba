from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.web.authentication import permissions_required, requires
from fintech_kernel.web.context import actor_of
from fintech_kernel.web.route_rules import operations_of
from fintech_kernel.web.strict_json import StrictJsonRequest, StrictJsonRoute

pytestmark = pytest.mark.anyio

Reader = Annotated[Actor, Depends(requires("things:read"))]


@pytest.fixture
def app(new_app: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute)
    guarded = APIRouter(
        route_class=StrictJsonRoute, dependencies=[Depends(requires("things:read"))]
    )
    outer = APIRouter()

    @router.get("/things")
    async def read(actor: Reader) -> dict[str, Any]:
        return {"subject": actor.subject, "merchant_id": actor.merchant_id}

    @router.post("/things")
    async def make(actor: Annotated[Actor, Depends(requires("things:write"))]) -> dict[str, Any]:
        return {"subject": actor.subject}

    @router.get("/both", dependencies=[Depends(requires("things:write"))])
    async def both(actor: Reader) -> dict[str, Any]:
        return {"subject": actor.subject}

    @guarded.get("/guarded")
    async def by_router() -> dict[str, Any]:
        return {}

    @guarded.get("/included")
    async def by_inclusion() -> dict[str, Any]:
        return {}

    outer.include_router(guarded, prefix="/outer", dependencies=[Depends(requires("things:write"))])
    return new_app(router, outer)


@pytest.fixture
async def client(app: Any, client_of: Any) -> Any:
    async with client_of(app) as opened:
        yield opened


async def test_a_principal_with_the_permission_is_served(client, bearer) -> None:
    response = await client.get("/v1/things", headers=bearer)
    assert response.json() == {"subject": "ann", "merchant_id": "mch_1"}


async def test_a_principal_without_the_permission_is_refused(client, token_for, lines) -> None:
    headers = {"authorization": f"bearer {token_for('merchant_viewer')}"}
    response = await client.post("/v1/things", headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert lines()[0]["permission"] == "things:write"


@pytest.mark.parametrize(
    "value",
    [
        None, "", "Bearer", "Bearer ", "Bearer  {}", "Basic {}", "{}", "Token {}", "Bearer {} x",
        "Bearer {},", "bearer,{}", "Bearer\t{}", "Bearer {}{}",
    ],
)  # fmt: skip
async def test_whatever_is_no_bearer_token_is_the_same_401(client, token_for, lines, value) -> None:
    token = token_for()
    headers = {} if value is None else {"authorization": value.replace("{}", token)}
    response = await client.get("/v1/things", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    body = response.json()
    for differing in ("request_id", "instance"):
        body.pop(differing)
    assert body == {
        "type": "/problems/unauthenticated",
        "title": "A valid bearer token is required.",
        "detail": "A valid bearer token is required.",
        "status": 401,
        "code": "unauthenticated",
    }
    assert token not in str(lines())
    assert lines()[0]["reason"]


async def test_two_authorization_headers_are_none(client, bearer) -> None:
    headers = [("authorization", bearer["authorization"])] * 2
    assert (await client.get("/v1/things", headers=headers)).status_code == 401


async def test_a_token_elsewhere_than_in_the_header_is_nothing(client, token_for) -> None:
    response = await client.get(
        f"/v1/things?access_token={token_for()}",
        headers={"cookie": f"authorization=Bearer {token_for()}"},
    )
    assert response.status_code == 401


async def test_several_permissions_are_all_required(client, token_for) -> None:
    viewer = {"authorization": f"Bearer {token_for('merchant_viewer')}"}
    operator = {"authorization": f"Bearer {token_for('merchant_operator')}"}
    for path in ("/v1/both", "/v1/outer/guarded"):
        assert (await client.get(path, headers=viewer)).status_code == 403
        assert (await client.get(path, headers=operator)).status_code == 200
        assert (await client.get(path)).status_code == 401


def test_permissions_are_found_wherever_they_were_required(app) -> None:
    found = {route.name: permissions_required(route.dependant) for route in operations_of(app)}
    assert found == {
        "read": ("things:read",),
        "make": ("things:write",),
        "both": ("things:read", "things:write"),
        "by_router": ("things:read", "things:write"),
        "by_inclusion": ("things:read", "things:write"),
    }


async def test_without_authentication_there_is_no_principal() -> None:
    with pytest.raises(InvariantBroken):
        actor_of(StrictJsonRequest({"type": "http", "headers": []}))
