import copy
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.operations import IdempotentCall
from fintech_kernel.errors import StartupFault
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.health import PUBLIC, health_router
from fintech_kernel.web.idempotency import idempotency
from fintech_kernel.web.openapi import openapi_faults
from fintech_kernel.web.pagination import Page, page
from fintech_kernel.web.route_rules import route_faults
from fintech_kernel.web.schemas import (
    Metadata,
    MoneyBody,
    MoneyShown,
    Reference,
    StrictModel,
    id_path,
)
from fintech_kernel.web.strict_json import StrictJsonRoute
from pydantic import ConfigDict, Field

EXAMPLE = {"amount": {"amount": 1200, "currency": "KES"}, "reference": "order-1"}


class Order(StrictModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    amount: MoneyBody
    reference: Reference
    metadata: Metadata = Field(default_factory=dict)


@pytest.fixture
def app(new_app: Any) -> Any:
    router = APIRouter(route_class=StrictJsonRoute, prefix="/orders", tags=["orders"])

    @router.post("", summary="Make an order", status_code=201, response_model=MoneyShown)
    async def create_order(
        body: Order,
        actor: Annotated[Actor, Depends(requires("things:write"))],
        call: Annotated[IdempotentCall, Depends(idempotency)],
    ) -> Any: ...

    @router.get("/{order_id}", summary="Read an order", response_model=MoneyShown)
    async def read_order(
        order_id: Annotated[str, id_path("ord")],
        actor: Annotated[Actor, Depends(requires("things:read"))],
    ) -> Any: ...

    @router.get("", summary="List orders", response_model=MoneyShown)
    async def list_orders(
        actor: Annotated[Actor, Depends(requires("things:read"))],
        asked: Annotated[Page, Depends(page)],
    ) -> Any: ...

    return new_app(router, health_router([]))


@pytest.fixture
def document(app: Any) -> dict[str, Any]:
    return app.openapi()


def test_operations_are_named_by_their_functions(document) -> None:
    named = {
        operation["operationId"]: (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert named == {
        "create_order": ("post", "/v1/orders"),
        "list_orders": ("get", "/v1/orders"),
        "read_order": ("get", "/v1/orders/{order_id}"),
        "health_live": ("get", "/v1/health/live"),
        "health_ready": ("get", "/v1/health/ready"),
    }
    assert document["openapi"].startswith("3.1")


def test_every_operation_tells_the_problems_of_its_needs(document) -> None:
    orders = document["paths"]["/v1/orders"]
    assert set(orders["post"]["responses"]) == {
        "201", "400", "401", "403", "409", "413", "415", "422", "429", "503", "default",
    }  # fmt: skip
    assert set(orders["get"]["responses"]) == {"200", "401", "403", "422", "429", "default"}
    one = document["paths"]["/v1/orders/{order_id}"]["get"]["responses"]
    assert set(one) == {"200", "401", "403", "404", "422", "429", "default"}
    assert set(document["paths"]["/v1/health/live"]["get"]["responses"]) == {"200", "default"}


def test_permission_scheme_and_key_are_told(document) -> None:
    create = document["paths"]["/v1/orders"]["post"]
    assert create["x-permission"] == "things:write"
    assert create["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    (key,) = (one for one in create["parameters"] if one["in"] == "header")
    assert (key["name"], key["required"]) == ("Idempotency-Key", True)
    assert "security" not in document["paths"]["/v1/health/live"]["get"]


def test_nothing_of_the_frameworks_own_errors_is_left(document) -> None:
    assert "HTTPValidationError" not in str(document)
    assert set(document["components"]["schemas"]) >= {"Problem", "ProblemError", "MoneyBody"}


def test_the_document_is_complete_and_is_built_once(app, document) -> None:
    assert openapi_faults(document) == []
    assert app.openapi() is document


def test_whatever_is_missing_is_found(document) -> None:
    broken = copy.deepcopy(document)
    create = broken["paths"]["/v1/orders"]["post"]
    del (
        create["summary"],
        create["tags"],
        create["responses"]["default"],
        create["responses"]["401"],
    )
    create["responses"]["409"] = {"content": {"application/json": {}}}
    broken["components"]["schemas"]["Order"].pop("examples")
    broken["components"]["schemas"]["MoneyShown"].pop("examples")
    broken["paths"]["/v1/orders"]["get"]["operationId"] = "create_order"
    text = "\n".join(openapi_faults(broken))
    for part in (
        "has no summary", "has no tags", "no default problem", "no response 401", "409 is no problem",
        "request body has no example", "response 201 has no example", "occurs twice",
    ):  # fmt: skip
        assert part in text


def test_two_operations_of_one_name_stop_the_start(new_app) -> None:
    first, second = APIRouter(), APIRouter()

    @first.get("/a")
    async def same() -> None: ...

    @second.get("/b", name="same")
    async def other() -> None: ...

    app = new_app(first, second)
    with pytest.raises(StartupFault, match="same"):
        app.openapi()
    assert any(
        "rename one" in fault for fault in route_faults(app, permissions=(), public=("same",))
    )


def test_routes_that_keep_the_rules_have_no_faults(app, permissions) -> None:
    assert route_faults(app, permissions=permissions.names(), public=PUBLIC) == []


def test_every_broken_rule_of_routes_is_told(new_app) -> None:
    router = APIRouter()

    @router.get("/open")
    async def left_open() -> None: ...

    @router.get("/public", dependencies=[Depends(requires("things:read"))])
    async def both_ways() -> None: ...

    @router.get("/unknown", dependencies=[Depends(requires("things:unheard_of"))])
    async def undeclared() -> None: ...

    @router.post("/loose")
    async def loose(call: Annotated[IdempotentCall, Depends(idempotency)]) -> None: ...

    @router.get("/shape/{a}")
    async def one_shape(a: str) -> None: ...

    @router.get("/shape/{b}")
    async def other_shape(b: str) -> None: ...

    app = new_app(router)
    app.mount("/mounted", APIRouter())
    public = ("both_ways", "loose", "one_shape", "other_shape", "nobody")
    faults = route_faults(app, permissions=("things:read",), public=public)
    assert faults == [
        "GET /v1/open: requires no permission and is not listed public",
        "GET /v1/public: is listed public and requires a permission",
        "GET /v1/unknown: requires 'things:unheard_of', which no plugin declares",
        "POST /v1/loose: takes an Idempotency-Key and must be a StrictJsonRoute",
        "GET /v1/shape/{b}: takes the requests of operation 'one_shape'",
        "/mounted: only operations of the API are served, no mounts",
        "'nobody' is listed public and is no operation",
    ]
