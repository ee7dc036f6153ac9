"""Pictures of every page: `make pages` writes them to a folder, to be looked at.

light and dark × wide and narrow × empty, usual and hostile.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser

from tests.pages import worlds
from tests.pages.browser import HEIGHT, NARROW, WIDE, Visitor, running_browser
from tests.pages.registry import PAGES, SIGNED_OUT, Looked
from tests.web.served_gateway import ServedGateway

WORLDS: dict[str, Callable[[ServedGateway], worlds.Names]] = {
    "empty": lambda _: {},
    "usual": worlds.usual,
    "hostile": worlds.hostile,
}


def photograph(browser: Browser, folder: Path, world: str, wanted: list[Looked]) -> None:
    """Write the pictures of one world."""
    with (
        tempfile.TemporaryDirectory() as data,
        ServedGateway(Path(data)) as served,
    ):
        names = WORLDS[world](served)
        there = [looked for looked in wanted if names or not looked.needs_data]
        for session, looked_at in ((served.session(), PAGES), ("", SIGNED_OUT)):
            visitor = Visitor(browser, served.url, session)
            visitor.enter_portal(names.get("portal_token", "") if session else "")
            for looked in filter(set(looked_at).__contains__, there):
                visitor.open(looked.path.format(**names))
                _write(visitor, folder, f"{looked.name}-{world}")
            visitor.close()


def _write(visitor: Visitor, folder: Path, name: str) -> None:
    for theme in ("light", "dark"):
        visitor.theme(theme)
        for word, width in (("wide", WIDE), ("narrow", NARROW)):
            visitor.width(width)
            visitor.page.screenshot(path=folder / f"{name}-{word}-{theme}.png", full_page=True)
    visitor.width(WIDE)


def main() -> None:
    """Read the options and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "pages")
    parser.add_argument("--only", default="", help="names of pages that begin so")
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), choices=list(WORLDS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    wanted = [looked for looked in (*PAGES, *SIGNED_OUT) if looked.name.startswith(options.only)]
    with running_browser() as browser:
        for world in options.worlds:
            photograph(browser, options.folder, world, wanted)
    print(f"pictures of {len(wanted)} pages, {WIDE}×{HEIGHT} and {NARROW}, in {options.folder}")


if __name__ == "__main__":
    main()
