"""The stream that keeps an open page up to date: that of the API, for whoever is signed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from tillbell.web.api.live import EVENT_STREAM, live_request, live_stream
from tillbell.web.edge.auth import is_valid
from tillbell.web.edge.paths import STREAM
from tillbell.web.pages.cookies import token_of
from tillbell.web.pages.page import SECURITY_HEADERS, SitePage, Visit

ASKED_EVERY_S = 1.0


async def stream(visit: Visit) -> Response:
    """Tell what happens in what the page shows."""
    request, gateway = visit.request, visit.gateway
    wanted = await live_request(
        gateway, visit.principal(), visit.app_id, visit.query("topics"), visit.query("filter")
    )
    resumes_at = request.headers.get("last-event-id") or visit.query("after") or None
    wanted = wanted._replace(resumes_at=resumes_at, reader_id=visit.person.id)
    request.scope[STREAM] = live_stream(gateway, wanted, may_read(visit))
    headers = SECURITY_HEADERS | {"x-accel-buffering": "no"}
    return Response(media_type=EVENT_STREAM, headers=headers)


def may_read(visit: Visit) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the visitor may still read."""
    if not visit.is_portal:
        return _StillSignedIn(visit)

    async def is_token_valid() -> bool:
        return is_valid(visit.gateway, visit.principal().key)

    return is_token_valid


class _StillSignedIn:
    """Tells whether the person is still signed in, with the same roles.

    The store is asked once a second at most.
    """

    def __init__(self, visit: Visit) -> None:
        self._gateway = visit.gateway
        self._token = token_of(visit.request)
        self._rights = visit.person.rights
        self._asked_at = visit.gateway.clock.monotonic()

    async def __call__(self) -> bool:
        now_s = self._gateway.clock.monotonic()
        if now_s < self._asked_at + ASKED_EVERY_S:
            return True
        self._asked_at = now_s
        return await self._gateway.people.rights_of_session(self._token) == self._rights


PAGES = (SitePage("/live", stream),)
