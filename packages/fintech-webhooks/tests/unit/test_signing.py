"""Signatures, against the official library and the specification's own example."""

import time

import pytest
from fintech_webhooks.domain.signing import secret_text, signed_headers
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError


def test_the_specifications_example_is_reproduced():
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp_seconds=1614265330,
        body='{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(
    st.binary(min_size=32, max_size=32), st.text(max_size=200).filter(lambda one: "\x00" not in one)
)
def test_the_official_verifier_accepts_any_secret_and_body(raw, text):
    body = text.encode("utf-8", "replace").decode()
    headers = signed_headers(
        [secret_text(raw)], message_id="msg_1", timestamp_seconds=int(time.time()), body=body
    )
    Webhook(secret_text(raw)).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(raw)).verify(body + " ", headers, json_parse=False)


def test_each_of_several_secrets_verifies_alone():
    first, second = secret_text(b"a" * 32), secret_text(b"b" * 32)
    headers = signed_headers(
        [first, second], message_id="msg_1", timestamp_seconds=int(time.time()), body="{}"
    )
    for secret in (first, second):
        assert Webhook(secret).verify("{}", headers) == {}
