import pytest
from fintech_kernel.errors import StartupFault
from fintech_kernel.security.secrets import KeyRing


def test_a_signature_fits_its_purpose_and_data_only(settings) -> None:
    ring = KeyRing(settings)
    signature = ring.sign("cursor", b"data")
    assert signature.startswith("k1:")
    assert len(signature) == len("k1:") + 64
    assert ring.verify("cursor", b"data", signature)
    assert not ring.verify("cursor", b"other", signature)
    assert not ring.verify("fingerprint", b"data", signature)


@pytest.mark.parametrize(
    "signature", ["", ":", "k1", "k1:", "k9:00", "k1:\u00e9", "K1:00", "k1:00:00"]
)
def test_what_is_no_signature_is_refused(settings, signature: str) -> None:
    assert not KeyRing(settings).verify("cursor", b"data", signature)


def test_what_was_signed_before_a_rotation_still_verifies(make_settings) -> None:
    old = KeyRing(make_settings(app_secret="o" * 40, app_secret_id="k1"))
    new = KeyRing(
        make_settings(
            app_secret="n" * 40, app_secret_id="k2", app_secrets_previous={"k1": "o" * 40}
        )
    )
    assert new.verify("cursor", b"data", old.sign("cursor", b"data"))
    assert new.sign("cursor", b"data").startswith("k2:")
    assert not old.verify("cursor", b"data", new.sign("cursor", b"data"))


def test_what_may_have_been_signed_before_a_rotation_can_be_looked_up(make_settings) -> None:
    old = KeyRing(make_settings(app_secret="o" * 40, app_secret_id="k1"))
    new = KeyRing(
        make_settings(
            app_secret="n" * 40, app_secret_id="k2", app_secrets_previous={"k1": "o" * 40}
        )
    )
    assert set(new.signatures("api_key", b"data")) == {
        old.sign("api_key", b"data"),
        new.sign("api_key", b"data"),
    }
    assert new.signatures("api_key", b"data") != new.signatures("cursor", b"data")


def test_short_and_clashing_previous_secrets_stop_the_start(make_settings) -> None:
    with pytest.raises(StartupFault) as fault:
        KeyRing(make_settings(app_secrets_previous={"k0": "short", "k1": "o" * 40}))
    assert len(fault.value.faults) == 2
    assert "short" not in str(fault.value).replace("is short", "")
