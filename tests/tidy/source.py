"""The repository's own files, as the structure tests read them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = "tillbell"
_FOLDERS = (".ci", "bench", "deploy", "docs", "requirements", "src", "tests")
_FOREIGN = {".git", "vendor", "__pycache__", ".hypothesis", ".pytest_cache", "node_modules"}
_BINARY = {".pyc", ".png", ".ico", ".woff2", ".gz", ".zip", ".db"}


class Source(NamedTuple):
    """One Python file."""

    path: str  # from the root: src/tillbell/money.py
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return _tree(self.text)

    @property
    def module(self) -> str:
        """The dotted name, for files under src: tillbell.money."""
        name = self.path.removeprefix("src/").removesuffix(".py").replace("/", ".")
        return name.removesuffix(".__init__")

    @property
    def inside(self) -> str:
        """The path inside the package: money.py, http/client.py."""
        return self.path.removeprefix(f"src/{PACKAGE}/")


class Found(NamedTuple):
    """One thing that is not as it must be."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def texts() -> Sequence[tuple[str, str]]:
    """Return path and text of every file that is ours and is text, read once."""
    return tuple(_texts())


def _texts() -> Iterator[tuple[str, str]]:
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    for folder in _FOLDERS:
        files += (ROOT / folder).rglob("*")
    for path in sorted(files):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not _FOREIGN & set(parts) and path.suffix not in _BINARY:
            yield "/".join(parts), path.read_text(encoding="utf-8")


def python(*folders: str) -> list[Source]:
    """Return the Python files under these folders."""
    wanted = tuple(f"{folder}/" for folder in folders)
    return [
        Source(path, text)
        for path, text in texts()
        if path.startswith(wanted) and path.endswith(".py")
    ]


def snippet(text: str, path: str = f"src/{PACKAGE}/deliver/step.py") -> Source:
    """Make a source of a text, to try a check on."""
    return Source(path, text)


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every imported name as dotted text, with its line: `a.b` for `from a import b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports are not used"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def dotted(node: ast.AST) -> str:
    """Write `a.b.c` for a chain of names; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def is_under(path: str, places: tuple[str, ...]) -> bool:
    """Tell whether a path is one of these files, or in one of these folders (`web/`)."""
    return any(
        path == place or (place.endswith("/") and path.startswith(place)) for place in places
    )


def assert_none(found: Iterable[object]) -> None:
    """Fail with one line for each thing found."""
    lines = [str(thing) for thing in found]
    assert not lines, "\n" + "\n".join(lines)
