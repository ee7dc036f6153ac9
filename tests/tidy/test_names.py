"""Names say the thing, in the words of the field: no metaphor, no borrowed word of payments."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.tidy.source import ROOT, Found, Source, assert_none, python, snippet

# Words that were metaphors or riddles here; the glossary in ARCHITECTURE.md has the right ones.
METAPHORS = {
    "aftermath",
    "books",
    "burst",
    "company",
    "desk",
    "fleet",
    "ground",
    "horizon",
    "hungry",
    "janitor",
    "ledger",
    "office",
    "postman",
    "rematch",
    "reread",
    "retell",
    "retold",
    "tally",
    "vouch",
}
# Money words that mean something else to a payments engineer than to a queue.
MONEY_WORDS = {"balance", "book", "booking", "ledger", "settle", "settled", "settlement", "settler"}
QUEUE = ("storage/engine/", "storage/session/", "deliver/", "http/", "cluster/", "upkeep/")
# Participles and pronouns that say nothing about what they hold.
GRAMMAR = {"found", "given", "kept", "made", "one", "told"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words_of(name: str) -> set[str]:
    """Return the lower-case words of a name: `ReadPool` and `read_pool` are `read` and `pool`."""
    return {word.lower() for word in _WORDS.findall(name)}


def defined_names(source: Source) -> Iterator[tuple[str, int]]:
    """Yield the names of the file, its classes and functions, with their lines."""
    for part in source.inside.removesuffix(".py").split("/"):
        yield part, 1
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno


def metaphors(source: Source) -> Iterator[Found]:
    """Find names with a word that the field does not use for it."""
    for name, line in defined_names(source):
        if wrong := words_of(name) & METAPHORS:
            yield Found(source.path, line, f"{name}: the glossary has a plain word for {wrong}")


def money_words(source: Source) -> Iterator[Found]:
    """Find names of queue things with a word that means money."""
    if source.inside.startswith(QUEUE):
        for name, line in defined_names(source):
            if wrong := words_of(name) & MONEY_WORDS:
                yield Found(source.path, line, f"{name}: {wrong} is a word of payments")


def grammar_names(source: Source) -> Iterator[Found]:
    """Find variables and parameters that are named by grammar and not for the thing."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in GRAMMAR:
            yield Found(source.path, node.lineno, f"{node.id}: name the thing")
        elif isinstance(node, ast.arg) and node.arg in GRAMMAR:
            yield Found(source.path, node.lineno, f"{node.arg}: name the thing")


def repeated_classes(sources: list[Source]) -> Iterator[str]:
    """Find class names that stand more than once; a leading underscore makes no difference."""
    places = defaultdict(list)
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{source.path}:{node.lineno}")
    return (f"{name}: {', '.join(at)}" for name, at in sorted(places.items()) if len(at) > 1)


def test_no_class_name_stands_twice() -> None:
    assert_none(repeated_classes(python("src")))


def test_no_name_is_a_metaphor() -> None:
    assert_none(found for source in python("src") for found in metaphors(source))


def test_no_queue_thing_is_named_by_a_word_of_payments() -> None:
    assert_none(found for source in python("src") for found in money_words(source))


def test_variables_are_named_for_the_thing() -> None:
    assert_none(found for source in python("src") for found in grammar_names(source))


@pytest.mark.parametrize("text", ["class OpenDesk: ...", "def look_at_horizon(): ..."])
def test_a_metaphor_is_found(text: str) -> None:
    assert list(metaphors(snippet(text)))


def test_a_borrowed_money_word_is_found() -> None:
    assert list(money_words(snippet("def settle_attempt(): ...")))
    assert not list(money_words(snippet("def settle(): ...", "src/tillbell/process/x.py")))


@pytest.mark.parametrize("text", ["found = 1", "def f(told): ...", "for one in x: ..."])
def test_a_name_of_grammar_is_found(text: str) -> None:
    assert list(grammar_names(snippet(text)))
    assert not list(grammar_names(snippet("endpoint = found.one")))


def test_a_class_that_stands_twice_is_found() -> None:
    a = snippet("class Lane: ...", "src/tillbell/a.py")
    b = snippet("class _Lane: ...", "src/tillbell/b.py")

    assert list(repeated_classes([a, b]))
    assert not list(repeated_classes([a]))


def test_migrations_of_a_store_have_different_numbers() -> None:
    """Two branches may add the next number at once; the second to land takes another."""
    for folder in (ROOT / "src/tillbell/storage").glob("*/migrations"):
        numbers = [path.name.split("_")[0] for path in folder.glob("*.sql")]
        assert len(numbers) == len(set(numbers)), folder
        assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)], folder
