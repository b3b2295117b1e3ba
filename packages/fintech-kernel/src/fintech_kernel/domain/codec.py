"""Dataclasses to JSON and back: how commands and events are stored.

The pure models of plugins are plain dataclasses; pydantic's ``TypeAdapter`` does the work here, so that
the models need not know it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from pydantic import TypeAdapter

from fintech_kernel.canonical import Json
from fintech_kernel.domain.journal import Draft, Entry, Stream

Value = TypeVar("Value")


class Event(Protocol):
    """A domain event: a frozen dataclass with a ``type`` such as ``payment.captured``."""

    type: ClassVar[str]


EventType = TypeVar("EventType", bound=Event)


@lru_cache(maxsize=512)
def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def to_json(value: object) -> dict[str, Json]:
    """Return a dataclass as JSON."""
    return cast("dict[str, Json]", _adapter(type(value)).dump_python(value, mode="json"))


def from_json(cls: type[Value], data: Mapping[str, Any]) -> Value:
    """Return the dataclass that ``to_json`` wrote.

    Raises:
        pydantic.ValidationError: the data is not of this class.
    """
    return cast("Value", _adapter(cls).validate_python(data))


class EventCodec(Generic[EventType]):
    """The events of one kind of stream."""

    def __init__(self, *classes: type[EventType]) -> None:
        self._classes = {cls.type: cls for cls in classes}

    def draft(self, event: EventType) -> Draft:
        """Return an event as a journal draft."""
        return Draft(type=event.type, data=to_json(event), event=event)

    def event(self, entry: Entry) -> EventType | None:
        """Return an entry as its event, or None where it is none of these (a recorded refusal)."""
        cls = self._classes.get(entry.type)
        if cls is None:
            return None
        return entry.event if isinstance(entry.event, cls) else from_json(cls, entry.data)

    def history(self, stream: Stream) -> tuple[EventType, ...]:
        """Return a stream's events in order."""
        decoded = (self.event(entry) for entry in stream.entries)
        return tuple(event for event in decoded if event is not None)
