"""Code and payloads as figures. Bytes are shown as they are stored: nothing is decoded and encoded
again, so `1.10`, long numbers and the order of members stay. Spaces between tokens may be added to
lay a payload out; its raw form stands beside it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from markupsafe import Markup, escape

from tillbell.web.pages.formats import size
from tillbell.web.pages.parts import copy_button
from tillbell.web.pages.visible_text import marked, plain

SHOWN_MAX = 64 * 1024  # bytes of a payload; the rest is not on the page
_HEX_MAX = 2048
_HEX_ROW = 16
_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*"?)|(?P<open>[{\[])|(?P<close>[}\]])|(?P<comma>,)|(?P<colon>:)'
    r"|(?P<space>[ \t\r\n]+)|(?P<word>[^ \t\r\n{}\[\],:\"]+)",
    re.DOTALL,
)
_LINE, _END = Markup('<span class="l">'), Markup("</span>")
_COLOURS = {
    "k": Markup('<span class="k">'),
    "s": Markup('<span class="s">'),
    "n": Markup('<span class="n">'),
    "b": Markup('<span class="b">'),
    "masked": Markup('<span class="masked">'),
}
_NUMBER = re.compile(r"-?[0-9].*", re.DOTALL)
_DEEPEST = 40  # indents beyond it are not drawn


class Token(NamedTuple):
    """A piece of JSON text."""

    kind: str
    text: str


def tokens(text: str) -> Iterator[Token]:
    """Cut a text into tokens. Together they are the text."""
    for match in _TOKEN.finditer(text):
        yield Token(str(match.lastgroup), match[0])


def laid_out(text: str) -> list[list[Token]]:
    """Return the tokens of JSON in lines, indented. No token but white space is changed."""
    significant = [token for token in tokens(text) if token.kind != "space"]
    lines: list[list[Token]] = [[]]
    depth = 0

    def new_line() -> None:
        lines.append([Token("space", "  " * min(depth, _DEEPEST))])

    following = [*significant[1:], Token("end", "")]
    for token, next_ in zip(significant, following, strict=False):
        if token.kind == "close":
            depth -= 1
            is_empty = lines[-1][-1:] and lines[-1][-1].kind == "open"
            if not is_empty:
                new_line()
        lines[-1].append(token)
        if token.kind == "open":
            depth += 1
            if next_.kind != "close":
                new_line()
        elif token.kind == "comma":
            new_line()
        elif token.kind == "colon":
            lines[-1].append(Token("space", " "))
    return lines


def figure(name: str, text: str, *, lang: str = "json", tail: str = "") -> Markup:
    """Return a text as a figure: `json` with colours, `code` as it is, `plain` without lines."""
    written = text.strip("\n")
    if lang == "plain":
        return _figure(name, marked_lines(written), tail, css="plain")
    rows = (tokens(row) if lang == "json" else [Token("text", row)] for row in written.split("\n"))
    return _figure(name, _rows(rows), tail, css="asis" if lang == "code" else "")


def payload(body: bytes, name: str = "payload.json", *, is_json: bool = True) -> Markup:
    """Return a stored payload, laid out if it is JSON."""
    text = body[:SHOWN_MAX].decode("utf-8", "surrogateescape")
    note = _note(body)
    if is_json:
        return _figure(name, _rows(laid_out(text)), note)
    return _figure(name, _rows([Token("text", row)] for row in text.split("\n")), note)


def raw(body: bytes, name: str = "as published") -> Markup:
    """Return a stored payload byte for byte."""
    text = body[:SHOWN_MAX].decode("utf-8", "surrogateescape")
    return _figure(name, _rows(tokens(row) for row in text.split("\n")), _note(body))


def hex_dump(body: bytes) -> Markup:
    """Return the first bytes of a payload in hexadecimal."""
    rows = []
    for start in range(0, min(len(body), _HEX_MAX), _HEX_ROW):
        part = body[start : start + _HEX_ROW]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        rows.append(f"{start:06x}  {part.hex(' '):<{_HEX_ROW * 3}} {text}")
    return figure(f"{size(len(body))} in hexadecimal", "\n".join(rows), lang="plain")


def diff(name: str, rows: Iterable[tuple[str, str]]) -> Markup:
    """Return two texts as one figure, line by line: `add`, `del` or "", and the line."""
    lines = [
        Markup('<span class="l {}">{}</span>').format(css, marked(text) or Markup("&nbsp;"))
        for css, text in rows
    ]
    return _figure(name, Markup("").join(lines), kind="code diff")


def marked_lines(text: str) -> Markup:
    """Return a text whose hidden characters are named, except for the ends of lines."""
    return Markup("\n").join(marked(row) for row in text.split("\n"))


def _note(body: bytes) -> str:
    if len(body) <= SHOWN_MAX:
        return size(len(body))
    return f"the first {size(SHOWN_MAX)} of {size(len(body))}"


def _rows(rows: Iterable[Iterable[Token]]) -> Markup:
    return Markup("").join(_LINE + Markup("").join(_coloured(row)) + _END for row in rows)


def _coloured(row: Iterable[Token]) -> Iterator[Markup]:
    listed = list(row)
    for place, token in enumerate(listed):
        after = next((each.kind for each in listed[place + 1 :] if each.kind != "space"), "")
        css = _css(token, after)
        text = escape(token.text) if token.kind == "space" else marked(token.text)
        yield _COLOURS[css] + text + _END if css else text


def _css(token: Token, after: str) -> str:
    if token.kind == "string":
        return "k" if after == "colon" else "masked" if "••" in token.text else "s"
    if token.kind == "word":
        return "n" if _NUMBER.fullmatch(token.text) else "b"
    return ""


def _figure(
    name: str, body: Markup, tail: str = "", *, css: str = "", kind: str = "code"
) -> Markup:
    digest = hashlib.sha256(f"{name}{body}".encode("utf-8", "replace")).hexdigest()[:8]
    id_ = f"code-{digest}"
    return Markup(
        '<figure class="{6}"><figcaption><span class="name">{0}</span><span class="tail">'
        '<span class="muted">{1}</span>{2}</span></figcaption><pre id="{3}" tabindex="0" '
        'role="region" aria-label="{0}" class="{4}">{5}</pre></figure>'
    ).format(plain(name), tail, copy_button(f"#{id_}", name), id_, css, body, kind)
