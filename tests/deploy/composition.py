"""compose.yaml read as Compose reads it: merged, its variables replaced; what is missing is said."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


class VariableMissing(Exception):
    """A variable that must be given is not."""


def interpolated(node: Any, given: Mapping[str, str]) -> Any:
    """Return the composition with every ``${...}`` replaced."""
    if isinstance(node, dict):
        return {key: interpolated(value, given) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, given) for value in node]
    return VARIABLE.sub(lambda found: _value(found, given), node) if isinstance(node, str) else node


def _value(found: re.Match[str], given: Mapping[str, str]) -> str:
    name, mark, rest = found.groups()
    if given.get(name):
        return given[name]
    if mark == ":-":
        return rest
    raise VariableMissing(f"{name} {rest or 'is missing'}")


def composition(text: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the services by name, with the environment of each as its process gets it."""
    services = interpolated(yaml.safe_load(text), given)["services"]
    for service in services.values():
        environment = service.get("environment", {})
        passed_on = {
            name: given.get(name) if value is None else value for name, value in environment.items()
        }
        service["environment"] = {
            name: value for name, value in passed_on.items() if value is not None
        }
    return services
