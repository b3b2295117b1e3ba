"""The page of settings, which the settings models write: what each takes, and what it is for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fintech_kernel.hooks import SettingsSpec
from fintech_kernel.host import PluginHost
from fintech_kernel.settings import KernelSettings
from pydantic_settings import BaseSettings

_SETTINGS: Final = """\
# Settings

The server reads its settings from the environment, once, when it starts; in development and test also
from a file `.env`. All are checked together and every fault is shown at once. No secret has a default.
`fintech dev` needs none: it makes secrets of its own in its data folder.

Lists and objects are JSON. The database service has options of its own (`fintech-database serve --help`).

<!-- Written by `fintech docs settings`; change the settings models instead. -->
"""

_TYPES: Final[Mapping[str, str]] = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "array": "list",
    "object": "object",
}

_FORMATS: Final[Mapping[str, str]] = {
    "password": "secret",
    "ipv4network": "network",
    "ipv6network": "network",
}

_BOUNDS: Final[Mapping[str, str]] = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def settings_page(host: PluginHost) -> str:
    """Return ``docs/settings.md``."""
    kernel = SettingsSpec(name="kernel", model=KernelSettings)
    specs = [kernel, *host.settings()]
    return _SETTINGS + "".join(part for spec in specs for part in _section(spec))


def setting_names(model: type[BaseSettings]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each variable of a model with its JSON schema."""
    prefix = str(model.model_config.get("env_prefix") or "").upper()
    properties: Mapping[str, Mapping[str, Any]] = model.model_json_schema()["properties"]
    for field, schema in properties.items():
        yield prefix + field.upper(), schema


def _section(spec: SettingsSpec) -> Iterator[str]:
    document = spec.model.model_json_schema()
    required = {name.upper() for name in document.get("required", ())}
    definitions = document.get("$defs", {})
    yield f"\n## {spec.name}\n\n"
    yield "| variable | takes | default | what it is for |\n| --- | --- | --- | --- |\n"
    for name, schema in setting_names(spec.model):
        default = "**required**" if name in required else _default(schema)
        purpose = str(schema.get("description", "")).replace("|", "\\|")
        yield f"| `{name}` | {_takes(schema, definitions)} | {default} | {purpose} |\n"


def _takes(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return in words what a schema takes."""
    if "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    if "anyOf" in schema:
        some = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(_takes(one, definitions) for one in some))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    words = _FORMATS.get(schema.get("format", ""), _TYPES[schema["type"]])
    inner = schema.get("items") or schema.get("additionalProperties")
    if inner:
        return f"{words} of {_takes(inner, definitions)}"
    bounds = [f"{word} {schema[key]:,}" for key, word in _BOUNDS.items() if key in schema]
    if "pattern" in schema:
        bounds.append("like `" + str(schema["pattern"]).replace("|", "\\|") + "`")
    return ", ".join([words, *bounds])


def _default(schema: Mapping[str, Any]) -> str:
    """Return a default as one would write it."""
    value = schema.get("default")
    if value in (None, [], {}, ""):
        return "none"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"
