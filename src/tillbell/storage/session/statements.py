"""Every SQL statement by name: common ones in `operations/sql/`, others in `<dialect>/sql/`.

A file is a list of blocks. `-- name: x` begins a statement; `-- fragment: x` begins text that
other blocks use as `{x}`. `-- form {x} some_word: text` gives one form of a statement, in which
`{x}` is that text. A statement with two such slots has a form for each pair of words.
"""

from __future__ import annotations

import itertools
import re
from importlib import resources

_BLOCK = re.compile(r"^-- (name|fragment): (\w+)$", re.MULTILINE)
_FORM = re.compile(r"^-- form (\{\w+\}) (\w+): (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class Statements:
    """Named statements: `sql("message")` or, where there are forms, `sql("audit", "ascending")`.

    Forms are named in the order in which the statement declares their slots.
    """

    def __init__(self, texts: list[str]) -> None:
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        fragments: dict[str, str] = {}
        blocks = [block for text in texts for block in _blocks(text)]
        for kind, name, block in blocks:
            if kind == "fragment":
                fragments["{" + name + "}"] = _COMMENT.sub("", block).strip()
        for kind, name, block in blocks:
            if kind == "name":
                self._add(name, block, fragments)

    def _add(self, name: str, block: str, fragments: dict[str, str]) -> None:
        slots: dict[str, dict[str, str]] = {}
        for slot, word, text in _FORM.findall(block):
            slots.setdefault(slot, {})[word] = text
        body = _COMMENT.sub("", block).strip()
        for words in itertools.product(*slots.values()):
            statement = body
            for (slot, texts), word in zip(slots.items(), words, strict=True):
                statement = statement.replace(slot, texts[word])
            while (filled := _filled(statement, fragments)) != statement:  # fragments may nest
                statement = filled
            assert (name, words) not in self._statements, f"two statements are called {name}"
            self._statements[name, words] = statement

    def __call__(self, name: str, *forms: str) -> str:
        """Return a statement's text."""
        return self._statements[name, forms]

    def all(self) -> dict[str, str]:
        """Return every statement in every form, as `name:form:form`."""
        return {":".join((name, *forms)): text for (name, forms), text in self._statements.items()}


def _filled(text: str, fragments: dict[str, str]) -> str:
    for slot, fragment in fragments.items():
        text = text.replace(slot, fragment)
    return text


def _blocks(text: str) -> list[tuple[str, str, str]]:
    parts = _BLOCK.split(text)[1:]
    return list(zip(parts[0::3], parts[1::3], parts[2::3], strict=True))


def load(dialect: str) -> Statements:
    """Read those that every database understands, and those in its own words."""
    storage = resources.files("tillbell.storage")
    files = [*(storage / "operations/sql").iterdir(), *(storage / dialect / "sql").iterdir()]
    ours = sorted((f for f in files if f.name.endswith(".sql")), key=lambda f: f.name)
    return Statements([f.read_text("utf-8") for f in ours])
