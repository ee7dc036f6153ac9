"""Text templates: what an endpoint for people says of a message, in its owner's own words.

The language is a part of Jinja's: output, `if`, `for`, comparisons and a few filters. Nothing can
be called or assigned, and no attribute of Python is reached: names are members of the payload. What
is missing is empty. All work is bounded: turns of loops, members that are looked through, and the
length of the text. So no template keeps a publisher waiting, and a wrong one says in which line.

    Order {{ data.number }} of {{ data.customer.name | default("a guest") }}: {{ data.amount }}
    {% for item in data.items %}- {{ item.quantity }} × {{ item.productName }}
    {% endfor %}
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import ChainableUndefined, Template, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.environment import Environment
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tillbell.clock import iso
from tillbell.profiles.base import MessageContext, Profile
from tillbell.rules.delivery.raw_payload import is_json_object
from tillbell.rules.exact_json import NOT_JSON, decoded_exactly, number_of
from tillbell.rules.nearest import hint, nearest

SOURCE_MAX = 4_000  # characters
TEXT_MAX = 8_000  # characters of the result; chats take less and show an ellipsis then
TURNS_MAX = 200  # of all loops of one text; a long value that is written counts as one too
SEARCHED_MAX = 1_000  # members of a list in which `in` looks
NODES_MAX = 1_000  # parts of a template
VARIABLES = ("type", "id", "at", "data", "payload", "text")
FILTERS = (
    "default",
    "first",
    "join",
    "last",
    "length",
    "lower",
    "number",
    "trim",
    "truncate",
    "upper",
)
_LONG = 1_000
_BUDGET = "_budget"
_FILE = "<template>"
_DIGITS_MAX = 60
# Control and direction characters but for line ends, and halves of characters.
_NOT_SHOWN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const,
    nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.CondExpr,
)  # fmt: skip
_TESTS = frozenset({"defined", "undefined", "none", "string", "number", "true", "false"})
_LOOP_MEMBERS = frozenset({"index", "index0", "first", "last", "length"})


class TemplateProblem(NamedTuple):
    """What is wrong with a template, or why it made no text of a message."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class TextTemplate:
    """A template that can be used."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def text(self, message: MessageContext) -> str | TemplateProblem:
        """Return the text for a message. Never raises."""
        variables = {**_variables(message), _BUDGET: [TURNS_MAX]}
        try:
            parts = _bounded_parts(self._template.generate(variables))
            return _NOT_SHOWN.sub("", "".join(parts)).strip()
        except (TemplateError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            return TemplateProblem(_line_of(error), _reason(error))


def read_text_template(source: str, profile: Profile) -> TextTemplate | TemplateProblem:
    """Return a template for the texts of a profile, or what is wrong with it."""
    return _read(source, profile.escape)


@lru_cache(1_024)
def _read(source: str, escape: Callable[[str], str]) -> TextTemplate | TemplateProblem:
    if len(source) > SOURCE_MAX:
        return TemplateProblem(1, f"a template has at most {SOURCE_MAX} characters")
    environment = _environment(escape)
    try:
        tree = environment.parse(source)
        problem = next(_problems(tree), None)
        if problem is not None:
            return problem
        _bound(tree)
        code = environment.compile(tree, filename=_FILE)
        return TextTemplate(Template.from_code(environment, code, {}))
    except TemplateSyntaxError as error:
        return TemplateProblem(error.lineno, error.message or "it cannot be read")
    except (TemplateError, RecursionError, SyntaxError, ValueError) as error:
        return TemplateProblem(1, _reason(error))


class _MembersOnly(ImmutableSandboxedEnvironment):
    """Names lead to members of objects and lists, and to nothing of Python."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP_MEMBERS:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        is_index = isinstance(argument, int) and not isinstance(argument, bool)
        if isinstance(obj, list) and is_index and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


def _environment(escape: Callable[[str], str]) -> Environment:
    @pass_context
    def written(context: Context, value: Any) -> str:
        text = _text(value)
        if len(text) > _LONG or isinstance(value, dict | list):
            _spend(context, 1)
        return escape(text[:TEXT_MAX])

    environment = _MembersOnly(
        undefined=ChainableUndefined, autoescape=False, finalize=written, optimized=False
    )
    environment.globals.clear()
    environment.filters = {
        "default": _default,
        "first": lambda value: value[0] if isinstance(value, list) and value else "",
        "join": _joined,
        "last": lambda value: value[-1] if isinstance(value, list) and value else "",
        "length": lambda value: len(value) if isinstance(value, dict | list | str) else 0,
        "lower": lambda value: _text(value)[:TEXT_MAX].lower(),
        "number": lambda value: number_of(value) or 0,
        "trim": lambda value: _text(value)[:TEXT_MAX].strip(),
        "truncate": _truncated,
        "upper": lambda value: _text(value)[:TEXT_MAX].upper(),
        "_plain": _plain,
        "_searched": _searched,
        "_turns": _turns,
    }
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    return environment


# ── what a template may say ──────────────────────────────────────────────────────────────────────


def _problems(tree: nodes.Template) -> Iterator[TemplateProblem]:
    for number, node in enumerate(_all_nodes(tree)):
        reason = _refusal(node)
        if reason is None and number >= NODES_MAX:
            reason = "the template has too many parts"
        if reason is not None:
            yield TemplateProblem(node.lineno or 1, reason)
    yield from _unknown_names(tree)


def _all_nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _all_nodes(child)


def _refusal(node: nodes.Node) -> str | None:
    if not isinstance(node, _ALLOWED):
        word = type(node).__name__.lower()
        return f"{word!r} is not part of the language: there are output, if, for and filters"
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        name = f"there is no filter {node.name!r}{hint(nearest(node.name, FILTERS))}"
        return f"{name}; there are {', '.join(FILTERS)}"
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return f"there is no test {node.name!r}; there are {', '.join(sorted(_TESTS))}"
    if isinstance(node, nodes.Name) and node.name.startswith("_"):
        return f"{node.name!r}: a name begins with a letter"
    if isinstance(node, nodes.For) and (node.recursive or not isinstance(node.target, nodes.Name)):
        return "a loop has one name and is not recursive"
    return None


def _unknown_names(tree: nodes.Template) -> Iterator[TemplateProblem]:
    names = list(tree.find_all(nodes.Name))
    own = {name.name for name in names if name.ctx == "store"}
    known = {*VARIABLES, *own, "loop"}
    for name in names:
        if name.name not in known:
            near = hint(nearest(name.name, known))
            reason = f"there is no {name.name!r}{near}; there are {', '.join(VARIABLES)}"
            yield TemplateProblem(name.lineno, reason)


def _bound(tree: nodes.Template) -> None:
    """Count the turns of each loop, and bound what is compared and looked through."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(loop.iter, "_turns")
    for compare in tree.find_all(nodes.Compare):
        compare.expr = _filtered(compare.expr, "_plain")
        for operand in compare.ops:
            is_search = operand.op in ("in", "notin")
            operand.expr = _filtered(operand.expr, "_searched" if is_search else "_plain")


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


# ── what it does with values ─────────────────────────────────────────────────────────────────────


def _variables(message: MessageContext) -> dict[str, Any]:
    is_object = message.content_type is None or is_json_object(message.payload)
    payload = decoded_exactly(message.payload) if is_object else NOT_JSON
    if payload is NOT_JSON:
        payload = {}
    data = payload
    if isinstance(payload, dict) and isinstance(payload.get("type"), str):
        inner = payload.get("data")
        data = inner if isinstance(inner, dict) else payload
    return {
        "type": message.event_type,
        "id": message.id,
        "at": iso(message.created_at),
        "data": data,
        "payload": payload,
        "text": "" if is_object else message.payload.decode(errors="replace"),
    }


@pass_context
def _turns(context: Context, value: Any) -> Iterator[Any]:
    """Return the members of a list or the names of an object; of anything else none."""
    for member in value if isinstance(value, dict | list) else ():
        _spend(context, 1)
        yield member


@pass_context
def _searched(context: Context, value: Any) -> Any:
    """Return what `in` looks through."""
    if not isinstance(value, dict | list | str):
        return ()
    if isinstance(value, list) and len(value) > SEARCHED_MAX:
        raise SecurityError(f"`in` looks through {SEARCHED_MAX} members of a list at most")
    if isinstance(value, str) and len(value) > _LONG:
        _spend(context, 1)
    return value


def _plain(value: Any) -> Any:
    """Return what is compared: a text, a number, true, false or null, which missing ones are."""
    if isinstance(value, dict | list):
        raise SecurityError("only texts and numbers can be compared")
    return None if isinstance(value, Undefined) else value


def _spend(context: Context, turns: int) -> None:
    budget = context[_BUDGET]
    budget[0] -= turns
    if budget[0] < 0:
        raise SecurityError(f"more than {TURNS_MAX} turns of loops")


def _text(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)[:_LONG]
    written = str(value)
    if "E" in written and abs(value.adjusted()) < _DIGITS_MAX:
        return f"{value:f}"
    return written


def _default(value: Any, instead: Any = "") -> Any:
    return instead if value is None or value == "" or isinstance(value, Undefined) else value


@pass_context
def _joined(context: Context, value: Any, separator: Any = ", ") -> str:
    _spend(context, 1)
    members = value[:SEARCHED_MAX] if isinstance(value, list) else []
    return _text(separator)[:100].join(_text(member)[:_LONG] for member in members)


def _truncated(value: Any, length: int = 255) -> str:
    text = _text(value)
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"


def _bounded_parts(parts: Iterable[str]) -> Iterator[str]:
    length = 0
    for part in parts:
        yield part[: TEXT_MAX - length]
        length += len(part)
        if length >= TEXT_MAX:
            return


def _line_of(error: BaseException) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _FILE and frame.lineno]
    return lines[-1] if lines else 1


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split())[:300] or type(error).__name__
