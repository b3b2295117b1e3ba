"""Sealed fields: unreadable, bound to their place, and open after a rotation of the secret."""

import base64

import pytest
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.security.sealed_fields import (
    NONCE_BYTES,
    FieldSealer,
    SealedField,
    SealingKeyUnknown,
)
from fintech_kernel.security.secrets import KeyRing
from hypothesis import given
from hypothesis import strategies as st

NONCE = bytes(range(NONCE_BYTES))
PLACE = "mer_1/ba_1"
TEXT = "KE 0180123456789"


@pytest.fixture
def sealer(settings) -> FieldSealer:
    return FieldSealer(KeyRing(settings), purpose="bank-account")


def test_what_is_sealed_opens_where_it_was_sealed_for(sealer):
    sealed = sealer.seal(TEXT, bound_to=PLACE, nonce=NONCE)

    assert sealed.key_id == "k1"
    assert sealer.open(sealed, bound_to=PLACE) == TEXT
    assert "0180" not in sealed.text
    assert "0180" not in base64.urlsafe_b64decode(sealed.text).decode("latin-1")


def test_moved_to_another_row_it_does_not_open(sealer):
    sealed = sealer.seal(TEXT, bound_to=PLACE, nonce=NONCE)

    with pytest.raises(InvariantBroken):
        sealer.open(sealed, bound_to="mer_2/ba_1")


def test_another_purpose_is_another_key(settings, sealer):
    other = FieldSealer(KeyRing(settings), purpose="else")

    with pytest.raises(InvariantBroken):
        other.open(sealer.seal(TEXT, bound_to=PLACE, nonce=NONCE), bound_to=PLACE)


@given(position=st.integers(0, 40), bit=st.integers(0, 7))
def test_every_changed_bit_is_noticed(position, bit):
    sealer = _sealer_of_secret("s" * 40)
    sealed = sealer.seal(TEXT, bound_to=PLACE, nonce=NONCE)
    raw = bytearray(base64.urlsafe_b64decode(sealed.text))
    raw[position % len(raw)] ^= 1 << bit
    changed = SealedField(key_id="k1", text=base64.urlsafe_b64encode(raw).decode())

    with pytest.raises(InvariantBroken):
        sealer.open(changed, bound_to=PLACE)


@pytest.mark.parametrize("text", ["", "AAAA", "no base64 at all", "\u00e9"])
def test_what_is_no_sealed_field_does_not_open(sealer, text):
    with pytest.raises(InvariantBroken):
        sealer.open(SealedField(key_id="k1", text=text), bound_to=PLACE)


def test_after_a_rotation_old_fields_open_and_new_ones_have_the_new_key(make_settings):
    old = _sealer(make_settings(app_secret="o" * 40, app_secret_id="k1"))
    new = _sealer(
        make_settings(
            app_secret="n" * 40, app_secret_id="k2", app_secrets_previous={"k1": "o" * 40}
        )
    )
    sealed = old.seal(TEXT, bound_to=PLACE, nonce=NONCE)

    assert new.open(sealed, bound_to=PLACE) == TEXT
    assert new.seal(TEXT, bound_to=PLACE, nonce=NONCE).key_id == "k2"


def test_a_field_of_a_forgotten_secret_names_it(make_settings):
    sealed = _sealer(make_settings()).seal(TEXT, bound_to=PLACE, nonce=NONCE)
    later = _sealer(make_settings(app_secret="n" * 40, app_secret_id="k2"))

    with pytest.raises(SealingKeyUnknown) as unknown:
        later.open(sealed, bound_to=PLACE)
    assert unknown.value.key_id == "k1"


def test_a_nonce_of_another_length_is_refused(sealer):
    with pytest.raises(InvariantBroken):
        sealer.seal(TEXT, bound_to=PLACE, nonce=b"short")


def _sealer(settings) -> FieldSealer:
    return FieldSealer(KeyRing(settings), purpose="bank-account")


def _sealer_of_secret(secret: str) -> FieldSealer:
    from fintech_kernel.settings import KernelSettings

    settings = KernelSettings(
        app_secret=secret, db_base_url="http://127.0.0.1:1", jwt_secret="j" * 40
    )  # pyright: ignore[reportArgumentType] - settings read strings
    return _sealer(settings)
