"""Each kind of break of the API is named, and what breaks nobody is not."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from openapi_changes import changes

ROOT = Path(__file__).parents[2]

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/v1/things": {
            "get": {
                "operationId": "list_things",
                "x-permission": "things:read",
                "parameters": [
                    {
                        "name": "limit",
                        "in": "query",
                        "required": False,
                        "schema": {"type": "integer", "minimum": 1, "maximum": 200},
                    }
                ],
                "responses": {"200": {"$ref": "#/components/responses/Things"}, "404": {}},
            },
            "post": {
                "operationId": "create_thing",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/NewThing"}}
                    },
                },
                "responses": {
                    "201": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        }
                    }
                },
            },
        },
        "/v1/things/{thing_id}": {
            "get": {
                "operationId": "get_thing",
                "parameters": [
                    {
                        "name": "thing_id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                    }
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        }
                    }
                },
            }
        },
    },
    "components": {
        "responses": {
            "Things": {
                "content": {
                    "application/json": {
                        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}
                    },
                    "text/csv": {},
                }
            }
        },
        "schemas": {
            "Colour": {"type": "string", "enum": ["blue", "red"]},
            "NewThing": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 64},
                    "colour": {"$ref": "#/components/schemas/Colour"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "size": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                },
                "required": ["name"],
            },
            "Thing": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "colour": {"$ref": "#/components/schemas/Colour"},
                    "parent": {"anyOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "null"}]},
                    "weight": {"type": "integer"},
                },
                "required": ["id", "colour", "weight"],
            },
        },
    },
}

LIST = "paths|/v1/things|get"
CREATE = "paths|/v1/things|post"
BODY = "components|schemas|NewThing"
SHOWN = "components|schemas|Thing"
GONE = object()

BREAKING = [
    ("paths|/v1/things/{thing_id}", GONE, "the operation is gone"),
    (CREATE, GONE, "the operation is gone"),
    (f"{LIST}|operationId", "all_things", "its name in clients"),
    (f"{LIST}|x-permission", "things:list", "its permission"),
    (f"{LIST}|parameters", [], "'limit' is gone"),
    (f"{LIST}|parameters|0|required", True, "'limit' is required now"),
    (f"{LIST}|parameters|0|schema|maximum", 100, "maximum was 200, is 100"),
    (f"{LIST}|parameters|0|schema|minimum", 2, "minimum was 1, is 2"),
    (f"{LIST}|parameters|0|schema|multipleOf", 2, "multipleOf was None, is 2"),
    (f"{LIST}|responses|200", GONE, "answer 200 is gone"),
    (f"{LIST}|responses|202", {}, "answer 202 is new"),
    ("components|responses|Things|content|text/csv", GONE, "text/csv is gone"),
    (f"{CREATE}|requestBody", GONE, "takes no body any more"),
    (f"{LIST}|requestBody", {"required": True, "content": {}}, "a body is new and required"),
    (f"{BODY}|required", ["name", "colour"], "'colour' is required now"),
    (f"{BODY}|properties|note", GONE, "'note' is gone"),
    (f"{BODY}|properties|note", {"type": "string"}, "it is no null any more"),
    (f"{BODY}|properties|name|maxLength", 32, "maxLength was 64, is 32"),
    (f"{BODY}|properties|name|pattern", "^[a-z]+$", "pattern was None"),
    (f"{BODY}|properties|name|enum", ["a"], 'only "a" are left of it'),
    (
        f"{BODY}|properties|size|anyOf",
        [{"type": "integer"}, {"type": "boolean"}],
        "no string any more",
    ),
    (f"{BODY}|additionalProperties", False, "other properties are refused"),
    ("components|schemas|Colour|enum", ["blue"], 'value "red" is gone'),
    (f"{SHOWN}|properties|weight", GONE, "'weight' is gone"),
    (f"{SHOWN}|required", ["id", "colour"], "'weight' is not always there"),
    (f"{SHOWN}|properties|weight|type", "number", "it may be number now"),
    (f"{SHOWN}|properties|weight|type", "string", "it may be string now"),
    (
        f"{SHOWN}|properties|id",
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "may be null now",
    ),
    (f"{SHOWN}|properties|parent|anyOf|0", {"type": "string"}, "it may be string now"),
]

HARMLESS = [
    ("paths|/v1/others", DOCUMENT["paths"]["/v1/things/{thing_id}"], "a new operation"),
    (f"{LIST}|parameters|0|schema|maximum", 500, "maximum was 200, is 500"),
    (f"{LIST}|responses|429", {}, "answer 429 is new"),
    (f"{LIST}|responses|404", GONE, "answer 404 is gone"),
    (f"{BODY}|properties|tag", {"type": "string"}, "property 'tag' is new"),
    (f"{BODY}|required", [], None),
    (f"{SHOWN}|properties|tag", {"type": "string"}, "property 'tag' is new"),
    (f"{SHOWN}|properties|weight|maximum", 10, None),
    ("components|schemas|Colour|enum", ["blue", "red", "green"], 'value "green" is new'),
    (f"{LIST}|description", "Other words.", None),
]


def changed(place: str, value: Any) -> dict[str, Any]:
    """Return the document with one member set, or gone."""
    document = deepcopy(DOCUMENT)
    parts = place.split("|")
    holder: Any = document
    for part in parts[:-1]:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    last: Any = int(parts[-1]) if isinstance(holder, list) else parts[-1]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value
    return document


@pytest.mark.parametrize(
    ("place", "value", "text"), BREAKING, ids=[f"{one[0]}: {one[2]}" for one in BREAKING]
)
def test_a_break_is_named(place, value, text):
    told = [one.text for one in changes(DOCUMENT, changed(place, value)) if one.is_breaking]
    assert any(text in one for one in told), told


@pytest.mark.parametrize(
    ("place", "value", "text"), HARMLESS, ids=[f"{one[0]}: {one[2]}" for one in HARMLESS]
)
def test_what_breaks_nobody_is_a_change_or_nothing(place, value, text):
    found = changes(DOCUMENT, changed(place, value))
    assert [one.text for one in found if one.is_breaking] == []
    assert [one for one in found if text is None or text not in one.text] == []
    assert bool(found) is (text is not None)


def test_a_path_parameter_may_be_renamed():
    document = deepcopy(DOCUMENT)
    document["paths"]["/v1/things/{id}"] = document["paths"].pop("/v1/things/{thing_id}")
    document["paths"]["/v1/things/{id}"]["get"]["parameters"][0]["name"] = "id"
    assert changes(DOCUMENT, document) == []


def test_the_committed_document_is_compared_to_its_end_and_equals_itself():
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    assert changes(document, document) == []
    lacking = deepcopy(document)
    del lacking["components"]["schemas"]["PaymentShown"]["properties"]["amount_captured"]
    (change,) = changes(document, lacking)
    assert change.is_breaking
    assert change.place.startswith("PaymentShown (read)")
