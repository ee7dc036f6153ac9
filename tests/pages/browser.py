"""A real browser, and what it noticed while a page was open."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, expect, sync_playwright

from tests.patience import PATIENCE_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).with_name("vendor") / "axe" / "axe.min.js"
WIDE, NARROW = 1440, 390
HEIGHT = 1000
WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
_REPORTS = """
addEventListener("securitypolicyviolation", (event) =>
    console.error("CSP " + event.violatedDirective + " " + event.blockedURI));
"""
# Colours change in the frame after the one that notices the theme.
_TWO_FRAMES = """
new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
"""


@contextmanager
def running_browser(*more: str) -> Iterator[Browser]:
    """Start the browser, with more arguments. Without one a test is skipped; in CI it fails."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium: apt-get install chromium")
        pytest.skip("no chromium")
    expect.set_options(timeout=PATIENCE_S * 1_000)
    with sync_playwright() as playwright, launched(playwright.chromium, *more) as browser:
        yield browser


@contextmanager
def launched(chromium: BrowserType, *more: str) -> Iterator[Browser]:
    """Start one more browser beside one that runs (`browser.browser_type`)."""
    browser = chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", *more],
    )
    yield browser
    browser.close()


class Visitor:
    """Looks at pages of one gateway, in a window of its own."""

    def __init__(
        self, browser: Browser, url: str, session: str, *, zone: str = "UTC", scripts: bool = True
    ) -> None:
        self.url = url
        self.noticed: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=url,
            viewport={"width": WIDE, "height": HEIGHT},
            color_scheme="light",
            timezone_id=zone,
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        if session:
            self.context.add_cookies([{"name": "tillbell", "value": session, "url": url}])
        self.context.add_init_script(_REPORTS)
        self.context.set_default_timeout(PATIENCE_S * 1_000)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.noticed.append(f"script: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def enter_portal(self, token: str) -> None:
        """Open the link to a portal, if there is one."""
        if token:
            self.open(f"/portal#key={token}")
            self.page.wait_for_url("**/endpoints")

    def close(self) -> None:
        """Close the window."""
        self.context.close()

    def open(self, path: str) -> Page:
        """Open a page and wait until it is quiet."""
        self.noticed.clear()
        self.page.goto(path, wait_until="load")
        return self.page

    def width(self, width: int) -> None:
        """Make the window narrower or wider."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})

    def theme(self, theme: str) -> None:
        """Ask for another theme, as the system does."""
        self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        self.page.evaluate(_TWO_FRAMES)

    def scrolls_sideways(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        wider: int = self.page.evaluate(
            "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        )
        return wider

    def axe(self, rules: dict[str, Any] = WCAG) -> list[str]:
        """Return what breaks the rules of accessibility: by default those of WCAG 2.2 AA."""
        if not self.page.evaluate("!!window.axe"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = self.page.evaluate(
            """async (runOnly) => (await axe.run(document, {runOnly, resultTypes: ["violations"]}))
                .violations.map((rule) => ({id: rule.id, nodes: rule.nodes.map((node) =>
                    node.target.join(" ") + " " + node.failureSummary)}))""",
            rules,
        )
        return [f"{rule['id']}: {node}" for rule in found for node in rule["nodes"]]

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.noticed.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.noticed.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.noticed.append(f"foreign: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 500:
            self.noticed.append(f"{response.status}: {response.url}")
