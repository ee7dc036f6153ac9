"""Small parts of pages as markup: icons, badges, times, money, ids. All values are escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from tillbell.clock import DAY, Micros, iso
from tillbell.web.edge.static_files import static_url
from tillbell.web.pages import formats
from tillbell.web.pages.states import look
from tillbell.web.pages.visible_text import plain, visible

EMPTY = Markup('<span class="muted">–</span>')
_DOTS_MAX = 8
# Joining is much quicker than formatting, and a list has hundreds of times.
_TIME, _TITLE = Markup('<time class="when" datetime="'), Markup('" title="')
_TEXT, _TIME_END = Markup('">'), Markup("</time>")
_AGO, _AGO_END = Markup(' <span class="ago">'), Markup("</span>")
_CACHED = 4096  # pieces that are the same on many pages


@lru_cache(_CACHED)
def icon(name: str, classes: str = "") -> Markup:
    """Return an icon of the sprite. It says nothing to screen readers: a word stands beside it."""
    css = f"i {classes}" if classes else "i"
    return Markup('<svg class="{}" aria-hidden="true"><use href="{}#i-{}"/></svg>').format(
        css, static_url("icons.svg"), name
    )


@lru_cache(_CACHED)
def badge(state: str, word: str | None = None, *, pill: bool = False) -> Markup:
    """Return a status as icon and word."""
    shown = look(state)
    css = f"badge {shown.tone} pill" if pill else f"badge {shown.tone}"
    turns = "turning" if shown.icon == "sending" else ""
    return Markup('<span class="{}">{}{}</span>').format(
        css, icon(shown.icon, turns), word or shown.word
    )


def dots(states: Iterable[str], things: str = "deliveries") -> Markup:
    """Return one icon for each status, with their counts in words."""
    return _dots(tuple(states), things)


@lru_cache(_CACHED)
def _dots(states: tuple[str, ...], things: str) -> Markup:
    if not states:
        return EMPTY
    words = Counter(look(state).word.lower() for state in states)
    counts = ", ".join(f"{count} {word}" for word, count in words.items())
    label = f"{len(states)} {things}: {counts}"
    icons = Markup("").join(
        Markup('<span class="{}">{}</span>').format(look(state).tone, icon(look(state).icon))
        for state in states[:_DOTS_MAX]
    )
    more = f"+{len(states) - _DOTS_MAX}" if len(states) > _DOTS_MAX else ""
    return Markup(
        '<span class="dots" role="img" aria-label="{0}" title="{0}">{1}{2}</span>'
    ).format(label, icons, more)


@lru_cache(_CACHED)
def money(amount: str, currency: str) -> Markup:
    """Return an amount (decimal text) with its currency after it."""
    return Markup('<span class="money">{}<span class="cur">{}</span></span>').format(
        plain(formats.amount(amount, currency)), plain(currency)
    )


def copy_button(text: str, label: str) -> Markup:
    """Return a button that copies a text: `#id` copies that of an element."""
    return Markup(
        '<button type="button" class="copy" data-copy="{}" aria-label="Copy {}" title="Copy {}">'
        "{}</button>"
    ).format(text, plain(label), plain(label), icon("copy"))


def identifier(text: str, label: str = "id") -> Markup:
    """Return an id with a button that copies it."""
    return Markup('<span class="id">{}</span>{}').format(visible(text), copy_button(text, label))


@pass_context
def when(context: Context, at: Micros | None, style: str = "") -> Markup:
    """Return an instant as `<time>`. Style: "" with how long ago, `short` without it, `full`
    with date and milliseconds.
    """
    if at is None:
        return EMPTY
    now, zone = context["now"], context["zone"]
    if style == "full":
        text = f"{formats.date(at, zone)}, {formats.clock_time(at, zone)}.{at // 1000 % 1000:03d}"
    elif abs(now - at) >= DAY:
        text = formats.short_date(at, zone)
    else:
        text = formats.clock_time(at, zone)
    since = formats.ago(at, now)
    tail = Markup("") if style == "short" else _AGO + since + _AGO_END
    start = _TIME + iso(at) + _TITLE + formats.exact(at) + _TEXT
    return start + text + tail + _TIME_END


@pass_context
def ago(context: Context, at: Micros | None) -> str:
    """Return how long ago an instant was: `3 s ago`."""
    return formats.ago(at, context["now"]) if at is not None else "–"
