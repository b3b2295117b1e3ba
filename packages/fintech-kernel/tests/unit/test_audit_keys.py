"""The key of the tree heads: given as PEM or as 32 bytes, or derived where nothing is at stake."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fintech_kernel.errors import StartupFault
from fintech_kernel.security.audit_keys import audit_keys_previous, audit_signer

SEED = bytes(range(32))


def pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_pem_and_bytes_of_one_key_sign_as_one(make_settings: Any) -> None:
    as_bytes = audit_signer(make_settings(audit_signing_key=base64.b64encode(SEED).decode()))
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    as_pem = audit_signer(make_settings(audit_signing_key=pem(key)))
    assert as_bytes.verification_key == as_pem.verification_key


def test_without_a_key_one_is_derived_that_stays_the_same_for_a_secret(make_settings: Any) -> None:
    keys = [audit_signer(make_settings(app_secret=one * 40)).verification_key for one in "aab"]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        base64.b64encode(b"short").decode(),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        pem(generate_private_key(SECP256R1())),
    ],
)
def test_another_kind_of_key_is_a_fault_that_does_not_show_it(
    make_settings: Any, text: str
) -> None:
    with pytest.raises(StartupFault, match="AUDIT_SIGNING_KEY: give an Ed25519") as fault:
        audit_signer(make_settings(audit_signing_key=text))
    assert text not in str(fault.value)


def test_earlier_keys_are_read_and_a_malformed_one_is_a_fault(make_settings: Any) -> None:
    old = audit_signer(make_settings(app_secret="o" * 40)).verification_key
    assert audit_keys_previous(make_settings(audit_keys_previous=(str(old),))) == (old,)
    with pytest.raises(StartupFault, match="AUDIT_KEYS_PREVIOUS"):
        audit_keys_previous(make_settings(audit_keys_previous=("nonsense",)))
