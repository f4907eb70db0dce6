"""The format of all log lines: of the server, uvicorn and the application."""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal, Protocol
from unicodedata import category

Form = Literal["text", "json"]

# Categories of Unicode characters that would move the cursor, fake a log line, or hide
# text.
CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Attributes of every record; all others come from the caller's `extra`.
USUAL = {
    *logging.makeLogRecord({}).__dict__,
    *("asctime", "color_message", "message", "request_id", "taskName"),
}
# `json.dumps` would create one for each line.
ENCODER = json.JSONEncoder(allow_nan=False)
ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None]
)


class Identified(Protocol):
    """A request to which log lines belong."""

    def identifiers(self) -> Mapping[str, str]:
        """Return ``request_id`` and, if it is traced, ``trace_id`` and ``span_id``."""


#: The request that the current task works for. It is never reset, as the server logs
#: exceptions after the application has returned.
current: ContextVar[Identified | None] = ContextVar("current", default=None)


def identifiers() -> Mapping[str, str]:
    """Return the identifiers of the current request; empty outside of one."""
    request = current.get()
    return request.identifiers() if request else {}


class TextFormatter(logging.Formatter):
    """Formats lines for people; a layout can also use ``%(request_id)s``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        record.request_id = identifiers().get("request_id", "-")
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line, escaped: it may contain text from clients."""
        record.message = _visible(record.message.rstrip())
        return super().formatMessage(record)

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """Return the traceback, escaped: its messages may quote clients."""
        return "\n".join(map(_visible, super().formatException(ei).split("\n")))


class JsonFormatter(logging.Formatter):
    """Formats lines for programs: one JSON object each, which includes a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; each item of ``extra`` becomes a field."""
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
    """Return a configuration for ``dictConfig`` that logs to standard error."""
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
    }


@lru_cache(maxsize=1)
def _second(number: int) -> str:
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _visible(text: str) -> str:
    """Return ``text`` with invisible control characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode() if category(each) in CONTROL else each
        for each in text
    )
