"""How operations on endpoints run: decide, write the rows that sending goes by, finish."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Statement
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.errors import InvariantBroken

from fintech_webhooks.domain import model
from fintech_webhooks.domain.commands import (
    ChangeEndpoint,
    CreateEndpoint,
    DisableEndpoint,
    EnableEndpoint,
    Redeliver,
    RemoveEndpoint,
    Repeated,
    RotateSecret,
    SendPing,
    UpdateEndpoint,
)
from fintech_webhooks.domain.history import CODEC, REQUESTS, fold_endpoint
from fintech_webhooks.domain.messages import (
    PING,
    PING_SEQ,
    DeliveryState,
    delivery_to,
    ping_message,
    repeated_delivery,
)
from fintech_webhooks.domain.model import Endpoint
from fintech_webhooks.domain.projection import endpoint_row, endpoint_view, endpoint_write
from fintech_webhooks.domain.secrets import secret_write
from fintech_webhooks.infrastructure import delivery_queries
from fintech_webhooks.infrastructure.delivery_queries import DeliveryRow

ROWS_OF_AN_INSERT: Final = 50
"""Deliveries of one statement: 850 parameters, below every engine's limit."""


async def run_create(execution: Execution) -> Finished:
    """Make an endpoint. Its stream is new; the claim holds the whole input, the secret sealed."""
    command = from_json(CreateEndpoint, execution.command)
    secret = secret_write(
        command.merchant_id, command.endpoint_id, command.secret, created_at=command.requested_at
    )
    return await execution.conclude(
        stream=Stream(stream_id_of(command.merchant_id, command.endpoint_id)),
        step="decide",
        decide=lambda _stream: [CODEC.draft(model.decide_creation(command))],
        complete=lambda appended: _completed(appended, secret),
    )


def opening_of_change(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
    """Read the endpoint's stream in the trip of the claim."""
    return (stream_statement(str(request["merchant_id"]), str(request["endpoint_id"])),)


async def run_update(execution: Execution) -> Finished:
    """Change an endpoint."""
    return await _run_change(execution, from_json(UpdateEndpoint, execution.command))


async def run_rotate(execution: Execution) -> Finished:
    """Let another secret sign; its row stands before the endpoint's names it."""
    command = from_json(RotateSecret, execution.command)
    secret = secret_write(
        command.merchant_id, command.endpoint_id, command.secret, created_at=command.requested_at
    )
    return await _run_change(execution, command, secret)


async def run_enable(execution: Execution) -> Finished:
    """Send to an endpoint again."""
    return await _run_change(execution, from_json(EnableEndpoint, execution.command))


async def run_disable(execution: Execution) -> Finished:
    """Send nothing to an endpoint any more, for people and for the job that sends."""
    return await _run_change(execution, from_json(DisableEndpoint, execution.command))


async def run_remove(execution: Execution) -> Finished:
    """Give an endpoint up."""
    return await _run_change(execution, from_json(RemoveEndpoint, execution.command))


async def run_ping(execution: Execution) -> Finished:
    """Send a test message: its message and its delivery are rows, sent as any other."""
    command = from_json(SendPing, execution.command)
    stream_id = stream_id_of(command.merchant_id, command.ping_id)
    message = ping_message(
        command.merchant_id, command.endpoint_id, command.ping_id, at=command.requested_at
    )
    delivery = delivery_to(
        command.endpoint_id,
        message,
        stream_id=stream_id,
        seq=PING_SEQ,
        state=DeliveryState.PENDING,
        nonce=execution.key(PING),
        now=command.requested_at,
    )
    insert = Write(
        statement=delivery_queries.insert_message(message),
        confirm=delivery_queries.message_by_id(message.merchant_id, message.message_id),
        expected=({"message_id": message.message_id, "body": message.body},),
    )
    return await execution.conclude(
        stream=Stream(stream_id),
        step="decide",
        decide=lambda _stream: [REQUESTS.draft(model.decide_ping(command))],
        complete=lambda appended: (
            refused(appended.entries[0])
            if appended.is_refused
            else Completion(
                result={
                    "delivery_id": delivery.delivery_id,
                    "endpoint_id": command.endpoint_id,
                    "message_id": message.message_id,
                },
                writes=(insert, _delivery_write([delivery])),
            )
        ),
    )


async def run_redeliver(execution: Execution) -> Finished:
    """Make deliveries again: new rows with the same messages, whose ids follow from the operation's."""
    command = from_json(Redeliver, execution.command)
    rows = [
        repeated_delivery(
            command.redelivery_id,
            _as_row(command, one),
            nonce=f"{execution.key('redeliver')}:{index}",
            now=command.requested_at,
        )
        for index, one in enumerate(command.deliveries)
    ]
    inserts = [
        _delivery_write(rows[start : start + ROWS_OF_AN_INSERT])
        for start in range(0, len(rows), ROWS_OF_AN_INSERT)
    ]
    return await execution.conclude(
        stream=Stream(stream_id_of(command.merchant_id, command.redelivery_id)),
        step="decide",
        decide=lambda _stream: [REQUESTS.draft(model.decide_redelivery(command))],
        complete=lambda appended: (
            refused(appended.entries[0])
            if appended.is_refused
            else Completion(
                result={
                    "endpoint_id": command.endpoint_id,
                    "deliveries": [row.delivery_id for row in rows],
                    "more": command.more,
                },
                writes=inserts,
            )
        ),
    )


async def _run_change(execution: Execution, command: ChangeEndpoint, *before: Write) -> Finished:
    return await execution.conclude(
        stream=execution.opened_stream(command.merchant_id, command.endpoint_id),
        step="decide",
        decide=lambda stream: [CODEC.draft(model.decide(fold_endpoint(stream), command))],
        complete=lambda appended: _completed(appended, *before),
    )


def _completed(appended: Appended, *before: Write) -> Completion:
    """A function of the rows that stand, so that every executor ends alike."""
    if appended.is_refused:
        return refused(appended.entries[0])
    endpoint = _decided(appended)
    seq = appended.entries[-1].seq
    return Completion(
        result=endpoint_view(endpoint_row(endpoint, seq)),
        writes=(*before, endpoint_write(endpoint, seq)),
    )


def _decided(appended: Appended) -> Endpoint:
    """Return the endpoint as the decision left it."""
    endpoint = fold_endpoint(appended.as_written)
    if endpoint is None:
        raise InvariantBroken("a decision about an endpoint stands where there is none")
    return endpoint


def _delivery_write(rows: Sequence[DeliveryRow]) -> Write:
    """Return the insert of deliveries; where they stand they may have got further since."""
    return Write(
        statement=delivery_queries.insert_deliveries(rows),
        confirm=delivery_queries.deliveries_of(
            rows[0].merchant_id, [row.delivery_id for row in rows]
        ),
        expected=tuple(
            {
                "delivery_id": row.delivery_id,
                "endpoint_id": row.endpoint_id,
                "message_id": row.message_id,
            }
            for row in rows
        ),
    )


def _as_row(command: Redeliver, one: Repeated) -> DeliveryRow:
    """Return as much of a delivery's row as its repetition goes by."""
    return DeliveryRow(
        delivery_id=one.delivery_id,
        merchant_id=command.merchant_id,
        endpoint_id=command.endpoint_id,
        message_id=one.message_id,
        stream_id=one.stream_id,
        seq=one.seq,
        type=one.type,
        repeats="",
        state="",
        nonce="",
        lease_until=0,
        attempts=0,
        next_run_at=0,
        last_status=0,
        last_error="",
        created_at=0,
        updated_at=0,
    )
