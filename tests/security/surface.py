"""What the application shows to the outside: operations, where they take input, and samples of it.

Everything is read from the running application and its OpenAPI document, so that a new route is here at
once.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fintech_kernel.web.authentication import permissions_required
from fintech_kernel.web.route_rules import is_idempotent, operations_of
from fintech_kernel.web.strict_json import StrictJsonRoute

Path = tuple[str | int, ...]
"""Where in a JSON body something stands."""

KEY_OF_MAP: Final = "<key>"
"""The last part of a path that names the keys of a map, not one of its values."""

NAME_OF_MAP: Final = "sample"
"""The key under which a value of a map is sent."""


FORM: Final = "application/x-www-form-urlencoded"

SIGNED: Final = {
    "receive_callback": "the processor's signature over the body",
    "receive_payout_callback": "the rail's signature over the body",
    "issue_token": "the secret of an API key",
}
"""Public operations that answer 401 to whoever does not bring what is named here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    place: str
    is_required: bool
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route and method.

    Attributes:
        body: the schema of what it takes, None where it takes nothing.
        is_form: its body is a form, as OAuth has it.
        is_strict: it reads its body as strict JSON; others take bytes or a form.
    """

    name: str
    method: str
    path: str
    permissions: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    is_idempotent: bool
    body: Mapping[str, Any] | None
    is_form: bool
    is_strict: bool

    @property
    def is_signed(self) -> bool:
        """Whether a signature over the request stands in for a token."""
        return self.name in SIGNED

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def path_names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.parameters if one.place == "path")

    @property
    def query_names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.parameters if one.place == "query")

    def sample_body(self) -> Any:
        """Return a valid body, as the document's example says, None where there is none."""
        return None if self.body is None else sample_of(self.body)

    def string_inputs(self) -> list[Path]:
        """Return where its body takes strings."""
        return [] if self.body is None else list(_strings(self.body, ()))

    def closed_objects(self) -> list[Path]:
        """Return where its body holds objects whose members are listed."""
        return [] if self.body is None else list(_objects(self.body, ()))

    def members(self, where: Path) -> frozenset[str]:
        """Return the names that an object of its body takes."""
        schema = self.body or {}
        for part in where:
            one = _chosen(schema)
            schema = one["items"] if isinstance(part, int) else one["properties"][part]
        return frozenset(_chosen(schema).get("properties", {}))


def operations(app: FastAPI) -> list[Operation]:
    """Return every operation of an application, those outside of its document too."""
    document = app.openapi()
    return [
        _operation(route, method, document)
        for route in operations_of(app)
        for method in sorted(route.methods or ())
    ]


def _operation(route: Any, method: str, document: Mapping[str, Any]) -> Operation:
    described: Mapping[str, Any] = {}
    if route.include_in_schema:
        described = document["paths"][route.path_format][method.lower()]
    body = described.get("requestBody")
    return Operation(
        name=str(route.name),
        method=method,
        path=str(route.path_format),
        permissions=permissions_required(route.dependant),
        parameters=tuple(
            Parameter(
                name=one["name"],
                place=one["in"],
                is_required=bool(one.get("required")),
                schema=resolved(one.get("schema", {}), document),
            )
            for one in described.get("parameters", ())
        ),
        is_idempotent=is_idempotent(route.dependant),
        body=resolved(_json_content(body)["schema"], document) if body else None,
        is_form=body is not None and FORM in body["content"],
        is_strict=isinstance(route.original_route, StrictJsonRoute),
    )


def _json_content(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a body holds: JSON, or the one form that the operation takes instead."""
    content = holder["content"]
    return content.get("application/json") or next(iter(content.values()))


def resolved(schema: Any, document: Mapping[str, Any]) -> Any:
    """Return a schema with every reference replaced by what it names."""
    if isinstance(schema, list):
        return [resolved(one, document) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return resolved({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, document)
    return {name: resolved(one, document) for name, one in schema.items()}


def answered_fields(app: FastAPI) -> set[str]:
    """Return the name of every member that some answer of the application shows."""
    document = app.openapi()
    return {
        name
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if status.startswith("2")
        for content in response.get("content", {}).values()
        for name in _member_names(resolved(content.get("schema", {}), document))
    }


def _member_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _member_names(one)
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "properties":
                yield from value
            yield from _member_names(value)


def sample_of(schema: Mapping[str, Any]) -> Any:
    """Return a value that a schema says is an example, or the simplest that fits it."""
    if "anyOf" in schema and "examples" not in schema:
        return sample_of(_chosen(schema))
    said = [schema[name] for name in ("default", "const") if name in schema]
    examples = [*schema.get("examples", ()), *said, *schema.get("enum", ())]
    return copy.deepcopy(examples[0]) if examples else _simplest(schema)


def _simplest(schema: Mapping[str, Any]) -> Any:
    match schema.get("type"):
        case "object":
            needed = schema.get("required", ())
            return {name: sample_of(schema["properties"][name]) for name in needed}
        case "array":
            return [sample_of(schema["items"])]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "x" * max(1, schema.get("minLength", 1))


def _chosen(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema, or the first of its alternatives that is not null."""
    if "anyOf" not in schema:
        return schema
    return next(one for one in schema["anyOf"] if one.get("type") != "null")


def _strings(schema: Mapping[str, Any], path: Path) -> Iterator[Path]:
    one = _chosen(schema)
    match one.get("type"):
        case "object":
            for name, inner in one.get("properties", {}).items():
                yield from _strings(inner, (*path, name))
            if values := _values_of_map(one):
                yield (*path, KEY_OF_MAP)
                yield from _strings(values, (*path, NAME_OF_MAP))
        case "array":
            yield from _strings(one["items"], (*path, 0))
        case "integer" | "number" | "boolean" | "null":
            return
        case _:
            yield path


def _objects(schema: Mapping[str, Any], path: Path) -> Iterator[Path]:
    one = _chosen(schema)
    match one.get("type"):
        case "object":
            if not _values_of_map(one):
                yield path
            for name, inner in one.get("properties", {}).items():
                yield from _objects(inner, (*path, name))
        case "array":
            yield from _objects(one["items"], (*path, 0))
        case _:
            return


def _values_of_map(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a map's values, None where an object's members are listed."""
    patterns = schema.get("patternProperties")
    if patterns:
        return next(iter(patterns.values()))
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) else None


def placed(operation: Operation, body: Any, path: Path, value: Any) -> Any:
    """Return a copy of a body with one value put in; what lies on the way is made where it lacks."""
    assert operation.body is not None
    return _placed(_chosen(operation.body), body, path, value)


def _placed(schema: Mapping[str, Any], body: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    head, *rest = path
    if head == KEY_OF_MAP:
        return {**(body or {}), value: "sample"}
    if isinstance(head, int):
        items = list(body or [])
        inner = schema["items"]
        first = items[0] if items else sample_of(inner)
        return [_placed(_chosen(inner), first, tuple(rest), value), *items[1:]]
    members = dict(body if isinstance(body, dict) else sample_of(schema))
    inner = schema.get("properties", {}).get(head) or _values_of_map(schema) or {}
    members[head] = _placed(_chosen(inner), members.get(head), tuple(rest), value)
    return members
