"""Signed tree heads: read by everybody with the public key, believed only as they were signed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fintech_kernel.domain.checkpoints import (
    CheckpointRejected,
    Signer,
    TreeHead,
    VerificationKey,
    open_note,
    open_text,
    read_note,
)
from hypothesis import given
from hypothesis import strategies as st

SIGNER = Signer("log.example/audit", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEY = SIGNER.verification_key
HEAD = TreeHead(origin=SIGNER.origin, size=7, root=b"r" * 32, signed_at=1_760_000_000_000)
NOTE = SIGNER.sign(HEAD)


def test_a_note_is_a_checkpoint_with_a_signature_line() -> None:
    lines = NOTE.split("\n")
    assert lines[:5] == [
        "log.example/audit",
        "7",
        base64.b64encode(b"r" * 32).decode(),
        "time 1760000000000",
        "",
    ]
    name, signature = lines[5].removeprefix("\N{EM DASH} ").split(" ")
    assert name == "log.example/audit"
    assert base64.b64decode(signature)[:4] == KEY.key_id
    assert len(base64.b64decode(signature)) == 4 + 64
    assert lines[6:] == [""]


def test_the_verifier_key_of_the_signed_note_specification_is_read_and_written() -> None:
    """The example of C2SP signed-note, as Go's golang.org/x/mod/sumdb/note documents it."""
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = VerificationKey.parse(text)
    assert str(key) == text
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    assert key.signed(note, base64.b64decode(signature)[4:])
    assert not key.signed(note + " ", base64.b64decode(signature)[4:])


def test_a_signed_head_comes_back_with_the_right_key_alone() -> None:
    assert open_note(NOTE, [KEY]) == read_note(NOTE) == HEAD
    other = Signer(SIGNER.origin, Ed25519PrivateKey.generate())
    assert open_note(NOTE, [other.verification_key, KEY]) == HEAD
    with pytest.raises(CheckpointRejected, match="no valid signature"):
        open_note(NOTE, [other.verification_key])
    with pytest.raises(CheckpointRejected):
        open_note(NOTE, [])


def test_a_key_signs_for_its_own_log_only() -> None:
    foreign = SIGNER.sign(TreeHead(origin="other.example", size=7, root=b"r" * 32, signed_at=1))
    with pytest.raises(CheckpointRejected, match="another log"):
        open_note(foreign, [KEY])


def test_a_note_may_bear_signatures_of_witnesses_too() -> None:
    witness = Signer("witness.example", Ed25519PrivateKey.generate())
    cosigned = NOTE + witness.sign(HEAD).split("\n\n")[1]
    assert open_note(cosigned, [KEY]) == HEAD


@given(st.integers(0, len(NOTE) - 1), st.characters(min_codepoint=1, max_codepoint=0x2100))
def test_a_note_with_one_character_changed_is_refused(at: int, character: str) -> None:
    changed = NOTE[:at] + character + NOTE[at + 1 :]
    if changed == NOTE:
        return
    try:
        head = open_note(changed, [KEY])
    except CheckpointRejected:
        return
    assert head == HEAD, "only what is no part of the signed text may differ"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "log.example/audit\n7\n",
        NOTE.replace("\n7\n", "\n07\n"),
        NOTE.replace("\n7\n", "\n-7\n"),
        NOTE.replace("\n7\n", f"\n{10**19}\n"),
        NOTE.replace("time ", "date "),
        NOTE.replace("time 1760000000000", "time 1760000000000\nmore"),
        NOTE.split("\n\n")[0] + "\n",
        NOTE.replace("\N{EM DASH}", "-"),
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(CheckpointRejected):
        open_note(note, [KEY])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log.example",
        "log.example+00000000+AAAA",
        str(KEY).replace("log.example", "log.example2"),
        str(KEY)[:-4],
        "log example+" + str(KEY).partition("+")[2],
    ],
)
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRejected):
        VerificationKey.parse(text)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "x" * 129])
def test_an_origin_that_a_note_cannot_bear_is_refused(origin: str) -> None:
    with pytest.raises(CheckpointRejected):
        Signer(origin, Ed25519PrivateKey.generate())


TEXT = "a settlement's statement\n{}\n"


def test_another_text_is_signed_with_the_same_key_and_opened_with_the_public_one() -> None:
    other = Signer(SIGNER.origin, Ed25519PrivateKey.generate())
    note = SIGNER.sign_text(TEXT)
    assert open_text(note, [other.verification_key, KEY]) == TEXT
    for changed in (note.replace("{}", "[]"), note.replace("a settlement", "A settlement")):
        with pytest.raises(CheckpointRejected, match="no valid signature"):
            open_text(changed, [KEY])
    with pytest.raises(CheckpointRejected, match="no valid signature"):
        open_text(note, [other.verification_key])


def test_a_text_and_a_tree_head_are_never_taken_for_one_another() -> None:
    with pytest.raises(CheckpointRejected):
        open_text(NOTE, [KEY])
    with pytest.raises(CheckpointRejected):
        open_note(SIGNER.sign_text(TEXT), [KEY])
    for text in (HEAD.text(), "nospace\n", "no line break at the end", "an empty\n\nline\n"):
        with pytest.raises(ValueError, match="line"):
            SIGNER.sign_text(text)


def test_every_character_of_a_signature_counts() -> None:
    """Base64 has spare bits at its end: two texts for the same bytes are one too many."""
    note = SIGNER.sign_text(TEXT)
    for place in range(len(TEXT), len(note) - 1):
        for letter in "012":
            changed = note[:place] + letter + note[place + 1 :]
            if changed != note:
                with pytest.raises(CheckpointRejected):
                    open_text(changed, [KEY])
