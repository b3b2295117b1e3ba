"""Logs: one JSON object per line, and nothing in it that was not meant to be.

The server calls ``configure_logging`` once; importing configures nothing. A line holds the message
(fixed text of ours), allow-listed fields, the context of the request, and of an exception its type and
the places it passed. Values of variables never appear, and messages only of our own errors, whose
texts are fixed. What other libraries log appears with its first line of template at most, their
arguments never, unless they are numbers.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import orjson
from fintech_dbclient.errors import DatabaseError
from loguru import logger

from fintech_kernel.errors import FintechError
from fintech_kernel.observability.context import log_context
from fintech_kernel.security.card_numbers import holds_card_number, may_hold_card_number

if TYPE_CHECKING:
    from loguru import Message, Record

FIELDS: Final = frozenset(
    {
        "address", "alarm", "attempt", "attempts", "backlog", "check", "code", "count", "currency",
        "delivery_id", "distribution", "duration_ms", "engine", "entry_id", "environment", "event",
        "fault", "handler", "hook", "job", "kind", "library", "merchant_id", "method", "migration",
        "name", "operation_id", "payment_id", "permission", "plugin", "port", "processor", "rail",
        "reason", "request_id", "retry_after_seconds", "route", "rows", "seconds", "seq",
        "settlement_id", "sink", "state", "statement", "status", "step", "stream_id", "subject", "task",
        "timeout_seconds", "trace_id", "type", "version",
    }
)  # fmt: skip
"""Fields that a line may have. Any other is dropped: a body, a token, a URL has no way into a log."""

TEXT_CHARACTERS_MAX: Final = 512
"""Characters of one text in a line."""

WITHHELD: Final = "<withheld>"
"""Stands for a text that holds something like a card number, wherever it came from."""

FRAMES_MAX: Final = 12
"""Frames of one exception, the innermost."""

CAUSES_MAX: Final = 5
"""Exceptions of one chain."""

SILENCED: Final = ("uvicorn.access", "httpx", "httpcore", "hpack")
"""Loggers that say URLs; our access log says what is needed."""

SPEAKING: Final = ("uvicorn", "asyncio", "fintech_dbclient")
"""Loggers, with those below them, whose templates may be shown. Of others only the place appears."""


def configure_logging(level: str, *, sink: TextIO = sys.stderr, json: bool = True) -> "Lines":
    """Send every log of the process to ``sink``: as JSON lines, or for people in development.

    What it returns writes there, too: for lines so many that the way through loguru is too long.
    """
    lines = Lines(sink, level=level, render=_json_text if json else _plain_text)

    def write(message: "Message") -> None:
        lines.write(_line(message.record))

    logger.remove()
    logger.add(write, level=level, format="{message}", backtrace=False, diagnose=False, catch=True)
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.INFO, force=True)
    for name in SILENCED:
        logging.getLogger(name).disabled = True
    for name in SPEAKING:
        _listen_to(name)
    return lines


class Lines:
    """Where lines go. Whoever writes, all of them are made by one filter (``_told``)."""

    def __init__(
        self, sink: TextIO, *, level: str, render: Callable[[dict[str, Any]], str]
    ) -> None:
        self._sink = sink
        self._level = logger.level(level).no
        self._render = render

    def say(self, level: str, message: str, *, place: str, fields: Mapping[str, object]) -> None:
        """Write a line past loguru, which takes a tenth of a payment's CPU to hand one over.

        A sink that cannot be written to is no fault of the work that is told of.
        """
        if logger.level(level).no < self._level:
            return
        try:
            self.write(_told(datetime.now(UTC), level, message, place, fields))
        except (OSError, ValueError):
            return

    def write(self, line: dict[str, Any]) -> None:
        """Write a line that the filter made."""
        self._sink.write(self._render(line) + "\n")
        self._sink.flush()


def _listen_to(name: str) -> None:
    """Take a logger's handlers away: what it says reaches ours through the root."""
    library = logging.getLogger(name)
    library.handlers.clear()
    library.propagate = True


class _FromLibraries(logging.Handler):
    """Hands records of the standard library's logging over, without their arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in _LEVELS else "INFO"
        logger.opt(exception=record.exc_info[1] if record.exc_info else None).patch(
            _place(record)
        ).bind(library=record.name).log(level, _template(record))


_LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def _place(record: logging.LogRecord) -> Any:  # noqa: ANN401 - loguru types its patcher so
    def patch(target: "Record") -> None:
        target.update({"name": record.name, "function": record.funcName, "line": record.lineno})

    return patch


def _template(record: logging.LogRecord) -> str:
    speaks = any(record.name == name or record.name.startswith(name + ".") for name in SPEAKING)
    if not speaks or not isinstance(record.msg, str):
        return "message of a library"
    arguments = record.args if isinstance(record.args, tuple) else ()
    plain = bool(arguments) and all(isinstance(argument, int | float) for argument in arguments)
    text = record.getMessage() if plain else record.msg
    return text.strip().partition("\n")[0]


def json_line(record: "Record") -> str:
    """Return a record as it stands in the log."""
    return _json_text(_line(record))


def _json_text(line: dict[str, Any]) -> str:
    text = orjson.dumps(line)
    if text.isascii():
        return text.decode()
    return json.dumps(line, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _plain_text(line: dict[str, Any]) -> str:
    error = line.pop("exception", None)
    head = f"{line.pop('time')} {line.pop('level'):<8} {line.pop('message')}"
    fields = " ".join(
        f"{name}={json.dumps(value)}" for name, value in line.items() if name != "place"
    )
    text = f"{_printable(head)}  {fields}".rstrip()
    return text if error is None else text + "".join(_plain_exception(error))


def _plain_exception(error: Mapping[str, Any]) -> Iterator[str]:
    for one in (error, *error.get("causes", ())):
        said = f": {_printable(one['message'])}" if "message" in one else ""
        yield f"\n    {one['type']}{said}  at {' < '.join(reversed(one['frames']))}"


def _printable(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)[1:-1].replace('\\"', '"')


def _line(record: "Record") -> dict[str, Any]:
    line = _told(
        record["time"].astimezone(UTC),
        record["level"].name,
        record["message"],
        f"{record['name']}:{record['line']}",
        record["extra"],
    )
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        line["exception"] = _exception(exception.value)
    return line


def _told(
    time: datetime, level: str, message: str, place: str, fields: Mapping[str, object]
) -> dict[str, Any]:
    """Return a line: fixed text, the context of the request, and of the fields those that are allowed."""
    line: dict[str, Any] = {
        "time": time.isoformat(timespec="milliseconds"),
        "level": level,
        "message": _shown(message),
        "place": place,
    }
    context = log_context()
    if context is not None:
        known = {
            "request_id": context.request_id,
            "trace_id": context.trace_id,
            "subject": context.subject,
            "merchant_id": context.merchant_id,
            "operation_id": context.operation_id,
        }
        line |= {name: _shown(value) for name, value in known.items() if value}
    line |= {name: _field(value) for name, value in fields.items() if name in FIELDS}
    return line


def _field(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _shown(value)
    return f"<{type(value).__name__}>"


def _shown(text: str) -> str:
    if may_hold_card_number(text) and holds_card_number(text):
        return WITHHELD
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "..."


def _exception(error: BaseException) -> dict[str, Any]:
    told = _one_exception(error)
    causes = [_one_exception(cause) for cause in _causes(error)]
    if causes:
        told["causes"] = causes
    return told


def _one_exception(error: BaseException) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": _frames(error.__traceback__),
    }
    if isinstance(error, FintechError | DatabaseError):
        told["message"] = _shown(str(error))
    return told


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an exception came from, and what a group of them holds; at most ``CAUSES_MAX``."""
    pending = [error]
    seen = {id(error)}
    while pending and len(seen) <= CAUSES_MAX:
        one = pending.pop(0)
        context = None if one.__suppress_context__ else one.__context__
        for cause in (one.__cause__ or context, *_grouped(one)):
            if cause is not None and id(cause) not in seen and len(seen) <= CAUSES_MAX:
                seen.add(id(cause))
                pending.append(cause)
                yield cause


def _grouped(error: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def _frames(traceback: TracebackType | None) -> list[str]:
    frames: list[str] = []
    while traceback is not None:
        frames.append(f"{_module(traceback.tb_frame)}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return frames[-FRAMES_MAX:]


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or PurePath(frame.f_code.co_filename).stem)
