"""What schemathesis cannot know from a schema: keys are used once, cursors come from the server.

Loaded by ``SCHEMATHESIS_HOOKS``. Data that is meant to be wrong is left as it was made.
"""

import os
import uuid
from typing import Any

import schemathesis
from schemathesis import GenerationMode

MERCHANT_ID = os.environ.get("FUZZ_MERCHANT_ID", "")
"""Named in bodies of platform staff; a merchant's principals need not say it."""


@schemathesis.hook
def before_call(context: Any, case: Any, _kwargs: Any) -> None:
    """Make a valid request acceptable: a new key, no invented cursor, whole numbers as integers."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
    if isinstance(case.body, dict | list):
        case.body = whole(case.body)
    if (
        MERCHANT_ID
        and isinstance(case.body, dict)
        and context.operation.label == "POST /v1/payments"
    ):
        case.body["merchant_id"] = MERCHANT_ID


def whole(value: Any) -> Any:
    """Return JSON whose whole numbers are written without a fraction: for JSON Schema 1.0 is an integer."""
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
