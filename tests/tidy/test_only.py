"""The Only list: each dangerous act has its file, and no other file does it.

So whoever asks "can this program reach an address I did not allow?" reads one file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.tidy.source import (
    Found,
    Source,
    assert_none,
    dotted,
    imports,
    is_under,
    python,
    snippet,
)

TESTING = "testing/"  # what tests are given: receivers, name servers, clocks


class Act(NamedTuple):
    """Something only some files may do.

    `imported` are modules whose import is the act; `named` are dotted ends of a use of it.
    """

    what: str
    allowed: tuple[str, ...]
    imported: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


_NETWORK = (
    "http/client.py",
    "http/name_servers.py",
    "http/pool.py",
    "http/connection.py",
    "cli/",
    TESTING,
)
_HTTP_LIBRARIES = ("urllib.request", "http.client", "requests", "httpx", "aiohttp", "urllib3")
_HTTP_EXCEPTIONS = ("fastapi.HTTPException", "starlette.exceptions.HTTPException")

ACTS = (
    Act(
        "store records",
        ("deliver/record_changes.py", "storage/", TESTING),
        named=tuple(
            f"{store}.{verb}"
            for store in ("registry", "_registry", "database", "_database")
            for verb in ("put", "remove")
        ),
    ),
    Act(
        "open outbound sockets",
        _NETWORK,
        named=(".create_connection", ".open_connection", ".sock_connect", ".connect_ex"),
    ),
    Act(
        "use sockets, TLS or names",
        (
            *_NETWORK,
            "http/tls_failures.py",
            "http/mail.py",
            "web/server/uvicorn_server.py",  # which listens
            "web/server/frames.py",  # which passes connections on
            "web/server/http_process.py",
            "web/server/http_processes.py",
        ),
        imported=("socket", "ssl", "dns"),
        named=(".getaddrinfo", ".gethostbyname"),
    ),
    Act("send mail", ("http/mail.py",), imported=("smtplib",)),
    Act("speak HTTP through a library", ("cli/client.py",), imported=_HTTP_LIBRARIES),
    Act(
        "use a database driver",
        (
            "storage/sqlite/database.py",
            "storage/sqlite/connection.py",
            "storage/postgres/connection.py",
            "storage/postgres/pipeline.py",
        ),
        imported=("apsw", "sqlite3", "asyncpg", "psycopg"),
    ),
    Act(
        "read the time",
        ("clock.py",),
        imported=("time",),
        named=("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    ),
    Act(
        "make random values",
        ("ids.py", "vault.py"),
        imported=("secrets", "random", "uuid"),
        named=("os.urandom", ".generate_key", "Ed25519PrivateKey.generate"),
    ),
    Act(
        "read the environment",
        ("config.py",),
        named=("os.environ", "os.environb", "os.getenv", "os.putenv"),
    ),
    Act("print", ("cli/", "logs.py"), named=("print", "sys.stdout", "sys.stderr")),
    Act(
        "give errors a status of their own",
        ("web/edge/problems.py", "web/api/failures.py"),
        imported=_HTTP_EXCEPTIONS,
    ),
    Act(
        "run another program",
        ("cli/supervisor.py", "web/server/http_processes.py"),
        imported=("subprocess", "multiprocessing"),
        named=("create_subprocess_exec", "os.fork", "os.exec"),
    ),
    Act("read what may run code", (), imported=("pickle", "marshal", "shelve"), named=("eval",)),
)

# What a statement looks like. Not prose: "Select the endpoints" has no `from`.
_SQL = re.compile(
    r"\s*(select\s.+\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s"
    r"|create\s+(unique\s+)?(table|index|view|trigger)\s|alter\s+table\s|drop\s+table\s"
    r"|with\s+\w+(\s*\([^)]*\))?\s+as\s+(materialized\s+)?\()",
    re.IGNORECASE | re.DOTALL,
)


def forbidden_acts(source: Source, act: Act) -> Iterator[Found]:
    """Find where a file does what only others may do."""
    if is_under(source.inside, act.allowed):
        return
    for name, line in imports(source.tree):
        if _is_in(name, act.imported) or _ends(name, act.named):
            yield Found(source.path, line, f"may not {act.what}: imports {name}")
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and _ends(dotted_end(node), act.named):
            yield Found(source.path, node.lineno, f"may not {act.what}: {dotted_end(node)}")


def dotted_end(node: ast.Name | ast.Attribute) -> str:
    """Write a use as dotted text; `?.connect` when it hangs on an expression."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '?'}.{node.attr}"
    return node.id


def _is_in(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _ends(name: str, named: tuple[str, ...]) -> bool:
    return any(name == end or name.endswith(end if end[0] == "." else f".{end}") for end in named)


def statements_in_code(source: Source) -> Iterator[Found]:
    """Find SQL written in Python."""
    docstrings = set(_docstrings(source.tree))
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str) and _SQL.match(node.value):
            yield Found(source.path, node.lineno, "SQL belongs into storage/*/sql/*.sql")


def _docstrings(tree: ast.Module) -> Iterator[int]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, owners) and ast.get_docstring(node) is not None:
            first = node.body[0]
            assert isinstance(first, ast.Expr)
            yield id(first.value)


def impure_rules(source: Source) -> Iterator[Found]:
    """Find what a decision may not contain: waiting and files."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
            yield Found(source.path, node.lineno, "rules do not wait")
        elif isinstance(node, ast.Name) and node.id == "open":
            yield Found(source.path, node.lineno, "rules do not read files")


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.what)
def test_only_the_listed_files_may(act: Act) -> None:
    assert_none(found for source in python("src") for found in forbidden_acts(source, act))


def test_only_sql_files_hold_sql() -> None:
    assert_none(found for source in python("src") for found in statements_in_code(source))


def test_rules_only_decide() -> None:
    rules = [source for source in python("src") if source.inside.startswith("rules/")]

    assert rules
    assert_none(found for source in rules for found in impure_rules(source))


def test_no_test_patches_the_program() -> None:
    patching = Act("patch", (), imported=("unittest.mock",))

    assert_none(found for source in python("tests") for found in forbidden_acts(source, patching))


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("open outbound sockets", "await asyncio.open_connection('h', 80)"),
        ("open outbound sockets", "await asyncio.get_running_loop().create_connection(f, 'h')"),
        ("open outbound sockets", "from asyncio import open_connection"),
        ("store records", "await self._registry.put(record)"),
        ("store records", "await gateway.database.remove(Endpoint, id_, scope)"),
        ("use sockets, TLS or names", "def late():\n    import socket"),
        ("use sockets, TLS or names", "import dns.resolver"),
        ("speak HTTP through a library", "import urllib.request"),
        ("speak HTTP through a library", "from urllib.request import urlopen"),
        ("speak HTTP through a library", "from urllib import request"),
        ("send mail", "import smtplib"),
        ("use a database driver", "from apsw import Connection"),
        ("read the time", "from time import monotonic"),
        ("read the time", "datetime.now(UTC)"),
        ("read the time", "datetime.datetime.now()"),
        ("make random values", "import secrets"),
        ("make random values", "os.urandom(3)"),
        ("make random values", "from os import urandom"),
        ("make random values", "Ed25519PrivateKey.generate()"),
        ("read the environment", "os.environ['HOME']"),
        ("read the environment", "from os import environ"),
        ("print", "print('hello')"),
        ("give errors a status of their own", "from fastapi import HTTPException"),
        ("run another program", "import subprocess"),
        ("read what may run code", "eval(text)"),
    ],
)
def test_a_forbidden_act_is_found(what: str, text: str) -> None:
    [act] = [act for act in ACTS if act.what == what]

    assert list(forbidden_acts(snippet(text), act))


@pytest.mark.parametrize(
    "text",
    [
        "from urllib.parse import urlsplit",
        "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC)",
        "now = clock.now()",
        "import hmac\nhmac.compare_digest(a, b)",
        "blueprint.printer()",
    ],
)
def test_what_only_looks_forbidden_is_not(text: str) -> None:
    assert not [found for act in ACTS for found in forbidden_acts(snippet(text), act)]


def test_the_allowed_file_may() -> None:
    [act] = [act for act in ACTS if act.what == "read the time"]

    assert not list(forbidden_acts(snippet("import time", "src/tillbell/clock.py"), act))


@pytest.mark.parametrize(
    "text",
    [
        "run('select id from messages')",
        "run('''\n  INSERT INTO messages values (1)''')",
        "run(f'update t set x = {x}')",
        "run('with due as (select 1) select 2')",
        "run('create table x (id)')",
    ],
)
def test_sql_in_python_is_found(text: str) -> None:
    assert list(statements_in_code(snippet(text)))


def test_prose_is_not_sql() -> None:
    text = '"""Select one from all."""\nx = "Select a profile"\ny = "updated, set"'

    assert not list(statements_in_code(snippet(text)))


@pytest.mark.parametrize("text", ["async def f(): ...", "def f():\n    open('x')"])
def test_a_rule_that_acts_is_found(text: str) -> None:
    assert list(impure_rules(snippet(text)))
