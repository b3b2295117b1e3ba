"""Reading what a database service answers, strictly: it is another program, and may be broken.

A reply is either exactly what the contract says or it is ``MalformedReply``, which the client turns
into "unknown", since the statement may have run all the same. Written by hand: as quick as strict pydantic
models (1 to 4 us a result, measured), which would still have to be turned into results, and each part
of a shared reply is judged for itself.
"""

import re
from typing import TypeAlias, cast

import orjson

from fintech_dbclient.database import Health
from fintech_dbclient.errors import (
    CheckViolation,
    ContractBroken,
    NotExecuted,
    NotNullViolation,
    Refused,
    StatementFailed,
    SyntaxRefused,
    TooLarge,
    UniqueViolation,
    UnknownTable,
    Unsupported,
)
from fintech_dbclient.literals import INTEGER_MAX, INTEGER_MIN
from fintech_dbclient.results import Result, Row
from fintech_dbclient.statements import Statement

CONTRACT = "1"
"""The version of the contract that this client speaks."""

WORD_LENGTH_MAX = 200
"""Characters of an engine's own words that are kept for logs."""


class MalformedReply(Exception):
    """The reply is not what the contract says."""


class StatementUnknown(Exception):
    """The engine itself does not know whether it applied the statement."""


class StatementOverloaded(Exception):
    """The engine did not run the statement because too much waits."""


_FAILURES: dict[str, type[StatementFailed]] = {
    leaf.code: leaf
    for leaf in (
        UniqueViolation,
        NotNullViolation,
        CheckViolation,
        UnknownTable,
        SyntaxRefused,
        Unsupported,
        TooLarge,
        NotExecuted,
    )
}

_ALIASES: dict[str, str] = {
    "duplicate_primary_key": "unique_violation",
    "duplicate_unique": "unique_violation",
    "duplicate_key": "unique_violation",
    "unique_constraint": "unique_violation",
    "not_null": "not_null_violation",
    "null_constraint": "not_null_violation",
    "check_constraint": "check_violation",
    "check_failed": "check_violation",
    "no_such_table": "unknown_table",
    "table_not_found": "unknown_table",
    "parse_error": "syntax_error",
    "invalid_syntax": "syntax_error",
    "unsupported_statement": "unsupported",
    "not_supported": "unsupported",
}
"""Words of engines that answer bare strings, and the contract's word for each."""

_UNKNOWN_WORDS = frozenset(
    {"timeout", "internal", "exit", "noproc", "killed", "shutdown", "down", "closed", "nodedown"}
)
"""Words that say that something died on the way, and nobody knows what it had done."""

_WORD = re.compile(r"[a-z][a-z0-9_]*")
_QUOTED = re.compile(r"""(['"])(?:\\.|(?!\1).)*(?:\1|$)""", re.DOTALL)

_Object: TypeAlias = dict[str, object]
_COUNTS = tuple(Result(rows_affected=affected) for affected in range(4))
"""The results of most statements: without rows, immutable, made once."""

_VALUE_TYPES = frozenset({str, int, type(None)})


def parse_result(reply: object, statement: str) -> Result:
    """Read one result object; ``statement`` is the name for its error.

    Raises:
        MalformedReply: it is not a result of the contract.
        StatementUnknown: it may have been applied.
        StatementOverloaded: it was not run.
    """
    if type(reply) is not dict:
        raise MalformedReply("a result is not an object")
    result = cast("_Object", reply)
    success = result.get("success")
    if success is False:
        return Result(error=_failure(result.get("error"), statement))
    if success is not True or result.get("error") is not None:
        raise MalformedReply("a result neither succeeded nor failed")
    affected = result.get("rows_affected", 0)
    if type(affected) is not int or not 0 <= affected <= INTEGER_MAX:
        raise MalformedReply("rows_affected is not a count")
    data = result.get("data")
    if data:
        return Result(rows=_rows(data), rows_affected=affected)
    if data is not None and data != []:
        raise MalformedReply("data is not a list of rows")
    return _COUNTS[affected] if affected < len(_COUNTS) else Result(rows_affected=affected)


def parse_batch(body: bytes, sequences: int) -> list[object]:
    """Read a batch reply down to one list (or what stands there) per sequence.

    Raises:
        MalformedReply: it is not a batch reply with that many sequences.
    """
    reply = parse_object(body)
    results = reply.get("results")
    if type(results) is not list or len(cast("list[object]", results)) != sequences:
        raise MalformedReply(f"results is not a list of {sequences}")
    return cast("list[object]", results)


def parse_sequence(reply: object, statements: tuple[Statement, ...]) -> list[Result]:
    """Read the results of one sequence.

    Raises:
        MalformedReply: there is not one result per statement, or results after a failure.
        StatementUnknown: one of them may have been applied.
        StatementOverloaded: none of them was run.
    """
    if type(reply) is not list or len(cast("list[object]", reply)) != len(statements):
        raise MalformedReply(f"a sequence of {len(statements)} has another number of results")
    if len(statements) == 1:
        return [parse_result(cast("list[object]", reply)[0], statements[0].name)]
    results: list[Result] = []
    has_failed = False
    for one, statement in zip(cast("list[object]", reply), statements, strict=True):
        try:
            result = parse_result(one, statement.name)
        except StatementOverloaded:
            if results:
                raise StatementUnknown("overloaded behind statements that ran") from None
            raise
        if has_failed and not isinstance(result.error, NotExecuted):
            raise MalformedReply("a statement ran behind one that failed")
        has_failed = has_failed or result.error is not None
        results.append(result)
    return results


def parse_object(body: bytes) -> _Object:
    """Read a JSON object.

    Raises:
        MalformedReply: it is something else.
    """
    try:
        reply: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedReply("the reply is not JSON") from error
    if type(reply) is not dict:
        raise MalformedReply("the reply is not an object")
    return cast("_Object", reply)


def parse_error_code(body: bytes) -> str | None:
    """Read the code of the contract's own error body, or None where the body is somebody else's."""
    try:
        reply = parse_object(body)
    except MalformedReply:
        return None
    error = reply.get("error")
    if reply.get("success", False) is not False or type(error) is not dict:
        return None
    code = cast("_Object", error).get("code")
    return code if isinstance(code, str) and len(code) <= WORD_LENGTH_MAX else None


def parse_health(body: bytes) -> Health:
    """Read ``/health``: the object of the contract, or the bare text ``ok``.

    Raises:
        MalformedReply: it is neither.
        ContractBroken: it speaks another version of the contract.
    """
    if body.strip() in {b"ok", b'"ok"'}:
        return Health(engine="unnamed", contract=CONTRACT, capabilities=frozenset(), batch_max=1)
    reply = parse_object(body)
    engine, contract = reply.get("engine", "unnamed"), reply.get("contract", CONTRACT)
    capabilities, batch_max = reply.get("capabilities", []), reply.get("max_batch", 1)
    if reply.get("status") != "ok" or not isinstance(engine, str):
        raise MalformedReply("the service does not say that it is ok")
    if contract != CONTRACT:
        raise ContractBroken(
            f"the service speaks contract {contract!r:.20}, this client {CONTRACT}"
        )
    if type(capabilities) is not list or type(batch_max) is not int or batch_max < 1:
        raise MalformedReply("capabilities or max_batch of the service are malformed")
    words = [word for word in cast("list[object]", capabilities) if isinstance(word, str)]
    return Health(
        engine=engine[:WORD_LENGTH_MAX],
        contract=CONTRACT,
        capabilities=frozenset(words),
        batch_max=batch_max,
    )


def failure_of(code: str, statement: str, constraint: str | None = None) -> StatementFailed:
    """Return the error for a code of the contract, or ``Refused`` for another word.

    Raises:
        StatementUnknown: the code says that nobody knows.
        StatementOverloaded: the code says that it was not run.
    """
    if code in {"timeout", "internal"}:
        raise StatementUnknown(code)
    if code == "overloaded":
        raise StatementOverloaded(code)
    leaf = _FAILURES.get(code)
    if leaf is None:
        return Refused(statement, constraint=constraint or code)
    return leaf(statement, constraint=constraint)


def _failure(error: object, statement: str) -> StatementFailed:
    if isinstance(error, str):
        return _bare_failure(error, statement)
    if type(error) is not dict:
        raise MalformedReply("a failed result has no error")
    fields = cast("_Object", error)
    code, constraint = fields.get("code"), fields.get("constraint")
    if not isinstance(code, str) or not (constraint is None or isinstance(constraint, str)):
        raise MalformedReply("an error has no code")
    return failure_of(
        code[:WORD_LENGTH_MAX], statement, constraint and constraint[:WORD_LENGTH_MAX]
    )


def _bare_failure(text: str, statement: str) -> StatementFailed:
    """Read an error that is a plain string: an atom or a tuple of an Elixir engine, as text.

    The first word decides: ``:duplicate_unique`` and ``{:duplicate_unique, "orders", "id"}`` are
    one thing. Words outside of quotes are kept for logs; what is quoted may be somebody's data.
    """
    bare = _QUOTED.sub(" ", text[:WORD_LENGTH_MAX])
    words = [word for word in _WORD.findall(bare) if word != "error"]
    if any(word in _UNKNOWN_WORDS for word in words[:4]):
        raise StatementUnknown(" ".join(words))
    first = words[0] if words else ""
    code = _ALIASES.get(first, first)
    if code in _FAILURES or code == "overloaded":
        return failure_of(code, statement, " ".join(words) if code != first else None)
    return Refused(statement, constraint=" ".join(words) or "without words")


def _rows(data: object) -> tuple[Row, ...]:
    if type(data) is not list:
        raise MalformedReply("data is not a list of rows")
    rows = cast("list[Row]", data)
    for row in rows:
        if type(row) is not dict:
            raise MalformedReply("a row is not an object")
        for value in cast("_Object", row).values():
            kind = type(value)
            if kind not in _VALUE_TYPES:
                raise MalformedReply(f"a column holds a {kind.__name__}: only text, integer, null")
            if kind is int and not INTEGER_MIN <= cast("int", value) <= INTEGER_MAX:
                raise MalformedReply("a column holds an integer beyond 64 bits")
    return tuple(rows)
