"""Logs: one line a happening, closed names, and no secret however it got there."""

import ast
import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tillbell
from tillbell import logs
from tillbell.vault import Secret

CANARY = "c4n4ryc4n4ryc4n4ry"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Log as JSON into a string; put everything back afterwards."""
    handlers = logging.root.handlers[:]
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    logs.configure()
    logging.root.handlers[:] = handlers


def test_a_happening_is_one_json_line_with_time_and_level(out: io.StringIO) -> None:
    logs.log_event("attempt.failed", endpoint="ep_1", status=503)
    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert said["event"] == "attempt.failed"
    assert said["level"] == "info"
    assert said["status"] == 503
    assert said["at"].endswith("Z")


def test_an_unknown_name_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="nonsense"):
        logs.log_event("nonsense")


def observed_names() -> set[str]:
    """Find every name that the source gives to `observe` as a literal."""
    names: set[str] = set()
    for path in Path(tillbell.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "log_event":
                constants = (c for c in ast.walk(node.args[0]) if isinstance(c, ast.Constant))
                names |= {c.value for c in constants if isinstance(c.value, str)}
    return names


def test_every_name_in_the_source_is_declared() -> None:
    assert observed_names() <= set(logs.LOG_EVENTS)


@pytest.mark.parametrize(
    "fields",
    [
        {"key": Secret(CANARY)},
        {"authorization": CANARY},
        {"Authorization": CANARY},
        {"client_secret": CANARY},
        {"headers": {"X-Shoppex-Signature": CANARY, "Cookie": CANARY}},
        {"headers": {"x": {"password": [CANARY]}}},
        {"text": f"refused whsec_{CANARY}+/= by peer"},
        {"text": f"key tb_{CANARY} unknown"},
        {"text": f"whsk_{CANARY}"},
        {"said": [f"Bearer {CANARY}", f"basic {CANARY}"]},
        {"url": f"https://shop.example/hook?token={CANARY}&a={CANARY}"},
        {"url": f"https://user:{CANARY}@shop.example/hook"},
        {"raw": f"tb_{CANARY}".encode()},
        {"error": ValueError(f"tb_{CANARY}")},
        {"nested": {"a": [{"b": Secret(CANARY)}]}},
    ],
)
def test_a_planted_secret_is_not_logged(out: io.StringIO, fields: dict[str, Any]) -> None:
    logs.log_event("request.error", **fields)
    assert out.getvalue()
    assert CANARY not in out.getvalue()


def test_a_secret_in_a_traceback_is_not_logged(out: io.StringIO) -> None:
    try:
        raise ValueError(f"no such key tb_{CANARY}\n2026 forged line")
    except ValueError as error:
        logs.log_event("request.error", error)
    assert "ValueError" in out.getvalue()
    assert CANARY not in out.getvalue()


def test_a_librarys_warning_is_cleaned_too(out: io.StringIO) -> None:
    logging.getLogger("some.library").warning("sent %s", f"Bearer {CANARY}\nforged")
    said = json.loads(out.getvalue())
    assert said["event"] == "library.warning"
    assert CANARY not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize("format_", ["json", "console"])
@given(text=st.text(st.characters(exclude_categories=())))
def test_no_value_can_forge_a_line(format_: str, text: str) -> None:
    stream = io.StringIO()
    handlers = logging.root.handlers[:]
    try:
        logs.configure("debug", format_, stream)
        logs.log_event(
            "request.error", said=text + "\r\n\x1b[2K\x85\u2028forged", name={text: text}
        )
    finally:
        logs.configure()
        logging.root.handlers[:] = handlers
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in lines[0])


def test_a_traceback_cannot_begin_a_line_of_its_own_on_a_console() -> None:
    stream = io.StringIO()
    handlers = logging.root.handlers[:]
    try:
        logs.configure("debug", "console", stream)
        try:
            raise ValueError("x\n[info     ] server.started\r[info     ] server.started")
        except ValueError as error:
            logs.log_event("request.error", error)
    finally:
        logs.configure()
        logging.root.handlers[:] = handlers
    assert not any(line.startswith("[info") for line in stream.getvalue().splitlines())


def test_below_the_level_nothing_is_written() -> None:
    stream = io.StringIO()
    handlers = logging.root.handlers[:]
    try:
        logs.configure("error", "json", stream)
        logs.log_event("attempt.failed")
        logs.log_event("attempt.error")
    finally:
        logs.configure()
        logging.root.handlers[:] = handlers
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "attempt.error"
    ]
