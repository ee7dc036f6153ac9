"""The style guide: every part of a page, in dev mode only."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.states import STATES


async def show(visit: Visit) -> Response:
    """Show every part."""
    return visit.show("components.html", states=list(STATES))


PAGES = (SitePage("/ui/components", show, "/ui/components"),)
