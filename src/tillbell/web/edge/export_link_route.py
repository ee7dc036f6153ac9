"""Links of exports: a spreadsheet gets one export by a URL that holds its own token."""

from __future__ import annotations

from tillbell.app import Gateway
from tillbell.deliver.audit import acting_as
from tillbell.errors import MethodNotAllowed, NotFound
from tillbell.model.audit import USER_AGENT_MAX, Actor
from tillbell.model.exports import ExportLink
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.proxies import networks
from tillbell.web.edge.asgi_types import HttpAnswer, Receive, Scope, header
from tillbell.web.edge.limits import GuessLimit, address_of
from tillbell.web.edge.paths import APPLICATION, EXPORT_LINK, REQUEST_ID, ROUTE

_ROUTE = f"{EXPORT_LINK}{{token}}/{{file}}"


class ExportLinkRoute:
    """Serves the links. The token is in the path, so no log has the path."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._guesses = GuessLimit(gateway.clock)
        self._trusted = networks(gateway.settings.trusted_proxies)

    async def __call__(self, scope: Scope, _: Receive) -> HttpAnswer:
        """Return the rows of a link. `NotFound` if there is none with this token."""
        scope[ROUTE] = _ROUTE
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(("GET", "HEAD"))
        token = scope["path"].removeprefix(EXPORT_LINK).partition("/")[0]
        link = await self._gateway.export_links.opened_by(token)
        address = address_of(scope, self._trusted)
        if link is None:
            self._guesses.count(address)
            raise NotFound("There is no such link, or it was revoked or has expired.")
        scope[APPLICATION] = link.scope
        user_agent = (header(scope, b"user-agent") or b"").decode("latin-1")[:USER_AGENT_MAX]
        actor = Actor(
            id=link.id,
            name=f"link {link.name}",
            request_id=scope.get(REQUEST_ID),
            address=address,
            user_agent=user_agent or None,
        )
        with acting_as(actor):
            return await self._rows(link)

    async def _rows(self, link: ExportLink) -> HttpAnswer:
        from tillbell.web.api.export import file_headers  # loaded with the API, not at the start
        from tillbell.web.api.exported_rows import MEDIA, Export, ExportFormat, begin_export

        list_, format_ = FilterList(link.kind), ExportFormat(link.format)
        export = Export(list_, format_, link.filter or None, link.has_mark)
        parts = await begin_export(self._gateway, link.scope, export)
        headers = {
            "content-type": MEDIA[format_],
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-robots-tag": "noindex",
            **file_headers(list_, format_),
        }
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        return HttpAnswer(200, lines, b"", parts)
