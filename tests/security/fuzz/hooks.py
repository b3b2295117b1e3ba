"""What schemathesis cannot know from a schema, and which failures are therefore none.

Loaded by ``SCHEMATHESIS_HOOKS``. Data that is meant to be wrong is left as it was made.
"""

import os
import uuid
from collections.abc import Mapping
from typing import Any, Final

import schemathesis
from schemathesis import GenerationMode

MERCHANT_ID: Final = os.environ.get("FUZZ_MERCHANT_ID", "")
"""Named in payments of platform staff; a merchant's principals need not say it."""

BEYOND_SCHEMAS: Final[Mapping[str, str]] = {
    "card_number_refused": "a Luhn check digit is arithmetic",
    "must be names of permissions that are declared here": "it depends on what is installed",
    "must have one of iban, kenyan_bank, mobile_wallet": "null counts as absent",
    "must hold expires_at or lifetime_seconds, not both": "null counts as absent",
    "must have a weekday if it is weekly, and only then": "it relates two members",
    "must have a day_of_month if it is monthly, and only then": "it relates two members",
    "must give a reason if it is rejected": "it relates two members",
    "must change something": "null counts as absent",
    "must be a valid IBAN (ISO 13616), without spaces": "its check digits are arithmetic",
    "must be an ISO 3166-1 alpha-2 code": "two letters are a pattern, countries are a list",
    "must be an email address": "the format of JSON Schema takes more than mail servers do",
    "must be a day, as 2026-11-30": "how many days a month has is no pattern",
    "must be a day (UTC) that has ended": "it depends on the day",
    "must be a month (UTC) that has ended, as 2026-11": "it depends on the day",
    "must have begun": "it depends on the day",
    "must be at most 92 days behind the first": "it relates two parameters",
    "must not be below from": "it relates two parameters",
    "is required of platform staff": "it depends on who asks",
    "must not hold a value twice": "what is equal only to us",
    "must be an event of GET /v1/webhooks/event-types, or a family such as payment.*": "it depends"
    " on what is installed",
    "must be an https:// URL": "where we post to is no pattern",
    "must be a URL in ASCII, with everything else percent-encoded": "where we post to is no pattern",
    "must be a URL with a valid host and port": "where we post to is no pattern",
    "must have a public host: a full name, or a public address": "where we post to is no pattern",
    "is not accepted by the merchant": "which currencies a merchant takes is the merchant's",
}
"""Codes and rules of a 422 to data that fits its schema, and why no schema can say them."""

READS_AS_AN_ID: Final = {"/v1/settlements/reconciliations/lines"}
"""Paths whose last name stands where another route takes an id: what they do not list, that route answers."""


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
    if isinstance(case.body, dict) and case.operation.label == "POST /v1/payments":
        case.body["merchant_id"] = MERCHANT_ID


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Return whether a failure is one: a refusal for a reason beyond schemas is none."""
    if failure.code in {"ST204", "ST205"} and case.operation.path in READS_AS_AN_ID:
        return False
    if failure.code != "ST202" or response.status_code != 422:
        return True
    problem = response.json()
    if "facts" in problem:
        return False  # the state of things refused it, and the facts say which
    reasons = {one["rule"] for one in problem.get("errors", ())} or {problem["code"]}
    return not reasons <= BEYOND_SCHEMAS.keys()


def whole(value: Any) -> Any:
    """Return JSON whose whole numbers have no fraction: to JSON Schema 1.0 is an integer, not to us."""
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
