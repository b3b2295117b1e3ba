"""What merchants may be told: declared events are events, their fields are fields, and no secret is one."""

import importlib
import pkgutil
from dataclasses import fields, is_dataclass

import pytest

NEVER_TOLD = {
    "token", "digest", "processor", "processor_reference", "rail", "rail_reference", "bank_account",
    "pricing", "opened_by", "approved_by", "paid_by", "canceled_by",
}  # fmt: skip
"""Secrets, what belongs to the platform's other contracts, and who of the staff did something."""


@pytest.fixture(scope="module")
def event_classes(plugins) -> dict[str, type]:
    """Every event that a plugin's domain defines, by its type."""
    found = {}
    for plugin in plugins:
        package = importlib.import_module(f"{plugin.source.name}.domain")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for one in vars(importlib.import_module(module.name)).values():
                if (
                    isinstance(one, type)
                    and is_dataclass(one)
                    and isinstance(getattr(one, "type", None), str)
                ):
                    found[one.type] = one
    return found


def test_a_public_event_is_an_event_and_its_fields_are_its_own(app, event_classes):
    public = app.state.context.public_events
    assert [one.name for one in public if one.name not in event_classes] == []
    assert [
        f"{one.name}: {name}"
        for one in public
        for name in one.fields
        if name not in {field.name for field in fields(event_classes[one.name])}
    ] == []


def test_no_public_event_tells_what_stays_inside(app):
    told = {name for one in app.state.context.public_events for name in one.fields}
    assert told & NEVER_TOLD == set()


def test_every_public_event_says_what_happened(app):
    assert [
        one.name for one in app.state.context.public_events if not one.summary.endswith(".")
    ] == []
