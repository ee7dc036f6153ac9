"""How pages write text, numbers and payloads: nothing acts, nothing hides, nothing is changed."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillbell.rules.delivery.fate import Fate, FateCode
from tillbell.web.pages.code import laid_out, payload, raw, tokens
from tillbell.web.pages.formats import NARROW_SPACE, amount
from tillbell.web.pages.payload_summary import NOTHING, Summary, summary_of
from tillbell.web.pages.templating import environment
from tillbell.web.pages.verdicts import NamedFate, of_fates
from tillbell.web.pages.visible_text import HIDDEN, marked, plain, visible

pytestmark = pytest.mark.sqlite_first

_MARK = re.compile(r'<span class="ctl" data-c="([0-9a-f]+)" title="[^"]*">[^<]*</span>')
_TAG = re.compile(r"<[^>]*>")


@given(st.text())
def test_text_is_whole_and_inert(text: str) -> None:
    written = str(marked(text))
    back = _MARK.sub(lambda match: f"&#x{match[1]};", written)
    assert "<" not in back
    hidden = {match[1] for match in _MARK.finditer(written)}
    assert hidden == {f"{ord(character):x}" for character in HIDDEN.findall(text)}
    without = HIDDEN.sub("", text)
    assert unescape(_MARK.sub("", written)) == without
    assert not HIDDEN.search(plain(text))


@pytest.mark.parametrize(
    "place", ['<b title="{{ text }}">', "<b>{{ text }}</b>", "{{ text|shown }}"]
)
def test_a_template_escapes_text_wherever_it_stands(place: str) -> None:
    text = '"><script>alert(1)</script>\u202e'
    written = environment().from_string(place).render(text=text)
    assert "<script" not in written
    assert "\u202e" not in written
    assert "RLO" in written


@given(st.text(alphabet='{}[]:,"\\ \n\t\x0b\xa00e1.-trunfals<é\u202e'))
def test_no_token_of_a_payload_is_changed(text: str) -> None:
    assert "".join(token.text for token in tokens(text)) == text
    shown = [token for line in laid_out(text) for token in line if token.kind != "space"]
    assert shown == [token for token in tokens(text) if token.kind != "space"]


def test_numbers_of_a_payload_stay_as_they_were_published() -> None:
    body = b'{"a":1.10,"b":14999000000000000001,"c":1e2,"a":"\\u0061"}'
    written = unescape(_TAG.sub("", str(payload(body))))
    for text in ("1.10", "14999000000000000001", "1e2", '"\\u0061"'):
        assert text in written
    assert body.decode() in unescape(_TAG.sub("", str(raw(body))))


def test_bytes_that_are_no_text_are_named() -> None:
    written = str(payload(b"a\xff\xfe", is_json=False))
    assert "xFF" in written
    assert "xFE" in written


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        (
            b'{"data":{"id":"1001","amount":"149.99","currency":"EUR"}}',
            ("149.99", "EUR", "order 1001"),
        ),
        (b'{"id":7,"total":12990.10,"currency":"RSD"}', ("12990.10", "RSD", "order 7")),
        (b'{"data":{"amount":5,"currency":"<b>"}}', ("", "", "")),
        (b'{"data":{"customer":{"name":"Ana"}}}', ("", "", "Ana")),
        (b'{"data":{"customer":"Ana","id":{"a":1}}}', ("", "", "Ana")),
    ],
)
def test_a_list_says_what_a_payload_is_about(body: bytes, summary: tuple[str, str, str]) -> None:
    assert summary_of("order.paid", body) == Summary(*summary)


@pytest.mark.parametrize("body", [None, b"", b"[]", b"\xff", b'{"data":[]}', b'{"data":'])
def test_a_payload_of_any_other_form_is_about_nothing(body: bytes | None) -> None:
    assert summary_of("order.paid", body) == NOTHING


def test_amounts_have_the_decimals_of_their_currency() -> None:
    shown = [
        amount("1234567.5", "EUR"),
        amount("-70", "JPY"),
        amount("0.125", "XAU"),
        amount("?", "EUR"),
    ]
    assert [text.replace(NARROW_SPACE, " ") for text in shown] == [
        "1 234 567.50",
        "\u221270",
        "0.125",
        "?",
    ]


def test_the_verdict_names_the_worst_endpoint() -> None:
    fine = NamedFate("Mail", Fate(FateCode.DELIVERED, "The receiver has accepted it."))
    down = NamedFate("ERP", Fate(FateCode.CIRCUIT_OPEN, "It is down.", next_at=5))
    verdict = of_fates([fine, down], is_wanted_by_none=False)
    assert verdict.title == "It arrived at 1 of 2 endpoints"
    assert verdict.text == "ERP: It is down."
    assert verdict.next_at == 5
    assert of_fates([fine], is_wanted_by_none=False).tone == "ok"
    assert of_fates([], is_wanted_by_none=True).title == "It went nowhere"


def test_foreign_text_is_isolated() -> None:
    assert str(visible("a")) == "<bdi>a</bdi>"
