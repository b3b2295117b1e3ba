"""How the API differs from a document of it, and which differences break clients: ``nox -s openapi``.

Compares the application of the installed packages with ``docs/openapi.json``, or with that file at a revision
(``-- --base fintech-payments-v0.1.0``). What a client sends may become wider and never narrower, what it gets
may grow and never shrink; ``docs/versioning.md`` has the policy. Texts and examples are not compared.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schema_changes import Change, Comparison

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = "docs/openapi.json"
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

Json = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Print the differences; return 1 where a client breaks, or the committed document is stale."""
    parser = argparse.ArgumentParser(prog="nox -s openapi --", description=__doc__)
    parser.add_argument(
        "--base", help="a git revision to compare with, for instance the last release"
    )
    base = parser.parse_args(arguments).base
    from fintech_server.assembly import assembled  # brings the kernel and every plugin

    before, after = json.loads(_document(base)), assembled().openapi()
    found = sorted(changes(before, after), key=lambda one: (not one.is_breaking, one.place))
    for change in found:
        print(f"{'BREAKING' if change.is_breaking else 'change':8}  {change.place}: {change.text}")
    is_same = before == json.loads(json.dumps(after))
    breaking = sum(change.is_breaking for change in found)
    if is_same:
        print("the API is as the document says")
    else:
        print(f"{len(found)} changes, {breaking} of them breaking; texts and examples not counted")
    if base is None and not is_same:
        print(
            f"where they are meant: fintech docs openapi > {DOCUMENT}, and tell users in the changelog"
        )
    return 1 if breaking or (base is None and not is_same) else 0


def _document(base: str | None) -> str:
    if base is None:
        return (ROOT / DOCUMENT).read_text(encoding="utf-8")
    command = ["git", "show", f"{base}:{DOCUMENT}"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - git, and no shell
    return told.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    label: str
    content: Json


def changes(before: Json, after: Json) -> list[Change]:
    """Return every difference between two OpenAPI documents that a program can notice."""
    old, new = _operations(before), _operations(after)
    found = [
        Change(is_breaking=True, place=old[key].label, text="the operation is gone")
        for key in old.keys() - new.keys()
    ]
    found += [
        Change(is_breaking=False, place=new[key].label, text="a new operation")
        for key in new.keys() - old.keys()
    ]
    comparison = Comparison(before, after)
    for key in old.keys() & new.keys():
        found += _operation_changes(comparison, old[key], new[key])
    return found


def _operations(document: Json) -> dict[str, Operation]:
    """Return operations by method and shape of the path: a parameter's name there is nobody's business."""
    found: dict[str, Operation] = {}
    for path, item in document["paths"].items():
        shape = "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
        for method in METHODS:
            if method in item:
                label = f"{method.upper()} {path}"
                shared = {"parameters": item.get("parameters", ())}
                found[f"{method} {shape}"] = Operation(
                    label=label, content={**shared, **item[method]}
                )
    return found


def _operation_changes(comparison: Comparison, old: Operation, new: Operation) -> Iterator[Change]:
    place, before, after = old.label, old.content, new.content
    for member, text in (
        ("operationId", "its name in clients"),
        ("x-permission", "its permission"),
    ):
        if before.get(member) != after.get(member):
            told = f"{text} was {before.get(member)!r}, is {after.get(member)!r}"
            yield Change(is_breaking=True, place=place, text=told)
    yield from _parameter_changes(comparison, place, before, after)
    yield from _body_changes(comparison, place, before, after)
    yield from _response_changes(comparison, place, before, after)


def _parameter_changes(
    comparison: Comparison, place: str, before: Json, after: Json
) -> Iterator[Change]:
    old, new = _parameters(before), _parameters(after)
    for key in sorted(old.keys() - new.keys()):
        yield Change(
            is_breaking=True, place=place, text=f"{key} is gone, and refused where it is sent"
        )
    for key in sorted(new.keys() - old.keys()):
        is_required = bool(new[key].get("required"))
        text = f"{key} is new{' and required' if is_required else ''}"
        yield Change(is_breaking=is_required, place=place, text=text)
    for key in sorted(old.keys() & new.keys()):
        if new[key].get("required") and not old[key].get("required"):
            yield Change(is_breaking=True, place=place, text=f"{key} is required now")
        yield from comparison.inputs(f"{place} {key}", old[key]["schema"], new[key]["schema"])


def _parameters(operation: Json) -> dict[str, Json]:
    """Return parameters by place and name; those in the path by their order, as the path's shape is."""
    found: dict[str, Json] = {}
    in_path = 0
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            in_path += 1
            found[f"path parameter {in_path}"] = parameter
        else:
            found[f"{parameter['in']} parameter {parameter['name']!r}"] = parameter
    return found


def _body_changes(
    comparison: Comparison, place: str, before: Json, after: Json
) -> Iterator[Change]:
    old, new = before.get("requestBody"), after.get("requestBody")
    if old is None or new is None:
        if old is not None:
            yield Change(is_breaking=True, place=place, text="it takes no body any more")
        elif new is not None:
            is_required = bool(new.get("required"))
            text = f"a body is new{' and required' if is_required else ''}"
            yield Change(is_breaking=is_required, place=place, text=text)
        return
    if new.get("required") and not old.get("required"):
        yield Change(is_breaking=True, place=place, text="the body is required now")
    yield from _content_changes(comparison, f"{place} body", old, new, is_input=True)


def _response_changes(
    comparison: Comparison, place: str, before: Json, after: Json
) -> Iterator[Change]:
    old, new = before["responses"], after["responses"]
    for status in sorted(old.keys() - new.keys()):
        text = f"answer {status} is gone"
        yield Change(is_breaking=_is_success(status), place=place, text=text)
    for status in sorted(new.keys() - old.keys()):
        text = f"answer {status} is new"
        yield Change(is_breaking=_is_success(status), place=place, text=text)
    for status in sorted(old.keys() & new.keys()):
        yield from _content_changes(
            comparison,
            f"{place} {status}",
            comparison.before.resolved(old[status]),
            comparison.after.resolved(new[status]),
            is_input=False,
        )


def _content_changes(
    comparison: Comparison, place: str, before: Json, after: Json, *, is_input: bool
) -> Iterator[Change]:
    old, new = before.get("content", {}), after.get("content", {})
    for media in sorted(old.keys() ^ new.keys()):
        is_gone = media in old
        text = f"{media} is {'gone' if is_gone else 'new'}"
        yield Change(is_breaking=is_gone, place=place, text=text)
    compare = comparison.inputs if is_input else comparison.outputs
    for media in sorted(old.keys() & new.keys()):
        yield from compare(place, old[media].get("schema", {}), new[media].get("schema", {}))


def _is_success(status: str) -> bool:
    return status.startswith("2")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
