"""The screenshots of the README: `make shots` writes them again, from the demo as it runs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from tests.pages.browser import running_browser

FOLDER = Path(__file__).parents[2] / "docs" / "images"
BYTES_MAX = 150_000
_SIZE: ViewportSize = {"width": 1180, "height": 700}
_PAYMENT = "PAY-12"  # approved, and then declined
_WORD = "Try:"  # the demo says it when its first rounds are over


def main() -> None:
    """Run the demo, open two pages and write what they look like."""
    FOLDER.mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name("tillbell")), "demo", "--forever"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo,
        running_browser() as browser,
    ):
        assert demo.stdout is not None
        line = next(line for line in demo.stdout if _WORD in line)
        link = re.search(r"http\S+", line)
        assert link is not None, line
        page = browser.new_page(viewport=_SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto(link[0])
        page.goto(page.url + "?range=1h")
        _write(page, "home.png")
        page.goto(page.url.partition("?")[0] + "transactions")
        page.get_by_text(_PAYMENT, exact=True).first.click()
        page.get_by_role("heading", name=_PAYMENT).first.wait_for()
        _write(page, "transaction.png")
        demo.send_signal(signal.SIGINT)
        demo.communicate()


def _write(page: Page, name: str) -> None:
    picture = page.screenshot()
    if len(picture) > BYTES_MAX:
        sys.exit(f"{name} has {len(picture):,} bytes, more than {BYTES_MAX:,}")
    (FOLDER / name).write_bytes(picture)
    print(f"{FOLDER / name}: {len(picture):,} bytes")


if __name__ == "__main__":
    main()
