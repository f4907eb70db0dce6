"""The form of every log line: of the server, of uvicorn and of the application."""

import json
import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal, Protocol

Form = Literal["text", "json"]

# They would move the cursor, begin a line that was never logged, or hide text.
CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What every record has; the rest is what the caller gave as `extra`.
USUAL = {
    *logging.makeLogRecord({}).__dict__,
    *("asctime", "color_message", "message", "request_id", "taskName"),
}
# `json.dumps` would make one for each line.
ENCODER = json.JSONEncoder(allow_nan=False)
ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None]
)


class Identified(Protocol):
    """What log lines belong to: a request."""

    def identifiers(self) -> Mapping[str, str]:
        """Return ``request_id`` and, if it is traced, ``trace_id`` and ``span_id``."""


#: The request that the task works for. It is left there at the end: the server logs an
#: exception when the application has ended.
current: ContextVar[Identified | None] = ContextVar("current", default=None)


def identifiers() -> Mapping[str, str]:
    """Return those of the request that the task works for, if it does."""
    request = current.get()
    return request.identifiers() if request else {}


class TextFormatter(logging.Formatter):
    """Lines for people; a layout may name ``%(request_id)s`` as well."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and those of a traceback below it."""
        record.request_id = identifiers().get("request_id", "-")
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line, whatever a client has written into it."""
        record.message = _visible(record.message.rstrip())
        return super().formatMessage(record)

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """Return the traceback, whose messages may hold what a client has sent."""
        return "\n".join(map(_visible, super().formatException(ei).split("\n")))


class JsonFormatter(logging.Formatter):
    """Lines for programs: each is a JSON object, with a traceback inside of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what was given as ``extra`` are fields of their own."""
        line = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage().rstrip(),
            **identifiers(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        extra = {
            name: value
            for name, value in record.__dict__.items()
            if name not in USUAL and name not in line
        }
        try:
            return ENCODER.encode({**line, **extra})
        except (TypeError, ValueError, RecursionError):
            texts = {str(name): str(value) for name, value in extra.items()}
            return ENCODER.encode({**line, **texts})


def configuration(form: Form, layout: str, level: str) -> dict[str, Any]:
    """Return what ``logging.config.dictConfig`` takes; all go to standard error."""
    formatter: dict[str, Any] = {"()": JsonFormatter}
    if form == "text":
        formatter = {"()": TextFormatter, "fmt": layout}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": level, "handlers": ["stderr"]},
        # Whether there are access lines is for a setting of its own to say.
        "loggers": {"access": {"level": "INFO"}},
    }


@lru_cache(maxsize=1)
def _second(number: int) -> str:
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _visible(text: str) -> str:
    """Return text with escapes in place of what would not be seen, but do something."""
    if text.isprintable():
        return text
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
