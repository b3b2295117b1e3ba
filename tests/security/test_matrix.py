"""Every operation x every principal x {own, foreign, absent} object, as the declarations say it must be.

Nothing here asks the code under test what is allowed: expectations come from the permissions that
plugins declare and from whose objects these are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from principals import NOBODY, PRINCIPALS, SCOPED, Principal
from surface import Operation
from world import World, ids_of

pytestmark = pytest.mark.anyio

PER_ANSWER = frozenset({"x-request-id", "traceparent", "date"})
"""Headers that differ between any two answers."""

REFUSED = (401, 403, 404)

PLAIN = frozenset(
    {
        "actor", "at", "created_from", "created_until", "currency", "cursor", "cutoff", "first_day",
        "format", "kind", "last_day", "limit", "metadata", "period", "processor_outcome", "recorded_before",
        "recorded_from", "reference", "start", "status", "tree_size", "type", "verification",
    }
)  # fmt: skip
"""Query parameters that name no object of a merchant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request about somebody's object, by the inputs that are not the caller's own."""

    whose: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = ...

    async def send(
        self, world: World, operation: Operation, as_: Principal, headers: Mapping[str, str]
    ) -> httpx.Response:
        return await world.call(
            operation, as_=as_, path=self.path, query=self.query, body=self.body, headers=headers
        )


def own(world: World, operation: Operation) -> Case:
    """Return the request about one's own object; staff says which merchant it is about.

    It grants no scope that the narrowest principal lacks: nobody hands out more than it has.
    """
    body = world.body(operation)
    if isinstance(body, dict) and "scopes" in body:
        body = {**body, "scopes": list(operation.permissions)}
    if operation.body is not None and "merchant_id" in operation.body.get("properties", {}):
        body = {**body, "merchant_id": world.own["merchant_id"]}
    return Case(whose="own", body=body)


def others(world: World, operation: Operation) -> Iterator[tuple[str, Case, Case]]:
    """Yield, for each input that names an object, a foreign and an absent one in its place."""
    mine = own(world, operation)
    for name in operation.path_names:
        foreign, absent = world.foreign[name], world.absent[name]
        yield (
            f"path {name}",
            Case(whose="foreign", path={name: foreign}, body=mine.body),
            Case(whose="absent", path={name: absent}, body=mine.body),
        )
    for name in operation.query_names:
        if name in world.own and name not in PLAIN and not name.isdecimal():
            yield (
                f"query {name}",
                Case(whose="foreign", query={name: world.foreign[name]}, body=mine.body),
                Case(whose="absent", query={name: world.absent[name]}, body=mine.body),
            )
    for path in operation.string_inputs():
        if path[-1] in world.own:
            name = str(path[-1])
            yield (
                f"body {name}",
                Case(whose="foreign", body={**mine.body, name: world.foreign[name]}),
                Case(whose="absent", body={**mine.body, name: world.absent[name]}),
            )


def shown(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer shows, without what differs between any two."""
    request_id = answer.headers["x-request-id"]
    headers = [one for one in answer.headers.multi_items() if one[0] not in PER_ANSWER]
    return {
        "status": answer.status_code,
        "headers": sorted(headers),
        "body": answer.text.replace(request_id, "<request>"),
    }


def difference(one: httpx.Response, other: httpx.Response) -> str:
    """Return how two answers differ, empty where they do not."""
    first, second = shown(one), shown(other)
    return "; ".join(
        f"{name} is {first[name]!r} here and {second[name]!r} there"
        for name in first
        if first[name] != second[name]
    )


def test_every_path_parameter_has_a_sampler(all_operations, world):
    assert [
        f"add a sampler for {{{name}}} of {operation.label}: a step of Story in world.py"
        for operation in all_operations
        for name in operation.path_names
        if name not in world.own
    ] == []


def test_every_query_parameter_has_a_sampler_or_names_no_object(all_operations, world):
    assert [
        f"{operation.label}: add a sampler for {name} to Story in world.py, or list it in PLAIN"
        for operation in all_operations
        for name in operation.query_names
        if name not in world.own and name not in PLAIN
    ] == []


def test_every_id_in_a_body_has_a_sampler(all_operations, world):
    assert [
        f"{operation.label}: add a sampler for {path[-1]} to Story in world.py"
        for operation in all_operations
        for path in operation.string_inputs()
        if str(path[-1]).endswith("_id") and path[-1] not in world.own
    ] == []


def test_a_sampler_makes_objects_that_only_their_merchant_has(world):
    assert ids_of(world.own)
    assert set(ids_of(world.own)).isdisjoint(ids_of(world.foreign))


READS_BY_POST = {"preview_fee": "it computes a fee and writes nothing"}
"""Operations that take a body and only read."""


def test_what_changes_something_requires_more_than_reading(all_operations):
    reading = [
        operation
        for operation in all_operations
        if operation.permissions and all(name.endswith(":read") for name in operation.permissions)
    ]
    assert reading
    assert {one.name for one in reading if one.method != "GET"} == READS_BY_POST.keys()


@pytest.mark.parametrize("principal", [*PRINCIPALS, *SCOPED], ids=lambda one: one.name)
async def test_an_operation_answers_whom_the_declarations_allow(
    world: World, operation: Operation, principal: Principal
) -> None:
    world = await world.for_(operation)
    label = f"{operation.label} as {principal.name}"
    headers = await world.api_key(principal, operation) if principal.scope else {}
    mine = await own(world, operation).send(world, operation, principal, headers)
    assert mine.status_code < 500, f"{label}, own object: {mine.text}"
    if operation.is_signed:
        refused = (400, 401) if operation.is_form else (401,)  # 400: two ways to say who one is
        assert mine.status_code in refused, f"{label}: {mine.status_code}, not {refused}"
        return
    if not operation.permissions:
        assert mine.status_code not in REFUSED, f"{label}: public, and answers {mine.status_code}"
        return
    if principal.is_anonymous:
        assert mine.status_code == 401, f"{label}, own object: {mine.status_code}, not 401"
    elif not principal.may(world.app.context, operation.permissions):
        assert mine.status_code == 403, f"{label}, own object: {mine.status_code}, not 403"
    else:
        assert mine.status_code not in REFUSED, f"{label}, own object: {mine.text}"
        if principal.is_merchants:
            seen = [one for one in ids_of(world.foreign) if one in mine.text]
            assert seen == [], f"{label}, own object: the answer shows the foreign {seen}"
    for what, foreign, absent in others(world, operation):
        theirs = await foreign.send(world, operation, principal, headers)
        nobodys = await absent.send(world, operation, principal, headers)
        if mine.status_code in (401, 403):  # neither says whether there is such an object
            assert difference(theirs, mine) == "", f"{label}, {what}, foreign against own"
            assert difference(nobodys, mine) == "", f"{label}, {what}, absent against own"
        elif principal.is_merchants:
            assert difference(theirs, nobodys) == "", f"{label}, {what}, foreign against absent"
            seen = [one for one in ids_of(world.foreign) if one in theirs.text]
            assert seen == [], f"{label}, {what}, foreign: the answer shows {seen}"
        else:
            assert theirs.status_code not in (401, 403), f"{label}, {what}, foreign: {theirs.text}"
        if foreign.path and mine.status_code not in (401, 403):
            hidden = [nobodys, *([theirs] if principal.is_merchants else [])]
            statuses = [one.status_code for one in hidden]
            assert set(statuses) == {404}, f"{label}, {what}, absent, foreign: {statuses}, not 404"


async def test_without_a_token_every_operation_answers_the_same(world, all_operations):
    answers = {
        operation.label: await world.call(operation, as_=NOBODY)
        for operation in all_operations
        if operation.permissions
    }
    first = next(iter(answers.values()))
    assert first.status_code == 401
    assert {
        label: told for label, answer in answers.items() if (told := difference(answer, first))
    } == {}
