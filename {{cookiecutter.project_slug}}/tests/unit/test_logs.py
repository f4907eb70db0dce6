import json
import logging
import sys
from logging.config import dictConfig
from typing import Any

import pytest
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app.asgi import get_application
from {{ cookiecutter.package_name }}.logs import (
    JsonFormatter,
    TextFormatter,
    configuration,
)

LAYOUT = "%(levelname)s [%(request_id)s] %(name)s: %(message)s"


def record(message: str, *arguments: Any, **extra: Any) -> logging.LogRecord:
    logger = logging.getLogger("shop")
    return logger.makeRecord(
        "shop", logging.INFO, "shop.py", 1, message, arguments, None, extra=extra
    )


def failed(message: str) -> logging.LogRecord:
    found = record("It failed.\n")
    try:
        raise ValueError(message)
    except ValueError:
        found.exc_info = sys.exc_info()
    return found


def test_text_escapes_control_characters() -> None:
    text = TextFormatter(LAYOUT)

    assert text.format(record("a %s\n", "b")) == "INFO [-] shop: a b"
    line = text.format(record("%s", "\x1b[2J\r\n\u202e\u2028ERROR é\t"))
    assert line == r"INFO [-] shop: \x1b[2J\r\n\u202e\u2028ERROR é"


@pytest.mark.parametrize(
    "character", ["\xad", "\u061c", "\u200b", "\ufeff", "\U000e0041", "\ud800"]
)
def test_text_escapes_invisible_characters(character: str) -> None:
    escape = character.encode("unicode_escape").decode()
    line = TextFormatter("%(message)s").format(record(f"\N{NO-BREAK SPACE}{character}"))

    assert line == f"\N{NO-BREAK SPACE}{escape}"


def test_text_ends_with_the_traceback() -> None:
    first, *rest = TextFormatter(LAYOUT).format(failed("\x1b[2J")).split("\n")

    assert first == "INFO [-] shop: It failed."
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == r"ValueError: \x1b[2J"


def test_json_is_one_object_per_line() -> None:
    line = JsonFormatter().format(record('"%s"', "a\n\x1b\u2028", size=7, level="x"))

    assert line.isascii() and line.isprintable()
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found.pop("process") > 0
    assert found == {
        "level": "INFO",
        "logger": "shop",
        "message": '"a\n\x1b\u2028"',
        "size": 7,
    }


def test_json_contains_the_traceback() -> None:
    failure = failed("no")
    failure.stack_info = "Stack (most recent call last)"

    found = json.loads(JsonFormatter().format(failure))

    assert found["message"] == "It failed."
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert found["stack"] == failure.stack_info


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object(), {(1, 2): 3}])
def test_values_that_json_cannot_express_become_text(value: Any) -> None:
    found = json.loads(JsonFormatter().format(record("It", value=value)))

    assert found["value"] == str(value)


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_line_has_the_id_of_its_request(
    capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    app = get_application()

    @app.get("/fail")
    def fail() -> None:
        logging.getLogger("shop").warning("from a thread")

    dictConfig(configuration(form, LAYOUT, "WARNING"))
    try:
        with TestClient(app) as client:
            client.get("/fail", headers={"X-Request-ID": "abc-1"})
    finally:
        root.setLevel(level)
        root.handlers = handlers

    expected = {
        "text": "WARNING [abc-1] shop: from a thread",
        "json": '"message": "from a thread", "request_id": "abc-1"',
    }
    assert expected[form] in capsys.readouterr().err
