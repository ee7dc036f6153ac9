"""Text templates: what they say, what they refuse when saved, and that none can do harm."""

from __future__ import annotations

import json

import pytest

from tillbell.profiles import profile
from tillbell.profiles.base import MessageContext
from tillbell.profiles.text_template import (
    SOURCE_MAX,
    TEXT_MAX,
    TemplateProblem,
    read_text_template,
)

ORDER = {
    "type": "order.paid",
    "data": {
        "number": "ORD-7",
        "amount": "149.90",
        "rate": 1.10,
        "customer": {"name": "Ada & <Sons>"},
        "items": [{"name": "Tea", "quantity": 2}, {"name": "Cup", "quantity": 1}],
        "tags": ["vip"],
        "note": None,
    },
}
LARGE = {"items": [{"name": "<" * 200} for _ in range(3_000)], "text": "x" * 300_000}


def text(source: str, payload: object = ORDER, chat: str = "slack") -> str | TemplateProblem:
    template = read_text_template(source, profile(chat))
    if isinstance(template, TemplateProblem):
        return template
    written = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return template.text(MessageContext("msg_1", "order.paid", 0, written))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("Order {{ data.number }}: {{ data.amount }}", "Order ORD-7: 149.90"),
        ("{{ data.customer.name }}", "Ada &amp; &lt;Sons&gt;"),
        ("<https://shop.example|open>", "<https://shop.example|open>"),
        ("{% for i in data.items %}{{ i.quantity }}x{{ i.name }};{% endfor %}", "2xTea;1xCup;"),
        ("{{ data.items[1].name }} {{ data.items | length }}", "Cup 2"),
        ("{% if data.amount | number > 100 %}large{% else %}small{% endif %}", "large"),
        ("{% if 'vip' in data.tags %}yes{% endif %}", "yes"),
        ("{{ data.customer.phone.home | default('none') }}|{{ data.note }}|", "none||"),
        ("{{ data.rate }} {{ type }} {{ id }}", "1.1 order.paid msg_1"),
        ("{% for i in data.items %}{{ loop.index }}{% if not loop.last %}, {% endif %}{% endfor %}",
         "1, 2"),
        ("{{ data.tags | join('+') | upper }} {{ data.number | truncate(4) }}", "VIP ORD…"),
    ],
)  # fmt: skip
def test_what_a_template_says(source: str, says: str) -> None:
    assert text(source) == says


def test_values_are_escaped_for_the_chat_that_they_go_to() -> None:
    hostile = {"data": {"a": "[x](y) <!here>\u202e\x00\n*b*"}, "type": "a"}
    assert text("{{ data.a }}", hostile) == "[x](y) &lt;!here&gt;\n*b*"
    assert text("{{ data.a }}", hostile, "discord") == "\\[x\\](y) \\<!here\\>\n\\*b\\*"
    assert text("{{ data.a }}", hostile, "teams") == "\\[x\\](y) \\<!here\\>\n\\*b\\*"


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("a\nb {{ data.number", 2, "unexpected end"),
        ("\n{% if data %}\n\nx", 2, "Unexpected end"),
        ("a\n{{ nubmer }}", 2, "there is no 'nubmer'"),
        ("{{ dota.number }}", 1, "did you mean `data`?"),
        ("\n\n{{ data.a | safe }}", 3, "there is no filter 'safe'"),
        ("{{ data.a() }}", 1, "'call'"),
        ("{% set a = 1 %}", 1, "'assign'"),
        ("{% include 'a' %}", 1, "'include'"),
        ("{% import 'a' as b %}", 1, "'import'"),
        ("{% macro a() %}{% endmacro %}", 1, "'macro'"),
        ("{{ 9 ** 999999 }}", 1, "'pow'"),
        ("{{ 'a' * 999999999 }}", 1, "'mul'"),
        ("{{ data.a ~ data.a }}", 1, "'concat'"),
        ("{{ '%999999999d' % 1 }}", 1, "'mod'"),
        ("{{ data.items[0:1] }}", 1, "'slice'"),
        ("{{ _budget }}", 1, "'_budget'"),
        ("{{ self }}", 1, "there is no 'self'"),
        ("{{ range }}", 1, "there is no 'range'"),
        ("{% for a in data recursive %}{% endfor %}", 1, "not recursive"),
        ("{{ " + "(" * 1_500 + "1" + ")" * 1_500 + " }}", 1, "nested too deeply"),
        ("x" * (SOURCE_MAX + 1), 1, "at most"),
    ],
)
def test_a_wrong_template_is_refused_with_line_and_reason(
    source: str, line: int, reason: str
) -> None:
    problem = read_text_template(source, profile("slack"))
    assert isinstance(problem, TemplateProblem)
    assert problem.line == line
    assert reason in problem.reason


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.__class__ }}{{ ''.__class__.__mro__ }}{{ data.items.append }}{{ type.format }}",
        "{{ loop.__init__ }}{% for a in data.items %}{{ loop.__init__.__globals__ }}{% endfor %}",
        "{{ data['__class__'] }}{{ payload.keys }}",
    ],
)
def test_nothing_of_python_is_reached(source: str) -> None:
    assert text(source) == ""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for a in items %}{% endfor %}", "more than 200 turns"),
        (
            "{% for a in items %}{% for b in items %}x{% endfor %}{% endfor %}",
            "more than 200 turns",
        ),
        ("{% if 1 in items %}{% endif %}", "looks through"),
        ("{% if items == items %}{% endif %}", "only texts and numbers"),
        ("{% if payload.text > 3 %}{% endif %}", "not supported"),
        ("\n{{ -payload.text }}", "bad operand"),
        ("{{ payload.text | truncate('a') }}", "not supported"),
    ],
)
def test_work_is_bounded_and_a_failure_says_where(source: str, reason: str) -> None:
    problem = text(source.replace("items", "payload.items"), LARGE)
    assert isinstance(problem, TemplateProblem)
    assert reason in problem.reason
    assert problem.line == 1 + source.startswith("\n")


def test_the_text_is_cut_and_never_breaks_what_follows() -> None:
    for source in ("{{ payload.text }}" * 50, "{{ payload }}", "{{ payload.items | join }}"):
        said = text(source, LARGE)
        assert isinstance(said, str)
        assert len(said) <= TEXT_MAX
    for payload in (b"\xff", b"[1]", b'{"n": 1e999999999}', b'{"s": "\\ud800"}', b"{}"):
        said = text("{{ data.n }}{{ data.s }}{{ payload }}", payload)
        assert isinstance(said, str)
        said.encode()
