"""The services that plugins provide to one another, by the protocol they implement."""

from typing import Any, TypeVar, cast

Service = TypeVar("Service")


class Services:
    """What is installed. Filled by the host in dependency order, then only read."""

    def __init__(self) -> None:
        self._services: dict[type[Any], object] = {}

    def add(self, protocol: type[Any], service: object) -> None:
        """Make a service known."""
        self._services[protocol] = service

    def get(self, protocol: type[Service]) -> Service:
        """Return the service of a protocol; the host checked that it is there.

        Raises:
            KeyError: it was never declared as required.
        """
        return cast("Service", self._services[protocol])

    def find(self, protocol: type[Service]) -> Service | None:
        """Return the service of a protocol, or None where it is optional and absent."""
        return cast("Service | None", self._services.get(protocol))
