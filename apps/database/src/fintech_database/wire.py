"""JSON of the contract: strict on the way in, exact on the way out.

A request that is not of the contract's shape is refused whole (``RequestRefused``). A value that no
column can hold refuses its own statement only, because a batch carries statements of many callers.

What does not live here: HTTP (``service``) and SQL text (``forms``).
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, cast

import orjson

from fintech_database.forms import Form, FormCache, FormRefused
from fintech_database.limits import (
    BATCH_STATEMENTS_MAX,
    CONTRACT_VERSION,
    INTEGER_MAX,
    PARAMETERS_MAX,
)
from fintech_database.statements import Failure, Outcome, Statement, Steps, Value

CAPABILITIES: Final = ("params", "batch")


class RequestRefused(Exception):
    """The whole request is refused; nothing of it was run.

    Attributes:
        status: HTTP status.
        code: a word of the contract, or ``invalid_request``, ``unauthorized``, ``not_found``,
            ``method_not_allowed`` for what is wrong before there is a statement.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def encode(self) -> bytes:
        """The contract's error body."""
        return encode_error(self.code, str(self))


class Decoder:
    """Requests in, statements out."""

    def __init__(self) -> None:
        self._forms = FormCache()

    def execute(self, body: bytes) -> Statement:
        """Decode the body of ``/execute``.

        Raises:
            RequestRefused: it is not the contract's.
        """
        return self._statement(_load(body))

    def batch(self, body: bytes) -> list[Steps]:
        """Decode the body of ``/batch``.

        Raises:
            RequestRefused: it is not the contract's, or holds too many statements.
        """
        document = _load(body)
        sequences = _members(document, required="sequences")["sequences"]
        if not isinstance(sequences, list):
            raise _invalid("sequences is a list of lists of statements")
        decoded: list[Steps] = []
        count = 0
        for sequence in cast("list[object]", sequences):
            if not isinstance(sequence, list):
                raise _invalid("sequences is a list of lists of statements")
            steps = cast("list[object]", sequence)
            count += len(steps)
            if count > BATCH_STATEMENTS_MAX:
                raise RequestRefused(
                    413, "too_large", f"a batch holds {BATCH_STATEMENTS_MAX} statements at most"
                )
            decoded.append([self._statement(step) for step in steps])
        return decoded

    def _statement(self, document: object) -> Statement:
        members = _members(document, required="sql", optional="params")
        sql = members["sql"]
        params = members.get("params")
        if not isinstance(sql, str):
            raise _invalid("sql is a string")
        if params is None:
            values: list[object] = []
        elif isinstance(params, list):
            values = cast("list[object]", params)
        else:
            raise _invalid("params is a list")
        form: Form | Failure
        try:
            form = self._forms.read(sql)
        except FormRefused as refusal:
            return Statement(sql, (), Failure(refusal.code, str(refusal)))
        failure = _failure_of_values(values, form)
        if failure is not None:
            return Statement(sql, (), failure)
        return Statement(sql, cast("tuple[Value, ...]", tuple(values)), form)


def _failure_of_values(values: list[object], form: Form) -> Failure | None:
    """Why these parameters cannot be bound, if they cannot."""
    if len(values) > PARAMETERS_MAX:
        return Failure("too_large", f"a statement takes {PARAMETERS_MAX} parameters at most")
    if len(values) != form.placeholders:
        message = f"{form.placeholders} placeholders and {len(values)} parameters"
        return Failure("syntax_error", message)
    for number, value in enumerate(values, start=1):
        fault = _fault(value)
        if fault is not None:
            return Failure("unsupported", f"parameter {number} {fault}")
    return None


def _fault(value: object) -> str | None:
    """What keeps a value from being TEXT, BIGINT or NULL."""
    kind = type(value)
    if kind is str:
        return "holds a NUL character" if "\0" in cast("str", value) else None
    if kind is int:
        fits = -INTEGER_MAX - 1 <= cast("int", value) <= INTEGER_MAX
        return None if fits else "is beyond 64 bits"
    if value is None:
        return None
    return "is neither a string, nor an integer of 64 bits, nor null"


def _members(document: object, *, required: str, optional: str = "") -> dict[str, object]:
    """The members of an object that has the required one and no unknown one."""
    if not isinstance(document, dict):
        raise _invalid(f"expected an object with {required}")
    members = cast("dict[str, object]", document)
    if required not in members:
        raise _invalid(f"{required} is missing")
    if len(members) > 1 + (optional in members):
        raise _invalid(f"unknown fields; known: {required} {optional}".rstrip())
    return members


def _load(body: bytes) -> object:
    """Parse JSON strictly (RFC 8259, and no key twice)."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"the body is not JSON: {error}") from None
    # orjson keeps the last of two equal keys. A body that it would write back byte for byte has
    # none; any other (spaces, escapes) is read again by a parser that shows every key.
    if orjson.dumps(document) != body:
        _refuse_duplicate_keys(body)
    return document


def _refuse_duplicate_keys(body: bytes) -> None:
    def unique(pairs: list[tuple[str, object]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise _invalid("a key occurs twice in one object")

    try:
        json.loads(body, object_pairs_hook=unique, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise _invalid("the body is not JSON, or nests too deeply") from None


def _invalid(message: str) -> RequestRefused:
    return RequestRefused(400, "invalid_request", message)


def encode_error(code: str, message: str, constraint: str | None = None) -> bytes:
    """The contract's result object for what was not done."""
    return orjson.dumps(
        {
            "success": False,
            "data": None,
            "rows_affected": 0,
            "error": {"code": code, "message": message, "constraint": constraint},
        }
    )


def encode_outcome(outcome: Outcome) -> bytes:
    """The contract's result object for one statement."""
    if outcome.error is not None:
        return encode_error(outcome.error.code, outcome.error.message, outcome.error.constraint)
    if not outcome.rows:
        return _encode_count(outcome.rows_affected)
    return orjson.dumps(
        {
            "success": True,
            "data": outcome.rows,
            "rows_affected": outcome.rows_affected,
            "error": None,
        }
    )


@lru_cache(maxsize=256)
def _encode_count(rows_affected: int) -> bytes:
    return b'{"success":true,"data":[],"rows_affected":%d,"error":null}' % rows_affected


def encode_batch(results: Iterable[Sequence[Outcome]]) -> bytes:
    """The answer to ``/batch``."""
    sequences = (b",".join(map(encode_outcome, outcomes)) for outcomes in results)
    return b'{"results":[[' + b"],[".join(sequences) + b"]]}"


def encode_health(engine: str) -> bytes:
    """The answer to ``/health``."""
    return orjson.dumps(
        {
            "status": "ok",
            "contract": CONTRACT_VERSION,
            "engine": engine,
            "capabilities": CAPABILITIES,
            "max_batch": BATCH_STATEMENTS_MAX,
        }
    )
