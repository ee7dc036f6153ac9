"""The templates. All text is escaped; a text without `shown` has hidden characters as `[RLO]`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tillbell import __version__
from tillbell.web.edge.static_files import static_url
from tillbell.web.pages import charts, code, formats, parts, states
from tillbell.web.pages.visible_text import plain, prose, visible, visible_name

TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """Return the one environment of all templates."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        auto_reload=False,
    )
    templates.globals.update(_globals())
    templates.filters.update(shown=visible, shown_name=visible_name, plain=plain, prose=prose)
    return templates


def _globals() -> dict[str, Any]:
    """Return what every template can call."""
    return {
        "version": __version__,
        "static": static_url,
        "i": parts.icon,
        "badge": parts.badge,
        "dots": parts.dots,
        "money": parts.money,
        "when": parts.when,
        "ago": parts.ago,
        "idc": parts.identifier,
        "copy_button": parts.copy_button,
        "num": formats.number,
        "size": formats.size,
        "ms": formats.milliseconds,
        "span": formats.span,
        "code": code.figure,
        "payload": code.payload,
        "raw": code.raw,
        "hex_dump": code.hex_dump,
        "diff": code.diff,
        "look": states.look,
        "state_of": states.state_of,
        "timing": charts.timing,
        "stacked": charts.stacked,
        "lines": charts.lines,
        "spark": charts.spark,
        "hbar": charts.bar,
    }


def render(template: str, context: dict[str, Any]) -> bytes:
    """Render a template."""
    text = environment().get_template(template).render(context)
    return text.encode("utf-8", "replace")


def _finalize(value: object) -> object:
    """Name hidden characters in every text; markup is templates by us."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
