"""Words that say nothing, and places that nobody else has, do not appear.

The forbidden words are spelled in pieces here, or this file would be the first to be found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tidy.source import Found, Source, assert_none, python, snippet, texts

_EMPTY = ("util", "utils", "helper", "helpers", "manager", "misc", "stuff")
# A name made of words: file, class, function.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

PLACES = {
    "/wo" + "rk/": "a path of one machine",
    "/home" + "/": "a path of one machine",
    "/Us" + "ers/": "a path of one machine",
    "sha" + "red/": "a folder outside the repository",
    "py" + "pi.org": "the host of a registry",
    "files.python" + "hosted.org": "the host of a registry",
    "registry." + "npmjs.org": "the host of a registry",
}
LATER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE" + r" KEY-----")


def empty_names(source: Source) -> Iterator[Found]:
    """Find names of files, classes and functions that say nothing."""
    for part in source.path.removesuffix(".py").split("/"):
        if part in _EMPTY:
            yield Found(source.path, 1, f"a file or folder called {part}")
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(source.tree):
        if isinstance(node, named) and set(_words(node.name)) & set(_EMPTY):
            yield Found(source.path, node.lineno, f"the name {node.name} says nothing")


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def forbidden_text(path: str, text: str) -> Iterator[Found]:
    """Find places, promises for later, and keys."""
    for number, line in enumerate(text.splitlines(), start=1):
        for place, why in PLACES.items():
            if place in line:
                yield Found(path, number, f"{place}: {why}")
        if LATER.search(line):
            yield Found(path, number, "do it, or open an issue")
        if _KEY.search(line):
            yield Found(path, number, "a private key")


def trailing_space(path: str, text: str) -> Iterator[Found]:
    """Find spaces at line ends, tabs for spaces, and a missing last line end."""
    if path.endswith((".md", ".py", ".sql", ".toml", ".html", ".css")):
        for number, line in enumerate(text.splitlines(), start=1):
            if line != line.rstrip():
                yield Found(path, number, "space at the end of the line")
        if text and not text.endswith("\n"):
            yield Found(path, text.count("\n") + 1, "no line end at the end")


def test_names_say_something() -> None:
    sources = python("src", "tests", "bench")

    assert_none(found for source in sources for found in empty_names(source))


def test_the_repository_speaks_of_the_product_only() -> None:
    assert_none(found for path, text in texts() for found in forbidden_text(path, text))


def test_texts_end_cleanly() -> None:
    assert_none(found for path, text in texts() for found in trailing_space(path, text))


@pytest.mark.parametrize(
    "text",
    [
        "class LaneManager: ...",
        "def url_helper(): ...",
        "async def misc(): ...",
        "class HTTPUtils: ...",
    ],
)
def test_an_empty_name_is_found(text: str) -> None:
    assert list(empty_names(snippet(text)))


def test_an_empty_file_name_is_found() -> None:
    assert list(empty_names(snippet("", "src/tillbell/utils.py")))
    assert list(empty_names(snippet("", "src/tillbell/helpers/a.py")))


@pytest.mark.parametrize("text", ["class Dispatcher: ...", "def utilise(): ...", "manager = 1"])
def test_a_name_that_says_something_is_not(text: str) -> None:
    assert not list(empty_names(snippet(text)))


@pytest.mark.parametrize("text", [*PLACES, "# TO" + "DO later", "x = 1  # FIX" + "ME"])
def test_a_forbidden_text_is_found(text: str) -> None:
    assert [found.line for found in forbidden_text("a.py", f"fine\n{text}\n")] == [2]


def test_untidy_line_ends_are_found() -> None:
    assert [found.line for found in trailing_space("a.py", "x = 1 \ny = 2")] == [1, 2]
    assert not list(trailing_space("a.py", "x = 1\n"))
