"""An endpoint alone: what each status allows, what a change makes of it, which events it wants."""

from dataclasses import replace

import pytest
from fintech_kernel.errors import InvariantBroken
from fintech_webhooks.domain import commands, errors, events, model
from fintech_webhooks.domain.events import DisableReason
from fintech_webhooks.domain.model import EndpointAction, EndpointStatus

SECRET = commands.SealedSecret(secret_id="whs_1", key_id="k1", sealed="x")
CREATE = commands.CreateEndpoint(
    merchant_id="mer_1",
    endpoint_id="whe_1",
    url="https://shop.example.com/",
    events=("payment.*",),
    description="",
    secret=SECRET,
    endpoints_standing=0,
    endpoints_max=2,
    requested_at=1_000,
)
ENDPOINT = model.fold([model.decide_creation(CREATE)])
NAMED = {"merchant_id": "mer_1", "endpoint_id": "whe_1", "requested_at": 2_000}


def command(action: EndpointAction) -> commands.ChangeEndpoint:
    match action:
        case EndpointAction.UPDATE:
            return commands.UpdateEndpoint(
                url="https://b.example.com/", events=None, description=None, **NAMED
            )
        case EndpointAction.ROTATE_SECRET:
            secret = replace(SECRET, secret_id="whs_2")
            return commands.RotateSecret(secret=secret, overlap_milliseconds=500, **NAMED)
        case EndpointAction.ENABLE:
            return commands.EnableEndpoint(**NAMED)
        case EndpointAction.DISABLE:
            return commands.DisableEndpoint(
                reason=DisableReason.REQUESTED, in_use_since=None, **NAMED
            )
        case _:
            return commands.RemoveEndpoint(**NAMED)


CHANGES = (
    EndpointAction.UPDATE, EndpointAction.ROTATE_SECRET, EndpointAction.ENABLE, EndpointAction.DISABLE,
    EndpointAction.REMOVE,
)  # fmt: skip


@pytest.mark.parametrize("status", EndpointStatus)
@pytest.mark.parametrize("action", CHANGES)
def test_a_status_allows_what_the_table_says(status, action):
    state = replace(ENDPOINT, status=status)
    if action in model.ALLOWED[status]:
        assert model.evolve(state, model.decide(state, command(action))).updated_at == 2_000
        return
    with pytest.raises(errors.EndpointTransitionRefused) as refused:
        model.decide(state, command(action))
    assert refused.value.facts == {
        "endpoint_id": "whe_1",
        "status": status.value,
        "action": action.value,
    }


def test_nothing_is_done_with_a_removed_endpoint():
    assert model.ALLOWED[EndpointStatus.REMOVED] == frozenset()


def test_a_merchant_has_so_many_endpoints_and_no_more():
    assert model.decide_creation(replace(CREATE, endpoints_standing=1))
    with pytest.raises(errors.EndpointLimitReached):
        model.decide_creation(replace(CREATE, endpoints_standing=2))


def test_a_rotation_keeps_the_secret_before_for_its_overlap_and_no_older_one():
    once = model.evolve(ENDPOINT, model.decide(ENDPOINT, command(EndpointAction.ROTATE_SECRET)))
    assert (once.secret_id, once.previous_secret_id, once.previous_until) == (
        "whs_2", "whs_1", 2_500,
    )  # fmt: skip
    again = replace(
        command(EndpointAction.ROTATE_SECRET), secret=replace(SECRET, secret_id="whs_3")
    )
    twice = model.evolve(once, model.decide(once, again))
    assert (twice.secret_id, twice.previous_secret_id) == ("whs_3", "whs_2")


@pytest.mark.parametrize("reason", [DisableReason.GONE, DisableReason.FAILING])
def test_an_endpoint_that_was_moved_or_enabled_since_it_failed_is_not_disabled_for_it(reason):
    judged = commands.DisableEndpoint(reason=reason, in_use_since=1_000, **NAMED)
    assert model.decide(ENDPOINT, judged) == events.EndpointDisabled(reason=reason, at=2_000)
    moved = model.evolve(ENDPOINT, model.decide(ENDPOINT, command(EndpointAction.UPDATE)))
    with pytest.raises(errors.EndpointTransitionRefused):
        model.decide(moved, judged)


def test_a_new_description_does_not_make_an_endpoint_new():
    event = events.EndpointUpdated(url=None, events=("*",), description="x", at=9_000)
    changed = model.evolve(ENDPOINT, event)
    assert (changed.in_use_since, changed.events, changed.description) == (1_000, ("*",), "x")
    same = events.EndpointUpdated(url=ENDPOINT.url, events=None, description=None, at=9_000)
    assert model.evolve(ENDPOINT, same).in_use_since == 1_000


@pytest.mark.parametrize(
    ("filters", "event", "is_wanted"),
    [
        (["*"], "payment.captured", True),
        (["payment.*"], "payment.captured", True),
        (["payment.*"], "payments.captured", False),
        (["payment.*"], "payment", False),
        (["payment.captured"], "payment.captured", True),
        (["payment.captured"], "payment.capture", False),
        (["settlement.paid", "payment.*"], "payment.failed", True),
        (["payment.c*"], "payment.captured", False),
        ([], "payment.captured", False),
    ],
)
def test_an_endpoint_wants_what_its_filters_name(filters, event, is_wanted):
    assert model.wants(filters, event) is is_wanted


def test_a_stream_begins_with_a_creation():
    with pytest.raises(InvariantBroken):
        model.fold([events.EndpointEnabled(at=1)])
    with pytest.raises(InvariantBroken):
        model.decide(None, command(EndpointAction.ENABLE))
