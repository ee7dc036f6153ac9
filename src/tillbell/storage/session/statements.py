"""Every SQL statement by name: common ones in `operations/sql/`, others in `<dialect>/sql/`.

A file is a list of blocks. `-- name: x` begins a statement; `-- fragment: x` begins text that
other blocks use as `{x}`. `-- form {x} some_word: text` gives one form of a statement, in which
`{x}` is that text. A statement with two such slots has a form for each pair of words.

A list that takes filters has a slot `{where}`, which stands for "any" in the statement itself, and
for the conditions of a filter in `with_where`. `-- fields: x` begins the fields of a list, a line
`name = text` each, and `-- predicate: x` what may be asked of a field, which is `{field}` in it.
"""

from __future__ import annotations

import itertools
import re
from importlib import resources
from typing import NamedTuple

_BLOCK = re.compile(r"^-- (name|fragment|predicate|fields): (\w+)$", re.MULTILINE)
_FIELD = re.compile(r"^(\w+) = (.+)$", re.MULTILINE)
_FORM = re.compile(r"^-- form (\{\w+\}) (\w+): (.+)$", re.MULTILINE)
_SLOT = re.compile(r"\{\w+\}")
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


_WHERE = "{where}"
_ANY = "1 = 1"
_PARAMETER = re.compile(r"(?<!:):(?!:)([a-z_]+)\b")


class FieldTest(NamedTuple):
    """A predicate about a field of a list."""

    predicate: str
    fields: str  # whose it is: the list
    field: str


class AnyTest(NamedTuple):
    """One condition of a filter: any of these tests holds; negated: none of them does."""

    tests: tuple[FieldTest, ...]
    is_negated: bool = False


Where = tuple[AnyTest, ...]


class Statements:
    """Named statements: `sql("message")` or, where there are forms, `sql("audit", "ascending")`.

    Forms are named in the order in which the statement declares their slots.
    """

    def __init__(self, texts: list[str]) -> None:
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        self._fields: dict[tuple[str, str], str] = {}  # by statement and field
        self._predicates: dict[str, str] = {}
        fragments: dict[str, str] = {}
        blocks = [block for text in texts for block in _blocks(text)]
        for kind, name, block in blocks:
            if kind == "fragment":
                fragments["{" + name + "}"] = _COMMENT.sub("", block).strip()
            elif kind == "predicate":
                self._predicates[name] = _COMMENT.sub("", block).strip()
        for kind, name, block in blocks:
            if kind == "name":
                self._add(name, block, fragments)
            elif kind == "fields":
                for field, text in _FIELD.findall(block):
                    self._fields[name, field] = _all_filled(text, fragments)

    def _add(self, name: str, block: str, fragments: dict[str, str]) -> None:
        slots: dict[str, dict[str, str]] = {}
        for slot, word, text in _FORM.findall(block):
            slots.setdefault(slot, {})[word] = text
        body = _COMMENT.sub("", block).strip()
        for words in itertools.product(*slots.values()):
            statement = body
            for (slot, texts), word in zip(slots.items(), words, strict=True):
                statement = statement.replace(slot, texts[word])
            statement = _all_filled(statement, fragments)
            assert (name, words) not in self._statements, f"two statements are called {name}"
            self._statements[name, words] = statement

    def __call__(self, name: str, *forms: str) -> str:
        """Return a statement's text."""
        return self._statements[name, forms].replace(_WHERE, _ANY)

    def with_where(self, name: str, forms: tuple[str, ...], where: Where) -> str:
        """Return a statement with the conditions of a filter.

        The parameters of the tests are numbered from 0 in their order: `:low` of the third one is
        `:low_2`.
        """
        numbers = itertools.count()
        conditions = [
            f"({' OR '.join(self._test(test, next(numbers)) for test in any_.tests)})"
            f" IS {'NOT TRUE' if any_.is_negated else 'TRUE'}"
            for any_ in where
        ]
        return self._statements[name, forms].replace(_WHERE, " AND ".join(conditions) or _ANY)

    def _test(self, test: FieldTest, number: int) -> str:
        text = _PARAMETER.sub(rf":\g<1>_{number}", self._predicates[test.predicate])
        return "(" + text.replace("{field}", self._fields[test.fields, test.field]) + ")"

    def all(self) -> dict[str, str]:
        """Return every statement in every form, as `name:form:form`."""
        return {":".join((name, *forms)): self(name, *forms) for name, forms in self._statements}


def _all_filled(text: str, fragments: dict[str, str]) -> str:
    while (filled := _filled(text, fragments)) != text:  # fragments may nest
        text = filled
    return text


def _filled(text: str, fragments: dict[str, str]) -> str:
    return _SLOT.sub(lambda slot: fragments.get(slot[0], slot[0]), text)


def _blocks(text: str) -> list[tuple[str, str, str]]:
    parts = _BLOCK.split(text)[1:]
    return list(zip(parts[0::3], parts[1::3], parts[2::3], strict=True))


def load(dialect: str) -> Statements:
    """Read those that every database understands, and those in its own words."""
    storage = resources.files("tillbell.storage")
    files = [*(storage / "operations/sql").iterdir(), *(storage / dialect / "sql").iterdir()]
    ours = sorted((f for f in files if f.name.endswith(".sql")), key=lambda f: f.name)
    return Statements([f.read_text("utf-8") for f in ours])
