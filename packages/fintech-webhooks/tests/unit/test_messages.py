"""Messages: ids that follow from the event, bodies that tell what is declared."""

import json
import re

from fintech_kernel.domain.journal import Entry
from fintech_kernel.hooks import PublicEvent
from fintech_webhooks.domain.messages import derived_id, message_of

ENTRY = Entry(
    entry_id="mer_1/pay_1:3",
    step_key="op_1:decide",
    stream_id="mer_1/pay_1",
    seq=3,
    type="payment.captured",
    data={"amount": {"amount": 5, "currency": "KES"}, "token": "never told"},
    actor={"subject": "somebody"},
    request_id="req_1",
    occurred_at=1_760_000_000_007,
    previous_hash="",
    hash="",
)


def test_a_message_tells_what_is_declared_and_where_it_stands():
    event = PublicEvent(name="payment.captured", summary="", fields=("amount", "fee"))
    message = message_of(ENTRY, event)
    assert json.loads(message.body) == {
        "type": "payment.captured",
        "timestamp": "2025-10-09T08:53:20.007Z",
        "data": {
            "amount": {"amount": 5, "currency": "KES"},
            "merchant_id": "mer_1",
            "object_id": "pay_1",
            "sequence": 3,
        },
    }
    assert message == message_of(ENTRY, event)


def test_a_derived_id_is_a_typeid_of_its_time_and_the_same_every_time():
    one = derived_id("msg", at=1_760_000_000_007, of=("a", "b"))
    assert re.fullmatch("msg_[0-7][0-9a-hjkmnp-tv-z]{25}", one)
    assert one == derived_id("msg", at=1_760_000_000_007, of=("a", "b"))
    assert one < derived_id("msg", at=1_760_000_000_008, of=("a", "b"))
    others = {derived_id("msg", at=1_760_000_000_007, of=(str(n),)) for n in range(1_000)}
    assert len(others) == 1_000
    assert derived_id("msg", at=1, of=("a", "b")) != derived_id("msg", at=1, of=("ab",))
