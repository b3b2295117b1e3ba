"""The endpoint as a decider, and which events it wants.

Pure: standard library and kernel value types, no clock, no randomness, no I/O. Which changes a status
allows is one table (``ALLOWED``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Final

from fintech_kernel.errors import InvariantBroken

from fintech_webhooks.domain import commands, errors, events
from fintech_webhooks.domain.commands import ChangeEndpoint, CreateEndpoint, Redeliver, SendPing
from fintech_webhooks.domain.events import DisableReason, EndpointCreated, EndpointEvent

FAMILY: Final = ".*"
"""What a filter ends with that wants every event of a family."""

EVERYTHING: Final = "*"


class EndpointStatus(StrEnum):
    """The states of an endpoint."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    REMOVED = "removed"


class EndpointAction(StrEnum):
    """What is done with an endpoint."""

    UPDATE = "update"
    ROTATE_SECRET = "rotate_secret"  # noqa: S105 - a word for an action
    ENABLE = "enable"
    DISABLE = "disable"
    REMOVE = "remove"
    PING = "ping"
    REDELIVER = "redeliver"


ALLOWED: Final[Mapping[EndpointStatus, frozenset[EndpointAction]]] = {
    EndpointStatus.ENABLED: frozenset(EndpointAction) - {EndpointAction.ENABLE},
    EndpointStatus.DISABLED: frozenset(EndpointAction)
    - {EndpointAction.DISABLE, EndpointAction.REDELIVER},
    EndpointStatus.REMOVED: frozenset(),
}
"""What can be done with an endpoint of each status; what is not here is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint. ``secret_id`` signs; ``previous_secret_id`` beside it until ``previous_until``.

    ``in_use_since`` is when it was enabled or given its address: what failed before does not count.
    """

    endpoint_id: str
    merchant_id: str
    url: str
    events: tuple[str, ...]
    description: str
    status: EndpointStatus
    disabled_because: str
    secret_id: str
    previous_secret_id: str
    previous_until: int
    in_use_since: int
    created_at: int
    updated_at: int


def wants(filters: Iterable[str], event: str) -> bool:
    """Whether one of an endpoint's filters names an event, or its family."""
    return any(
        one in {EVERYTHING, event}
        or (one.endswith(FAMILY) and event.startswith(one.removesuffix(EVERYTHING)))
        for one in filters
    )


def decide_creation(command: CreateEndpoint) -> EndpointCreated:
    """Decide whether an endpoint is made.

    Raises:
        EndpointLimitReached: the merchant had as many as it may.
    """
    if command.endpoints_standing >= command.endpoints_max:
        raise errors.EndpointLimitReached(
            merchant_id=command.merchant_id, endpoints_max=command.endpoints_max
        )
    return EndpointCreated(
        endpoint_id=command.endpoint_id,
        merchant_id=command.merchant_id,
        url=command.url,
        events=command.events,
        description=command.description,
        secret_id=command.secret.secret_id,
        at=command.requested_at,
    )


def decide(state: Endpoint | None, command: ChangeEndpoint) -> EndpointEvent:
    """Decide a change.

    Raises:
        EndpointTransitionRefused: the status does not allow it, or it is no longer what was judged.
        InvariantBroken: there is no such endpoint; that is checked before the claim.
    """
    if state is None:
        raise InvariantBroken(f"endpoint {command.endpoint_id} does not exist")
    match command:
        case commands.UpdateEndpoint():
            check_allowed(state.endpoint_id, state.status, EndpointAction.UPDATE)
            return events.EndpointUpdated(
                url=command.url,
                events=command.events,
                description=command.description,
                at=command.requested_at,
            )
        case commands.RotateSecret():
            check_allowed(state.endpoint_id, state.status, EndpointAction.ROTATE_SECRET)
            return events.EndpointSecretRotated(
                secret_id=command.secret.secret_id,
                previous_until=command.requested_at + command.overlap_milliseconds,
                at=command.requested_at,
            )
        case commands.EnableEndpoint():
            check_allowed(state.endpoint_id, state.status, EndpointAction.ENABLE)
            return events.EndpointEnabled(at=command.requested_at)
        case commands.DisableEndpoint():
            check_allowed(state.endpoint_id, state.status, EndpointAction.DISABLE)
            _check_still_judged(state, command)
            return events.EndpointDisabled(reason=command.reason, at=command.requested_at)
        case commands.RemoveEndpoint():
            check_allowed(state.endpoint_id, state.status, EndpointAction.REMOVE)
            return events.EndpointRemoved(at=command.requested_at)


def decide_ping(command: SendPing) -> events.PingRequested:
    """Decide whether a test message is sent.

    Raises:
        EndpointTransitionRefused: the endpoint is removed.
    """
    status = EndpointStatus(command.endpoint_status)
    check_allowed(command.endpoint_id, status, EndpointAction.PING)
    return events.PingRequested(endpoint_id=command.endpoint_id, at=command.requested_at)


def decide_redelivery(command: Redeliver) -> events.RedeliveryRequested:
    """Decide whether deliveries are made again.

    Raises:
        EndpointTransitionRefused: the endpoint gets nothing.
        DeliveryUnderWay: the delivery that was named is still tried.
    """
    status = EndpointStatus(command.endpoint_status)
    check_allowed(command.endpoint_id, status, EndpointAction.REDELIVER)
    if command.under_way:
        raise errors.DeliveryUnderWay(endpoint_id=command.endpoint_id)
    return events.RedeliveryRequested(
        endpoint_id=command.endpoint_id,
        deliveries=len(command.deliveries),
        at=command.requested_at,
    )


def check_allowed(endpoint_id: str, status: EndpointStatus, action: EndpointAction) -> None:
    """Let through what the table allows.

    Raises:
        EndpointTransitionRefused: it does not.
    """
    if action not in ALLOWED[status]:
        raise errors.EndpointTransitionRefused(
            endpoint_id=endpoint_id, status=status.value, action=action.value
        )


def evolve(state: Endpoint | None, event: EndpointEvent) -> Endpoint:
    """Return the endpoint after an event.

    Raises:
        InvariantBroken: the stream does not begin with its creation.
    """
    if isinstance(event, EndpointCreated):
        return _created(event)
    if state is None:
        raise InvariantBroken("an endpoint's stream does not begin with its creation")
    changed = replace(state, updated_at=event.at)
    match event:
        case events.EndpointUpdated():
            moved = event.url is not None and event.url != state.url
            return replace(
                changed,
                url=state.url if event.url is None else event.url,
                events=state.events if event.events is None else event.events,
                description=(state.description if event.description is None else event.description),
                in_use_since=event.at if moved else state.in_use_since,
            )
        case events.EndpointSecretRotated():
            return replace(
                changed,
                secret_id=event.secret_id,
                previous_secret_id=state.secret_id,
                previous_until=event.previous_until,
            )
        case events.EndpointEnabled():
            return replace(
                changed,
                status=EndpointStatus.ENABLED,
                disabled_because="",
                in_use_since=event.at,
            )
        case events.EndpointDisabled():
            return replace(
                changed, status=EndpointStatus.DISABLED, disabled_because=event.reason.value
            )
        case events.EndpointRemoved():
            return replace(changed, status=EndpointStatus.REMOVED)


def fold(history: Iterable[EndpointEvent]) -> Endpoint | None:
    """Return the endpoint that events made, or None before the first."""
    return reduce(evolve, history, None)


def _created(event: EndpointCreated) -> Endpoint:
    return Endpoint(
        endpoint_id=event.endpoint_id,
        merchant_id=event.merchant_id,
        url=event.url,
        events=event.events,
        description=event.description,
        status=EndpointStatus.ENABLED,
        disabled_because="",
        secret_id=event.secret_id,
        previous_secret_id="",
        previous_until=0,
        in_use_since=event.at,
        created_at=event.at,
        updated_at=event.at,
    )


def _check_still_judged(state: Endpoint, command: commands.DisableEndpoint) -> None:
    """An endpoint that was enabled or moved since it failed is judged by what it does now."""
    if command.reason is DisableReason.REQUESTED:
        return
    if command.in_use_since != state.in_use_since:
        raise errors.EndpointTransitionRefused(
            endpoint_id=state.endpoint_id,
            status=state.status.value,
            action=EndpointAction.DISABLE.value,
        )
