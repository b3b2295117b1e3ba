"""Logs of the service: one JSON object a line on stderr.

Statement texts and engine messages (which can quote values) appear at debug level only, parameters
never. Control characters are escaped by JSON.
"""

import logging
import sys
from typing import Final

import orjson

LOGGER: Final = logging.getLogger("fintech_database")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
}


class _Lines(logging.Formatter):
    """A record as one JSON object; what was passed as ``extra`` becomes members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": round(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((k, v) for k, v in vars(record).items() if k not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=repr).decode()


def start_logging(level: str) -> None:
    """Send the service's and uvicorn's records to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in ("fintech_database", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    # uvicorn's own greetings say nothing that the first line on stdout does not say.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno >= logging.WARNING)
