"""Signed notes: what we commit to, in a form that others can check with a public key alone.

The text of a tree head: a C2SP checkpoint (https://c2sp.org/tlog-checkpoint): origin, size, root in
base64, and one extension line ``time <UTC milliseconds>``. Signature: a C2SP signed note
(https://c2sp.org/signed-note) with Ed25519. A public key is written as a note's verifier key:
``<origin>+<key id>+<key>``.

The same key signs other texts (a settlement's statement). Their first line has a space, which no origin
has, so that neither can be taken for the other.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fintech_kernel.errors import FintechError

ED25519: Final = b"\x01"
"""The signature type of a signed note."""

KEY_ID_BYTES: Final = 4
ROOT_BYTES: Final = 32
TREE_SIZE_MAX: Final = 2**63 - 1

_DASH: Final = "\N{EM DASH}"
_SIGNATURE: Final = re.compile(rf"{_DASH} (\S+) ([A-Za-z0-9+/]+={{0,2}})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_TIME: Final = re.compile(r"time (0|[1-9][0-9]{0,18})")
_ORIGIN: Final = re.compile(r"[^\s+]{1,128}")
_BODY_LINES_MIN: Final = 3


class CheckpointRejected(FintechError):
    """A tree head or a key is malformed, or nobody whom we trust signed it."""

    code = "checkpoint_rejected"
    title = "The signed note is not one that can be trusted."


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeHead:
    """A state of the log: its first ``size`` entries have this root. ``signed_at`` is UTC milliseconds."""

    origin: str
    size: int
    root: bytes
    signed_at: int

    def text(self) -> str:
        """Return the lines that are signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {self.signed_at}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key and the origin that signs with it."""

    origin: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """What a signature names its key by."""
        named = self.origin.encode() + b"\n" + ED25519 + self.public
        return hashlib.sha256(named).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        key = base64.b64encode(ED25519 + self.public).decode()
        return f"{self.origin}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> "VerificationKey":
        """Read a verifier key.

        Raises:
            CheckpointRejected: it is none, or its parts do not belong together.
        """
        origin, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _decoded(encoded)
        key = cls(origin=checked_origin(origin), public=raw[1:])
        if raw[:1] != ED25519 or len(key.public) != ROOT_BYTES or key.key_id.hex() != key_id:
            raise CheckpointRejected("a key looks like <origin>+<8 hex digits>+<base64>, Ed25519")
        return key

    def signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature (without its key id) is ours."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """Signs tree heads of one log, and other texts in its name."""

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        self.origin: Final = checked_origin(origin)
        self.verification_key: Final = VerificationKey(
            origin=origin, public=key.public_key().public_bytes_raw()
        )
        self._key = key

    def sign(self, head: TreeHead) -> str:
        """Return the signed note of a tree head."""
        return self._note(head.text())

    def sign_text(self, text: str) -> str:
        """Return the signed note of another text.

        Raises:
            ValueError: it could be taken for a tree head, or for more than a text.
        """
        if not _is_other_text(text):
            raise ValueError(
                "a text ends with a line break, has no empty line and a space in line 1"
            )
        return self._note(text)

    def _note(self, text: str) -> str:
        signature = self.verification_key.key_id + self._key.sign(text.encode())
        return f"{text}\n{_DASH} {self.origin} {base64.b64encode(signature).decode()}\n"


def read_note(note: str) -> TreeHead:
    """Return what a note says, whoever signed it.

    Raises:
        CheckpointRejected: it is no checkpoint of ours.
    """
    return _parts(note)[0]


def open_note(note: str, keys: Sequence[VerificationKey]) -> TreeHead:
    """Return what a note says, if one of the keys signed it for its own origin.

    Raises:
        CheckpointRejected: it is malformed, of another origin, or signed by nobody we trust.
    """
    head, signatures = _parts(note)
    key = _signed_by(head.text(), signatures, keys)
    if key is None:
        raise CheckpointRejected(
            f"the tree head of size {head.size} bears no valid signature of a given key"
        )
    if head.origin != key.origin:
        raise CheckpointRejected(f"a tree head of {head.origin!r} is another log's")
    return head


def open_text(note: str, keys: Sequence[VerificationKey]) -> str:
    """Return the text of a note that is no tree head, if one of the keys signed it.

    Raises:
        CheckpointRejected: it is malformed, or signed by nobody we trust.
    """
    text, signatures = _split(note, "it is not a text with signatures below")
    if not _is_other_text(text):
        raise CheckpointRejected("it is no signed text")
    if _signed_by(text, signatures, keys) is None:
        raise CheckpointRejected("it bears no valid signature of a given key")
    return text


def checked_origin(origin: str) -> str:
    """Return a log's name, which is also its key's.

    Raises:
        CheckpointRejected: it is empty, too long, or has white space or a plus sign.
    """
    if not _ORIGIN.fullmatch(origin):
        raise CheckpointRejected("an origin has 1 to 128 characters, no white space and no '+'")
    return origin


def _parts(note: str) -> tuple[TreeHead, list[tuple[str, bytes]]]:
    signed, signatures = _split(note, "a tree head is not a signed checkpoint")
    lines = signed.removesuffix("\n").split("\n")
    if len(lines) != _BODY_LINES_MIN + 1:
        raise CheckpointRejected("a tree head is not a signed checkpoint")
    origin, size, root = lines[:_BODY_LINES_MIN]
    time = _TIME.fullmatch(lines[_BODY_LINES_MIN])
    decoded_root = _decoded(root)
    if not _SIZE.fullmatch(size) or time is None or len(decoded_root) != ROOT_BYTES:
        raise CheckpointRejected("a tree head is not a checkpoint with size, root and time")
    head = TreeHead(
        origin=checked_origin(origin), size=int(size), root=decoded_root, signed_at=int(time[1])
    )
    if head.size > TREE_SIZE_MAX or head.text() != signed:
        raise CheckpointRejected("a tree head is not written in the one way there is")
    return head, signatures


def _split(note: str, fault: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return a note's text and its signatures, each with the name of its key."""
    text, separator, tail = note.partition(f"\n\n{_DASH} ")
    found = [_SIGNATURE.fullmatch(line) for line in f"{_DASH} {tail}".rstrip("\n").split("\n")]
    if not separator or None in found:
        raise CheckpointRejected(fault)
    return f"{text}\n", [(one[1], _decoded(one[2])) for one in found if one]


def _signed_by(
    text: str, signatures: Sequence[tuple[str, bytes]], keys: Sequence[VerificationKey]
) -> VerificationKey | None:
    """Return the key that signed a text; None where none of these did."""
    for name, signature in signatures:
        for key in keys:
            if (name, signature[:KEY_ID_BYTES]) == (key.origin, key.key_id) and key.signed(
                text, signature[KEY_ID_BYTES:]
            ):
                return key
    return None


def _is_other_text(text: str) -> bool:
    return text.endswith("\n") and "\n\n" not in text and " " in text.partition("\n")[0]


def _decoded(text: str) -> bytes:
    """Return the bytes of base64, written in the one way there is."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointRejected("not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise CheckpointRejected("base64 with bits that stand for nothing")
    return raw
