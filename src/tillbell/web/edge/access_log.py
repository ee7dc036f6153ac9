"""The access log: one event `request.served` for a request, as the setting `access_log` wants.

It has no query, no body and no value of the path but the application: a path may hold the token
of a source.
"""

from __future__ import annotations

from tillbell.logs import log_event
from tillbell.web.edge.asgi_types import HttpAnswer, Scope
from tillbell.web.edge.auth import PRINCIPAL
from tillbell.web.edge.paths import APPLICATION, REQUEST_ID, ROUTE

_ERROR = 400


class AccessLog:
    """Writes the access log. `choice` is `all`, `errors` (status 400 and above) or `off`."""

    def __init__(self, choice: str) -> None:
        self._lowest = {"all": 0, "errors": _ERROR}.get(choice)

    def write(self, scope: Scope, answer: HttpAnswer, took_s: float, method: str) -> None:
        """Write the line of a request that is answered."""
        if self._lowest is None or answer.status < self._lowest:
            return
        principal = scope.get(PRINCIPAL)
        log_event(
            "request.served",
            method=method,
            route=route_of(scope),
            status=answer.status,
            ms=round(took_s * 1_000, 1),
            bytes=0 if method == "HEAD" else len(answer.body),
            request_id=scope[REQUEST_ID],
            key_id=principal.key.id if principal is not None else None,
            app=scope.get(APPLICATION),
        )


def route_of(scope: Scope) -> str | None:
    """Return the path of a request with names in place of its values; None if no route was found.

    The framework leaves its route in the scope.
    """
    route: str | None = scope.get(ROUTE)
    if route is not None:
        return route
    return getattr(scope.get("route"), "path_format", None)
