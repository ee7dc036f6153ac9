"""Every SQL statement by name: common ones in `operations/sql/`, others in `<dialect>/sql/`.

A file is a list of blocks. `-- name: x` begins a statement; `-- fragment: x` begins text that
other blocks use as `{x}`. `-- either {x}: this | that` makes a statement in as many forms as
there are choices; they are told apart by the numbers of what was chosen.
"""

from __future__ import annotations

import itertools
import re
from importlib import resources

_BLOCK = re.compile(r"^-- (name|fragment): (\w+)$", re.MULTILINE)
_EITHER = re.compile(r"^-- either (\{\w+\}): (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class Statements:
    """Named statements; `sql(name)` or, where there is a choice, `sql(name, 0, 1)`."""

    def __init__(self, texts: list[str]) -> None:
        self._statements: dict[tuple[str, tuple[int, ...]], str] = {}
        fragments: dict[str, str] = {}
        blocks = [block for text in texts for block in _blocks(text)]
        for kind, name, block in blocks:
            if kind == "fragment":
                fragments["{" + name + "}"] = _COMMENT.sub("", block).strip()
        for kind, name, block in blocks:
            if kind == "name":
                self._add(name, block, fragments)

    def _add(self, name: str, block: str, fragments: dict[str, str]) -> None:
        choices = [(slot, text.split(" | ")) for slot, text in _EITHER.findall(block)]
        body = _COMMENT.sub("", block).strip()
        for chosen in itertools.product(*(range(len(texts)) for _, texts in choices)):
            form = body
            for (slot, texts), number in zip(choices, chosen, strict=True):
                form = form.replace(slot, texts[number])
            while (filled := _filled(form, fragments)) != form:  # a fragment may hold others
                form = filled
            assert (name, chosen) not in self._statements, f"two statements are called {name}"
            self._statements[name, chosen] = form

    def __call__(self, name: str, *chosen: int) -> str:
        """Return a statement's text."""
        return self._statements[name, chosen]

    def all(self) -> dict[str, str]:
        """Return every statement in every form, for tests that look at them all."""
        return {
            ":".join(map(str, (name, *chosen))): s for (name, chosen), s in self._statements.items()
        }


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
