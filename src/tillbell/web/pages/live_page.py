"""The stream that keeps an open page up to date: that of the API, for whoever is signed in."""

from __future__ import annotations

from starlette.responses import Response

from tillbell.web.api.live import EVENT_STREAM, live_request, live_stream
from tillbell.web.edge.paths import STREAM
from tillbell.web.pages.page import SECURITY_HEADERS, SitePage, Visit
from tillbell.web.pages.session import READS_ALL


async def stream(visit: Visit) -> Response:
    """Tell what happens in what the page shows."""
    request, gateway = visit.request, visit.gateway
    wanted = await live_request(
        gateway, READS_ALL, visit.app_id, visit.query("topics"), visit.query("filter")
    )
    resumes_at = request.headers.get("last-event-id")
    request.scope[STREAM] = live_stream(gateway, wanted._replace(resumes_at=resumes_at))
    headers = SECURITY_HEADERS | {"x-accel-buffering": "no"}
    return Response(media_type=EVENT_STREAM, headers=headers)


PAGES = (SitePage("/live", stream),)
