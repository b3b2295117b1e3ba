from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Query
from fintech_dbclient.errors import (
    CircuitOpen,
    ContractBroken,
    Overloaded,
    UniqueViolation,
    Unreachable,
)
from fintech_dbclient.errors import (
    OutcomeUnknown as StatementOutcomeUnknown,
)
from fintech_kernel import errors
from fintech_kernel.hooks import ErrorMapping, Presented
from fintech_kernel.web.answers import presented_response
from fintech_kernel.web.problems import PROBLEM_JSON, Problem, ProblemCatalog
from fintech_kernel.web.schemas import MoneyBody, StrictModel
from fintech_kernel.web.strict_json import StrictJsonRoute
from pydantic import Field
from starlette.exceptions import HTTPException

pytestmark = pytest.mark.anyio

CANARY = "canary-4f1c SELECT * FROM secrets postgres://user:hunter2@db /srv/app eyJhbGciOi"


class InsufficientFunds(errors.Refusal):
    code = "insufficient_funds"
    title = "There is not enough."


class QuotaGone(errors.NotFound):
    code = "quota_gone"
    title = "unmapped"


MAPPINGS = (ErrorMapping(name="insufficient_funds", error=InsufficientFunds, status=422),)

RAISED: dict[str, tuple[Exception, int, str, dict[str, str]]] = {
    "unauthenticated": (
        errors.Unauthenticated(CANARY), 401, "unauthenticated", {"www-authenticate": "Bearer"},
    ),
    "forbidden": (errors.Forbidden(CANARY), 403, "forbidden", {}),
    "not found": (errors.NotFound(CANARY), 404, "not_found", {}),
    "invalid": (errors.InvalidRequest("/amount", "must be small"), 422, "invalid_request", {}),
    "invalid header": (errors.InvalidRequest("/headers/x", "must be small"), 400, "invalid_request", {}),
    "key missing": (errors.IdempotencyKeyMissing(), 400, "idempotency_key_missing", {}),
    "key reused": (errors.IdempotencyKeyReused(), 422, "idempotency_key_reused", {}),
    "key expired": (errors.IdempotencyKeyExpired("op_1"), 422, "idempotency_key_expired", {}),
    "running": (
        errors.OperationRunning("op_1", retry_after_seconds=3), 409, "operation_running",
        {"retry-after": "3"},
    ),
    "unknown": (errors.OutcomeUnknown("op_1"), 503, "outcome_unknown", {"retry-after": "1"}),
    "later": (errors.TryAgainLater(), 503, "try_again_later", {"retry-after": "1"}),
    "refusal": (InsufficientFunds(available=5), 422, "insufficient_funds", {}),
    "refusal nobody maps": (errors.Refusal(payment_id="pay_1"), 409, "refused", {}),
    "class nobody maps": (QuotaGone(CANARY), 404, "not_found", {}),
    "invariant": (errors.InvariantBroken(CANARY), 500, "internal_error", {}),
    "database refuses": (Unreachable(CANARY), 503, "database_unavailable", {"retry-after": "1"}),
    "database overloaded": (Overloaded(CANARY), 503, "database_unavailable", {}),
    "circuit open": (CircuitOpen(CANARY), 503, "database_unavailable", {}),
    "database silent": (
        StatementOutcomeUnknown(CANARY), 503, "database_unavailable", {"retry-after": "1"},
    ),
    "database breaks its word": (ContractBroken(CANARY), 500, "internal_error", {}),
    "statement fails": (UniqueViolation("s", constraint=CANARY), 500, "internal_error", {}),
    "framework": (HTTPException(418, CANARY, headers={"X-Leak": CANARY}), 418, "http_error", {}),
    "framework 404": (HTTPException(404, CANARY), 404, "not_found", {}),
    "anything": (RuntimeError(CANARY), 500, "internal_error", {}),
    "a key error": (KeyError(CANARY), 500, "internal_error", {}),
    "a group": (ExceptionGroup(CANARY, [ValueError(CANARY)]), 500, "internal_error", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", RAISED)
async def test_every_error_is_a_problem_document_with_fixed_text(
    new_app, client_of, lines, name
) -> None:
    error, status, code, headers = RAISED[name]
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/boom")
    async def boom(q: str) -> None:
        secret = CANARY  # a local variable that no log may show
        raise error from ValueError(secret)

    async with client_of(new_app(router, mappings=MAPPINGS)) as client:
        response = await client.get(f"/v1/boom?q={CANARY}")
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM_JSON
    body = response.json()
    Problem.model_validate(body)
    assert (body["code"], body["status"], body["type"]) == (code, status, f"/problems/{code}")
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["instance"] == f"/requests/{body['request_id']}"
    for header, value in headers.items():
        assert response.headers[header] == value
    for part in ("canary", "SELECT", "hunter2", "/srv", "eyJ"):
        assert part not in response.text
        assert part not in str(response.headers)
    if not isinstance(error, errors.FintechError | UniqueViolation | ContractBroken):
        assert "canary" not in str(lines())
    assert any(line["message"] == "unhandled error" for line in lines()) == (
        code == "internal_error"
    )


@pytest.mark.parametrize(
    ("method", "code"), [("GET", "database_unavailable"), ("POST", "outcome_unknown")]
)
async def test_only_who_asked_for_a_change_is_told_to_repeat_its_key(
    new_app, client_of, method, code
) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.api_route("/silent", methods=["GET", "POST"])
    async def silent() -> None:
        raise StatementOutcomeUnknown(CANARY)

    async with client_of(new_app(router)) as client:
        response = await client.request(method, "/v1/silent")
    assert (response.status_code, response.json()["code"]) == (503, code)
    assert response.headers["retry-after"] == "1"


async def test_a_refused_method_is_told_the_methods_of_every_route_of_the_path(
    new_app, client_of
) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/things/{thing_id}")
    async def show(thing_id: str) -> None: ...

    @router.post("/things/{thing_id}")
    async def change(thing_id: str) -> None: ...

    @router.put("/things")
    async def replace() -> None: ...

    async with client_of(new_app(router)) as client:
        response = await client.delete("/v1/things/one%20two")
    assert response.headers["allow"] == "GET, POST"


async def test_facts_and_the_operation_are_told(new_app, client_of) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/refused")
    async def refused() -> None:
        raise InsufficientFunds(available=5, status="odd")

    @router.get("/running")
    async def running() -> None:
        raise errors.OperationRunning("op_1")

    async with client_of(new_app(router, mappings=MAPPINGS)) as client:
        first = (await client.get("/v1/refused")).json()
        second = (await client.get("/v1/running")).json()
    assert first["facts"] == {"available": 5, "status": "odd"}
    assert first["status"] == 422
    assert second["operation_id"] == "op_1"


class Order(StrictModel):
    total: MoneyBody
    kind: Literal["a", "b"] = "a"
    notes: list[Annotated[str, Field(max_length=3)]] = Field(default_factory=list)


BROKEN: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "nothing": ({}, [("/total", "is required")]),
    "no object": ([], [("", "must be an object")]),
    "text for a number": (
        {"total": {"amount": "12canary", "currency": "KES"}}, [("/total/amount", "must be an integer")],
    ),
    "float": ({"total": {"amount": 12.0, "currency": "KES"}}, [("/total/amount", "must be an integer")]),
    "bool": ({"total": {"amount": True, "currency": "KES"}}, [("/total/amount", "must be an integer")]),
    "zero": ({"total": {"amount": 0, "currency": "KES"}}, [("/total/amount", "must be at least 1")]),
    "too much": (
        {"total": {"amount": 10**15 + 1, "currency": "KES"}},
        [("/total/amount", f"must be at most {10**15}")],
    ),
    "no currency": (
        {"total": {"amount": 1, "currency": "canary"}},
        [("/total/currency", "must be an ISO 4217 code with a minor unit")],
    ),
    "unknown member": (
        {"total": {"amount": 1, "currency": "KES"}, "merchant_id": "canary"},
        [("/merchant_id", "is not a member of this schema")],
    ),
    "unknown member with a strange name": (
        {"total": {"amount": 1, "currency": "KES"}, "<canary>": 1}, [("", "is not a member of this schema")],
    ),
    "choice": (
        {"total": {"amount": 1, "currency": "KES"}, "kind": "canary"},
        [("/kind", "must be one of the values of this schema")],
    ),
    "in a list": (
        {"total": {"amount": 1, "currency": "KES"}, "notes": ["ok", "canary"]},
        [("/notes/1", "must have at most 3 characters")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_schema_is_told_by_place_and_rule(new_app, client_of, name) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/orders")
    async def order(body: Order) -> None:
        raise AssertionError(body)

    sent, expected = BROKEN[name]
    async with client_of(new_app(router)) as client:
        response = await client.post("/v1/orders", json=sent)
    body = response.json()
    assert response.status_code == 422
    assert [(error["pointer"], error["rule"]) for error in body["errors"]] == expected
    assert "canary" not in response.text


async def test_query_and_path_have_pointers_of_their_own(new_app, client_of) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("/orders/{number}")
    async def read(number: int, size: Annotated[int, Query(le=3)] = 1) -> None:
        raise AssertionError(number)

    async with client_of(new_app(router)) as client:
        body = (await client.get("/v1/orders/canary?size=9")).json()
    assert [error["pointer"] for error in body["errors"]] == ["/path/number", "/query/size"]


async def test_the_frameworks_own_answers_are_problems_too(new_app, client_of) -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.api_route("/things", methods=["GET", "POST"])
    async def things() -> None: ...

    async with client_of(new_app(router)) as client:
        wrong_method = await client.delete("/v1/things")
        for path in (
            "/v1/nothing",
            "/v1/things/",
            "/V1/things",
            "/v1//things",
            "/v1/%2e%2e/v1/things",
        ):
            absent = await client.get(path)
            assert (absent.status_code, absent.json()["code"]) == (404, "not_found")
    assert wrong_method.status_code == 405
    assert wrong_method.headers["allow"] == "GET, POST"
    assert wrong_method.json()["code"] == "method_not_allowed"


async def test_a_recorded_refusal_is_answered_alike_on_every_replay(new_app, client_of) -> None:
    catalog = ProblemCatalog(MAPPINGS)
    stored = {"code": "insufficient_funds", "facts": {"available": 5}}
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/first")
    async def first():
        status, body = catalog.present(stored["code"], stored["facts"])
        return presented_response(Presented(status=status, body=body))

    @router.post("/again")
    async def again():
        status, body = catalog.present(stored["code"], stored["facts"])
        return presented_response(Presented(status=status, body=body), replayed=True)

    async with client_of(new_app(router, mappings=MAPPINGS)) as client:
        one, two = await client.post("/v1/first"), await client.post("/v1/again")
    differing = {"request_id", "instance"}
    assert one.status_code == two.status_code == 422
    assert {k: v for k, v in one.json().items() if k not in differing} == {
        k: v for k, v in two.json().items() if k not in differing
    }
    assert "idempotent-replayed" not in one.headers
    assert two.headers["idempotent-replayed"] == "true"
    assert one.headers["content-type"] == PROBLEM_JSON


def test_a_code_that_nobody_maps_any_more_is_still_a_refusal() -> None:
    status, body = ProblemCatalog(()).present("of_a_plugin_that_left", {})
    assert status == 409
    assert body["title"] == errors.Refusal.title


async def test_a_success_is_answered_as_json() -> None:
    response = presented_response(Presented(status=201, body={"id": "pay_1"}), replayed=False)
    assert (response.status_code, response.body) == (201, b'{"id":"pay_1"}')
    assert response.headers["content-type"] == "application/json"
