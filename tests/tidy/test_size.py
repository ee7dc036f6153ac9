"""Sizes only shrink.

What is over a limit stands in ratchet.toml with its present number. Growing fails;
shrinking fails too, until the number there is lowered: so it can only go down.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tidy.source import Source, assert_none, python, snippet

LIMITS = {"file": 800, "function": 40, "arguments": 5, "nesting": 3}
RATCHET = Path(__file__).with_name("ratchet.toml")
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_INTERFACES = {"get", "post", "put", "patch", "delete", "command", "default"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Size(NamedTuple):
    """One measured number."""

    kind: str
    name: str  # src/tillbell/money.py, src/tillbell/money.py:parse_amount
    number: int


def measure(source: Source) -> Iterator[Size]:
    """Measure a file and its functions."""
    yield Size("file", source.path, len(source.text.splitlines()))
    for name, function in _functions(source.tree, ""):
        full = f"{source.path}:{name}"
        yield Size("function", full, _length(function))
        yield Size("arguments", full, 0 if _is_interface(function) else _arguments(function))
        yield Size("nesting", full, _depth(function.body))


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from _functions(child, f"{name}.")
        else:
            yield from _functions(child, prefix)


def _length(function: Function) -> int:
    """Count lines from `def` to the end, its docstring left out: words are not punished."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        words = function.body[0]
        assert words.end_lineno is not None
        lines -= words.end_lineno - words.lineno + 1
    return lines


def _is_interface(function: Function) -> bool:
    """Tell whether its arguments are parameters of the API or options of the command line.

    How many of them there are is the interface's business, not the function's.
    """
    calls = [d.func for d in function.decorator_list if isinstance(d, ast.Call)]
    plain = [d for d in function.decorator_list if not isinstance(d, ast.Call)]
    return any(isinstance(d, ast.Attribute) and d.attr in _INTERFACES for d in calls + plain)


def _arguments(function: Function) -> int:
    taken = function.args
    names = [a.arg for a in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    # `db`: what an operation of the store runs on, as `self` is what a method does.
    return len([name for name in names if name not in ("self", "cls", "db")])


def _depth(body: list[ast.stmt]) -> int:
    return max((_depth_of(statement) for statement in body), default=0)


def _depth_of(statement: ast.stmt) -> int:
    if not isinstance(statement, _BLOCKS):
        return 0
    inner = [_depth(block) for block in _branches(statement)]
    if isinstance(statement, ast.If) and _is_elif(statement):
        return max(1 + inner[0], _depth_of(statement.orelse[0]))
    return 1 + max(inner)


def _branches(statement: ast.stmt) -> list[list[ast.stmt]]:
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    blocks += [handler.body for handler in getattr(statement, "handlers", [])]
    return blocks + [case.body for case in getattr(statement, "cases", [])]


def _is_elif(statement: ast.If) -> bool:
    after = statement.orelse
    return len(after) == 1 and isinstance(after[0], ast.If)


def wrong_sizes(sizes: list[Size], allowed: dict[str, dict[str, int]]) -> list[str]:
    """Compare sizes with the limits and the list of exceptions."""
    found = []
    over = {(s.kind, s.name): s.number for s in sizes if s.number > LIMITS[s.kind]}
    listed = {(kind, name): n for kind, names in allowed.items() for name, n in names.items()}
    for (kind, name), number in sorted(over.items()):
        most = listed.get((kind, name), LIMITS[kind])
        if number > most:
            found.append(f"{name}: {kind} {number}, at most {most}")
    for (kind, name), most in sorted(listed.items()):
        number = over.get((kind, name), 0)
        if number < most:
            advice = f"lower it to {number}" if number else "take it off the list"
            found.append(f"{name}: {kind} is listed with {most}: {advice}")
    return found


def test_sizes_stay_within_their_limits() -> None:
    sizes = [size for source in python("src", "tests", "bench") for size in measure(source)]

    assert_none(wrong_sizes(sizes, tomllib.loads(RATCHET.read_text())))


_NESTED = """
def deep(a):
    for b in a:
        if b:
            with b:
                try:
                    pass
                except OSError:
                    return
"""
_CHAIN = """
def flat(a):
    if a == 1:
        return
    elif a == 2:
        return
    elif a == 3:
        return
    elif a == 4:
        for b in a:
            pass
"""


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("x = 1\n" * 801, "file", 801),
        ("def long():\n" + "    x = 1\n" * 41, "function", 42),
        ("class A:\n    async def long(self):\n" + "        x = 1\n" * 40, "function", 41),
        ("def many(a, b, c, *, d, e, f): ...", "arguments", 6),
        ("class A:\n    def __init__(self, a, b, c, /, d, e, f): ...", "arguments", 6),
        (_NESTED, "nesting", 4),
    ],
)
def test_what_is_too_large_is_found(text: str, kind: str, number: int) -> None:
    sizes = list(measure(snippet(text)))

    [found] = wrong_sizes(sizes, {})
    assert f"{kind} {number}, at most {LIMITS[kind]}" in found


@pytest.mark.parametrize(
    "text",
    [
        'def said():\n    """Say.\n' + "    words\n" * 60 + '    """\n    return 1',
        "class A:\n    def five(self, a, b, c, *, d, e): ...",
        _CHAIN,
        "@router.get('/x')\nasync def list_(a, b, c, d, e, f, g): ...",
    ],
)
def test_what_is_small_enough_is_not(text: str) -> None:
    assert wrong_sizes(list(measure(snippet(text))), {}) == []


def test_the_list_allows_no_more_than_its_number_and_only_shrinks() -> None:
    long = Size("function", "a.py:f", 50)

    assert wrong_sizes([long], {"function": {"a.py:f": 50}}) == []
    assert wrong_sizes([long], {"function": {"a.py:f": 49}})
    assert wrong_sizes([long], {"function": {"a.py:f": 51}})
    assert wrong_sizes([], {"function": {"a.py:gone": 50}})
