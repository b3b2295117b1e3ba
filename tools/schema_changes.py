"""How two JSON schemas of an API differ, seen from the side that sends and from the side that reads.

The subset that our OpenAPI documents use: references, types, properties, enums, ``anyOf``, items, bounds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

Json = Mapping[str, Any]

FLOORS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
CEILINGS: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
FORMS: Final = ("pattern", "format", "multipleOf", "uniqueItems")
INTEGER: Final = frozenset({"integer"})
OBJECT: Final = frozenset({"object"})
NULL: Final = frozenset({"null"})
NOTHING: Final[frozenset[str]] = frozenset()
ANY: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference: where, what, and whether it breaks a client that was right before."""

    is_breaking: bool
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """An OpenAPI document whose references can be followed."""

    content: Json

    def resolved(self, schema: Json) -> Json:
        """Return what a schema refers to, or the schema."""
        while "$ref" in schema:
            found: Any = self.content
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema


class Comparison:
    """Compares schemas of two documents. A pair of references is followed once per direction."""

    def __init__(self, before: Json, after: Json) -> None:
        self.before = Document(before)
        self.after = Document(after)
        self._seen: set[tuple[str, str, bool]] = set()

    def inputs(self, place: str, old: Json, new: Json) -> Iterator[Change]:
        """Yield differences of what clients send: it must not become narrower."""
        return self._changes(place, old, new, is_input=True)

    def outputs(self, place: str, old: Json, new: Json) -> Iterator[Change]:
        """Yield differences of what clients read: nothing of it may go."""
        return self._changes(place, old, new, is_input=False)

    def _changes(self, place: str, old: Json, new: Json, *, is_input: bool) -> Iterator[Change]:
        old, was_nullable = _without_null(self.before, old)
        new, is_nullable = _without_null(self.after, new)
        yield from _type_changes(place, was_nullable, is_nullable, is_input=is_input)
        if "$ref" in old and "$ref" in new:
            pair = (str(old["$ref"]), str(new["$ref"]), is_input)
            if pair in self._seen:
                return
            self._seen.add(pair)
            place = pair[0].rpartition("/")[2] + (" (sent)" if is_input else " (read)")
        old, new = self.before.resolved(old), self.after.resolved(new)
        yield from _type_changes(place, _types(old), _types(new), is_input=is_input)
        yield from _enum_changes(place, old, new, is_input=is_input)
        if is_input:
            yield from _bound_changes(place, old, new)
        yield from self._property_changes(place, old, new, is_input=is_input)
        yield from self._part_changes(place, old, new, is_input=is_input)
        yield from self._branch_changes(place, _branches(old), _branches(new), is_input=is_input)

    def _property_changes(
        self, place: str, old: Json, new: Json, *, is_input: bool
    ) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(before.keys() - after.keys()):
            yield Change(is_breaking=True, place=place, text=f"property {name!r} is gone")
        for name in sorted(after.keys() - before.keys()):
            is_required = is_input and name in now
            text = f"property {name!r} is new{' and required' if is_required else ''}"
            yield Change(is_breaking=is_required, place=place, text=text)
        for name in sorted(before.keys() & after.keys()):
            if is_input and name in now - was:
                yield Change(
                    is_breaking=True, place=place, text=f"property {name!r} is required now"
                )
            if not is_input and name in was - now:
                text = f"property {name!r} is not always there any more"
                yield Change(is_breaking=True, place=place, text=text)
            inner = f"{place} {name}"
            yield from self._changes(inner, before[name], after[name], is_input=is_input)

    def _part_changes(
        self, place: str, old: Json, new: Json, *, is_input: bool
    ) -> Iterator[Change]:
        """Compare the items of arrays and the values of maps."""
        for member in ("items", "additionalProperties"):
            before, after = old.get(member), new.get(member)
            if isinstance(before, dict) and isinstance(after, dict):
                inner = f"{place} {member}"
                pair = cast("Json", before), cast("Json", after)
                yield from self._changes(inner, *pair, is_input=is_input)
            elif is_input and after is False and before is not False:
                text = "other properties are refused now"
                yield Change(is_breaking=True, place=place, text=text)

    def _branch_changes(
        self, place: str, old: tuple[Json, ...], new: tuple[Json, ...], *, is_input: bool
    ) -> Iterator[Change]:
        """Compare alternatives: one for one where their number is the same, by their text else."""
        if len(old) == len(new):
            for number, (before, after) in enumerate(zip(old, new, strict=True), start=1):
                yield from self._changes(
                    f"{place} alternative {number}", before, after, is_input=is_input
                )
            return
        was, now = ({json.dumps(one, sort_keys=True) for one in many} for many in (old, new))
        for text in sorted(was - now):
            yield Change(is_breaking=is_input, place=place, text=f"alternative {text} is gone")
        for text in sorted(now - was):
            yield Change(is_breaking=not is_input, place=place, text=f"alternative {text} is new")


def _branches(schema: Json) -> tuple[Json, ...]:
    """Return the alternatives of a schema beside null."""
    every = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    return tuple(branch for branch in every if branch.get("type") != "null")


def _without_null(document: Document, schema: Json) -> tuple[Json, frozenset[str]]:
    """Return a schema without the wrapping that lets it be null, and whether it had one."""
    nullable = NOTHING
    while True:
        target = document.resolved(schema)
        branches = _branches(target)
        if len(branches) < len(target.get("anyOf", ())) + len(target.get("oneOf", ())):
            nullable = NULL
        if len(branches) != 1:
            return schema, nullable
        schema = branches[0]


def _types(schema: Json) -> frozenset[str]:
    """Return the types that a schema allows; its alternatives have their own."""
    if _branches(schema):
        return NOTHING
    named: Any = schema.get("type", ())
    types: frozenset[str] = frozenset([named] if isinstance(named, str) else named)
    return types or (OBJECT if "properties" in schema else ANY)


def _type_changes(
    place: str, old: frozenset[str], new: frozenset[str], *, is_input: bool
) -> Iterator[Change]:
    was, now = (types | (INTEGER if "number" in types else NOTHING) for types in (old, new))
    for name in sorted(was - now):
        yield Change(is_breaking=is_input, place=place, text=f"it is no {name} any more")
    for name in sorted(now - was):
        yield Change(is_breaking=not is_input, place=place, text=f"it may be {name} now")


def _enum_changes(place: str, old: Json, new: Json, *, is_input: bool) -> Iterator[Change]:
    """Compare lists of values. A new one that is read breaks nobody: clients take unknown ones."""
    before, after = _values(old), _values(new)
    if before is None and after is not None:
        text = f"only {', '.join(sorted(after))} are left of it"
        yield Change(is_breaking=is_input, place=place, text=text)
    elif before is not None and after is None:
        yield Change(is_breaking=not is_input, place=place, text="it is no list of values any more")
    elif before is not None and after is not None:
        for value in sorted(before - after):
            yield Change(is_breaking=is_input, place=place, text=f"value {value} is gone")
        for value in sorted(after - before):
            yield Change(is_breaking=False, place=place, text=f"value {value} is new")


def _values(schema: Json) -> frozenset[str] | None:
    if "const" in schema:
        return frozenset({json.dumps(schema["const"])})
    return frozenset(map(json.dumps, schema["enum"])) if "enum" in schema else None


def _bound_changes(place: str, old: Json, new: Json) -> Iterator[Change]:
    """Compare what is asked of values that are sent."""
    for member in (*FLOORS, *CEILINGS, *FORMS):
        before, after = old.get(member), new.get(member)
        if before == after:
            continue
        if after is None:
            is_narrower = False
        elif before is None or member in FORMS:
            is_narrower = True
        else:
            is_narrower = after > before if member in FLOORS else after < before
        text = f"{member} was {before!r}, is {after!r}"
        yield Change(is_breaking=is_narrower, place=place, text=text)
