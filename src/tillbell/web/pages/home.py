"""Home: what is true now, what needs somebody, and what happens."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.web.pages.page import SitePage, Visit, redirect


async def show(visit: Visit) -> Response:
    """Send the visitor to the messages."""
    return redirect(visit.link("/messages"))


PAGES = (SitePage("/", show, "/"),)
