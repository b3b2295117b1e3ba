"""The corpus of hostile texts (``payloads.json``), and which of it is sent today."""

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PAYLOADS: Final[tuple[str, ...]] = tuple(
    text
    for texts in json.loads(Path(__file__).with_name("payloads.json").read_text()).values()
    for text in texts
)
"""All of it, by kind: SQL, NoSQL, templates, formats, paths, headers, markup, shell, unicode ..."""

SENT_DAILY: Final = 50

ROTATION: Final = int(os.environ.get("SECURITY_ROTATION") or datetime.now(UTC).date().toordinal())
"""Which part is sent without ``-m slow``: another one every day; shown, so that it can be repeated."""


def daily() -> tuple[str, ...]:
    """Return today's part of the corpus."""
    return tuple(random.Random(ROTATION).sample(PAYLOADS, SENT_DAILY))


def remaining() -> tuple[str, ...]:
    """Return what today's part leaves out."""
    sent = set(daily())
    return tuple(text for text in PAYLOADS if text not in sent)
