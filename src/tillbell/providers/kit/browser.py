"""Callbacks that the payer's own browser carries. They end on a page of the shop.

The payer can see, change, repeat and invent all of it. The answer is for a person: a redirect
(303, so that a form is not sent again), or a small page if no address is set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from tillbell.providers.kit.base import CallbackAnswer, ProviderSetting, Unreadable

HTML = "text/html; charset=utf-8"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Payment</title>
<p>{text}</p>{link}
</html>
"""

SUCCESS_URL = ProviderSetting("successUrl", "Where the payer goes after paying.", "url")
ERROR_URL = ProviderSetting("errorUrl", "Where the payer goes when the payment failed.", "url")
CANCEL_URL = ProviderSetting(
    "cancelUrl", "Where the payer goes after giving up; else errorUrl.", "url"
)


def redirect_to_shop(config: Mapping[str, Any], *names: str) -> CallbackAnswer:
    """Send the payer to the first of these settings that has an address."""
    url = next((str(config[name]) for name in names if config.get(name)), None)
    if url is None:
        return page(200, "You can close this page and go back to the shop.")
    return CallbackAnswer(
        303, _html("You are being sent back to the shop.", url), HTML, _location(url)
    )


def status_word(read: Callable[[], str | None]) -> str:
    """Return the word that decides where the payer goes; "" if it cannot be read."""
    try:
        return read() or ""
    except Unreadable:
        return ""


def page(status: int, text: str, url: str | None = None) -> CallbackAnswer:
    """Show one sentence and a link."""
    return CallbackAnswer(status, _html(text, url), HTML)


def not_accepted(config: Mapping[str, Any], status: int) -> CallbackAnswer:
    """Tell the payer that the callback was refused or cannot be read."""
    return page(status, "This payment message cannot be accepted.", config.get("errorUrl"))


def _location(url: str) -> tuple[tuple[str, str], ...]:
    return (("location", url),)


def _html(text: str, url: str | None) -> bytes:
    link = f'<p><a href="{escape(url)}">Continue</a></p>' if url else ""
    return _PAGE.format(text=escape(text), link=link).encode()
