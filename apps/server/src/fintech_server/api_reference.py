"""The page of the HTTP API: every route, with examples.

It is not kept in the repository: the API's own document is served at ``/openapi.json``, and this page is made
of what is installed whenever the documentation's site is built.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI

_API: Final = """\
# HTTP API

Every route of the installed packages, made of the API's own OpenAPI document, which a server has at
`/openapi.json` (and for people at `/docs`) where `APP_DOCS` allows it. Each operation is named by its stable
id. Problems are in [errors](errors.md), permissions in [permissions](permissions.md).
"""


def api_page(app: FastAPI) -> str:
    """Return a page of every operation, by tag."""
    document = app.openapi()
    about = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            text = "".join(_operation(method.upper(), path, operation, document))
            by_tag.setdefault(operation["tags"][0], []).append(text)
    sections = (
        f"\n## {tag}\n\n{about.get(tag, '')}\n" + "".join(texts) for tag, texts in by_tag.items()
    )
    return _API + "".join(sections)


def _operation(
    method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    yield f"\n### {operation['operationId']}\n\n`{method} {path}`: {operation['summary']}.\n\n"
    yield operation.get("description", "") + "\n"
    if "x-permission" in operation:
        yield f"\nPermission: `{operation['x-permission']}`.\n"
    named = [_parameter(one) for one in operation.get("parameters", ())]
    if named:
        yield "\nParameters: " + ", ".join(named) + ".\n"
    if "requestBody" in operation:
        yield from _example("Takes", operation["requestBody"], document)
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from _example(f"Answers {status}", response, document)


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = "" if parameter.get("required") else " (optional)"
    return f"`{parameter['name']}`{needed}"


def _example(label: str, holder: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    for media_type, content in holder.get("content", {}).items():
        found = _found_example(content, document)
        if found is not None:
            shown = found if isinstance(found, str) else json.dumps(found, indent=2)
            language = "json" if media_type.endswith("json") else "text"
            yield f"\n{label}, for instance:\n\n```{language}\n{shown}\n```\n"


def _found_example(content: Mapping[str, Any], document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return the first example of a body: its own, or its schema's."""
    schema: Any = content.get("schema", {})
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    named: Mapping[str, Any] = content.get("examples", {})
    listed: list[Any] = schema.get("examples", [])
    found = [
        content.get("example"),
        *(one["value"] for one in named.values()),
        schema.get("example"),
    ]
    return next((one for one in [*found, *listed] if one is not None), None)
