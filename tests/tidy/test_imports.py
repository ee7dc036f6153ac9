"""Imports go one way. Reading any file, you need only know what stands above it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.tidy.source import PACKAGE, Found, Source, assert_none, imports, python, snippet

# Each line may import the lines above it, and itself.
ORDER = (
    ("error_codes", "errors", "clock", "ids", "money", "ed25519", "logs", "vault", "setting_text"),
    ("model", "catalog", "config"),
    ("rules",),
    ("profiles", "providers", "storage"),
    ("verify", "counters"),
    ("http",),
    ("deliver",),
    ("receive",),
    ("process",),
    ("cluster", "upkeep", "configure", "statistics"),
    ("app",),
    ("runtime",),
    ("testing",),
    ("web",),
    ("cli",),
    ("__main__",),
)
# The same within a folder that has floors: each may import those above it.
FLOORS = {
    "rules": (("delivery", "payments", ""),),
    "providers": (("kit",), ("custom",), ("",)),
    "storage": (
        ("", "ports"),
        ("session",),
        ("engine",),
        ("operations",),
        ("sqlite", "postgres"),
        ("move",),
        ("opening",),
    ),
}
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
APART = {"profiles", "providers", "storage"}  # never each other
# Only who starts the program may choose a database.
CHOOSES_STORE = {"app", "cli", "testing"}


def wrong_imports(source: Source) -> Iterator[Found]:
    """Find imports against the order."""
    here = _part(source.module)
    for name, line in imports(source.tree):
        there = _part(name)
        if not name.startswith(f"{PACKAGE}.") or there.startswith("__"):
            continue
        if wrong := _judge(here, there, name):
            yield Found(source.path, line, f"{here} imports {name}: {wrong}")


def wrong_floors(source: Source) -> Iterator[Found]:
    """Find imports within a folder against the order of its floors."""
    folder = _part(source.module)
    for floors in [FLOORS[folder]] if folder in FLOORS else []:
        rank = {name: number for number, names in enumerate(floors) for name in names}
        here = _floor(source.module, rank)
        for name, line in imports(source.tree):
            there = _floor(name, rank) if _part(name) == folder else here
            is_beside = rank[there] == rank[here] and here != there
            if is_beside or rank[there] > rank[here]:
                yield Found(source.path, line, f"{here} imports {name}: it is not above it")


def _floor(module: str, rank: Mapping[str, int]) -> str:
    """Return the second name inside the package if it is a floor: `sqlite`; else ""."""
    names = module.split(".")
    return names[2] if len(names) > 2 and names[2] in rank else ""


def _judge(here: str, there: str, name: str) -> str:
    if here not in RANK or there not in RANK:
        return "has no place in the order"
    if RANK[there] > RANK[here]:
        return "stands below it"
    if here != there and {here, there} <= APART:
        return "adapters do not know each other"
    is_store = name.startswith((f"{PACKAGE}.storage.sqlite", f"{PACKAGE}.storage.postgres"))
    if is_store and here not in CHOOSES_STORE | {"storage"}:
        return "only storage.ports is for everyone"
    if there == "testing" and here not in ("testing", "cli"):
        return "testing is for tests, and for what the command line shows"
    return ""


def _part(module: str) -> str:
    """Return the first name inside the package: `deliver`; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def foreign_imports(source: Source) -> Iterator[Found]:
    """Find imports of anything but the standard library and ourselves."""
    for name, line in imports(source.tree):
        top = name.split(".")[0]
        if top != PACKAGE and top not in sys.stdlib_module_names:
            yield Found(source.path, line, f"rules know only the standard library, not {top}")


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return one way that leads back to where it began, if there is any."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for next_ in sorted(graph.get(name, ())):
            if cycle := visit(next_, [*path, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in sorted(graph) if (cycle := visit(name, []))), [])


def graph_of(sources: list[Source]) -> dict[str, set[str]]:
    """Say which module imports which, imports inside functions included."""
    known = {source.module for source in sources}
    return {
        source.module: {
            name if name in known else name.rpartition(".")[0]
            for name, _ in imports(source.tree)
            if name.startswith(f"{PACKAGE}.")
        }
        - {source.module}
        for source in sources
    }


def test_imports_go_one_way() -> None:
    assert_none(found for source in python("src") for found in wrong_imports(source))


def test_floors_import_those_above_them() -> None:
    assert_none(found for source in python("src") for found in wrong_floors(source))


def test_an_import_of_a_lower_floor_is_found() -> None:
    text = "from tillbell.storage.move.mover import move"

    assert list(wrong_floors(snippet(text, "src/tillbell/storage/sqlite/x.py")))
    assert not list(wrong_floors(snippet(text, "src/tillbell/storage/opening.py")))


def test_every_part_of_the_package_has_a_place() -> None:
    parts = {_part(source.module) for source in python("src")} - {"", "__main__"}

    assert parts <= RANK.keys()


def test_rules_know_only_the_standard_library() -> None:
    rules = [source for source in python("src") if source.inside.startswith("rules/")]

    assert rules
    assert_none(found for source in rules for found in foreign_imports(source))


def test_nothing_imports_itself_by_a_detour() -> None:
    assert find_cycle(graph_of(python("src"))) == []


def test_the_bench_imports_no_tests() -> None:
    assert_none(
        Found(source.path, line, f"imports {name}")
        for source in python("bench")
        for name, line in imports(source.tree)
        if name.split(".")[0] == "tests"
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("rules/delivery/retry.py", "from tillbell.deliver import lane"),
        ("model/messages.py", "from tillbell.rules.retry import decide"),
        ("deliver/step.py", "import tillbell.web.hot"),
        ("deliver/step.py", "from tillbell.storage.sqlite import SqliteStore"),
        ("deliver/step.py", "def f():\n    from tillbell.storage import postgres"),
        ("profiles/x.py", "from tillbell.storage.ports.outbound import Store"),
        ("web/x.py", "from tillbell.testing import ManualClock"),
        ("model/messages.py", "if TYPE_CHECKING:\n    from tillbell.app import Gateway"),
    ],
)
def test_an_import_against_the_order_is_found(path: str, text: str) -> None:
    assert list(wrong_imports(snippet(text, f"src/tillbell/{path}")))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("rules/delivery/retry.py", "from tillbell.model.messages import Result"),
        ("deliver/step.py", "from tillbell.storage.ports.outbound import Store"),
        ("app.py", "from tillbell.storage.sqlite import SqliteStore"),
        ("deliver/step.py", "from tillbell.deliver.lane import Lane"),
    ],
)
def test_an_import_with_the_order_is_not(path: str, text: str) -> None:
    assert not list(wrong_imports(snippet(text, f"src/tillbell/{path}")))


def test_a_library_in_rules_is_found() -> None:
    assert list(foreign_imports(snippet("import msgspec")))
    assert not list(foreign_imports(snippet("import re\nfrom tillbell.model import messages")))


def test_a_cycle_is_found_even_inside_a_function() -> None:
    there = snippet("import tillbell.b", "src/tillbell/a.py")
    back = snippet("def late():\n    from tillbell.a import x", "src/tillbell/b.py")

    assert find_cycle(graph_of([there, back])) == ["tillbell.a", "tillbell.b", "tillbell.a"]
