"""Every page, in a real browser: quiet, accessible, narrow, and safe with any text."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from tests.pages.browser import COLOURS, NARROW, WIDE, Visitor
from tests.pages.conftest import World
from tests.pages.registry import PAGES

pytestmark = pytest.mark.sqlite_first


class Checks(NamedTuple):
    """What is checked besides widths, noise and statuses. It takes most of the time."""

    rules: bool = False  # of accessibility
    dark: bool = False  # its colours; they do not depend on the texts of a page


def _look_at_all(browser: Browser, world: World, checks: Checks) -> None:
    """Open every page in both widths; collect all that is wrong."""
    visitor = Visitor(browser, world.served.url, world.served.session())
    wrong: list[str] = []
    for looked in PAGES:
        if looked.needs_data and not world.names:
            continue
        path = looked.path.format(**world.names)
        visitor.open(path)
        if checks.rules:
            wrong += [f"{looked.name}: {rule}" for rule in visitor.axe()]
        if checks.dark:
            visitor.theme("dark")
            wrong += [f"{looked.name}, dark: {rule}" for rule in visitor.axe(COLOURS)]
            visitor.theme("light")
        visitor.width(NARROW)
        if (wider := visitor.scrolls_sideways()) > 0:
            wrong.append(f"{looked.name}: {wider} px wider than {NARROW}")
        visitor.width(WIDE)
        status = f"status of {looked.status} "
        noticed = [line for line in visitor.noticed if looked.status == 200 or status not in line]
        wrong += [f"{looked.name}: {line}" for line in noticed]
    visitor.close()
    assert not wrong, "\n".join(wrong)


def test_all_pages_of_a_usual_day(browser: Browser, usual_world: World) -> None:
    _look_at_all(browser, usual_world, Checks(rules=True))


def test_all_pages_of_an_empty_gateway(browser: Browser, empty_world: World) -> None:
    _look_at_all(browser, empty_world, Checks())


def test_all_pages_with_hostile_text(browser: Browser, hostile_world: World) -> None:
    _look_at_all(browser, hostile_world, Checks())


@pytest.mark.slow
def test_all_pages_are_accessible_whatever_they_show(
    browser: Browser, usual_world: World, empty_world: World, hostile_world: World
) -> None:
    _look_at_all(browser, usual_world, Checks(rules=True, dark=True))
    _look_at_all(browser, empty_world, Checks(rules=True))
    _look_at_all(browser, hostile_world, Checks(rules=True))
