"""The frame of every page: who looks, which application, the menu, the answer, and errors.

A page is a function of a `Visit`. It calls what the REST API calls and answers with a template.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tillbell.app import Gateway
from tillbell.clock import Micros
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.errors import NotFound
from tillbell.model.records import Application
from tillbell.rules.rights import Action, Rights, refusal
from tillbell.statistics.shared_reads import SharedReads
from tillbell.storage.ports.outbound import Page
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.access import PAGES as PAGE_ACCESS
from tillbell.web.edge.auth import Access, Principal, Tenant
from tillbell.web.pages.forms import csrf_of
from tillbell.web.pages.notes import forget_note, note_of
from tillbell.web.pages.session import Viewer
from tillbell.web.pages.templating import render

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none at all, browsers hide the origin of our forms
    "cache-control": "no-store",
}
ZONE_COOKIE = "tillbell_zone"  # set by the browser: the name of its time zone
APPLICATIONS_MAX = 200  # in the switcher
_GZIP_LEVEL = 4  # 52 KB of HTML in 0.5 ms
_COUNTED_MAX = 99  # things that the menu counts


class Entry(NamedTuple):
    """One line of the menu."""

    path: str
    icon: str
    word: str
    others: tuple[str, ...] = ()  # pages behind the same line, for who may not see the first


SETTINGS = (
    "/settings/applications",
    "/settings/keys",
    "/settings/people",
    "/settings/webhooks",
    "/settings/alerts",
    "/settings/audit",
)
MENU = (
    ("", (Entry("/", "home", "Home"), Entry("/plots", "gauge", "Plots"))),
    (
        "Going out",
        (
            Entry("/messages", "message", "Messages"),
            Entry("/endpoints", "endpoint", "Endpoints"),
            Entry("/problems", "problem", "Problems"),
            Entry("/jobs", "replay", "Replay jobs"),
        ),
    ),
    (
        "Coming in",
        (
            Entry("/sources", "source", "Sources"),
            Entry("/callbacks", "callback", "Callbacks"),
            Entry("/inboxes", "inbox", "Inboxes"),
        ),
    ),
    (
        "Money",
        (
            Entry("/transactions", "transaction", "Transactions"),
            Entry("/review", "review", "Review queue"),
        ),
    ),
    (
        "Shop",
        (
            Entry("/orders", "order", "Orders"),
            Entry("/products", "product", "Products"),
            Entry("/customers", "customer", "Customers"),
            Entry("/subscriptions", "refresh", "Subscriptions"),
            Entry("/shipments", "truck", "Parcels"),
            Entry("/exports", "download", "Exports and imports"),
        ),
    ),
    (
        "Application",
        (
            Entry("/event-types", "list", "Event types"),
            Entry("/settings", "settings", "Settings", SETTINGS),
            Entry("/docs", "book", "API reference"),
            Entry("/ui/components", "braces", "Components"),
        ),
    ),
)


class MenuLine(NamedTuple):
    """One line of the menu as somebody sees it."""

    path: str
    icon: str
    word: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request for a page by somebody who may look."""

    request: Request
    gateway: Gateway
    person: Viewer
    place: str  # path of the entry of the menu that is marked
    access: Access | None  # the row of the page; None: it needs no right
    app: Application | None  # the chosen one; None: all
    applications: list[Application]
    now: Micros
    zone: tzinfo
    menu: list[tuple[str, list[MenuLine]]]
    counts: dict[str, int] = field(default_factory=dict)  # path → things that need somebody

    @property
    def frame(self) -> str:
        """Return the template around the page."""
        return "base.html"

    @property
    def is_portal(self) -> bool:
        """Tell whether these are pages of one application, for the holder of a portal token."""
        return False

    @property
    def app_id(self) -> str | None:
        """Return the id of the chosen application; None: all."""
        return self.app.id if self.app is not None else None

    def principal(self, tenant: Tenant = Tenant.OWN) -> Principal:
        """Return who asks, for operations of the API on data of that kind."""
        return self.person.principal(self.app_id, tenant)

    def may_open(self, path: str) -> bool:
        """Tell whether the person may see a page, by its path in the table of access."""
        return may_open(self.person.rights, path, self.app_id)

    def refusal(self, operation: str) -> str:
        """Say why this person may not use an operation of the API; "" if the person may.

        A page shows it beside an act that it disables.
        """
        return why_not(self.person.rights, ACCESS[operation], self.app_id) or ""

    @property
    def why_no_export(self) -> str | None:
        """Say why the person may not have the rows of this page as a file; None: it may."""
        if self.access is None:
            return None
        export = self.access._replace(action=Action.EXPORT)
        return why_not(self.person.rights, export, self.app_id)

    @property
    def shared(self) -> SharedReads:
        """Return what pages have read that shows the same to everybody who may see it."""
        shared: SharedReads = self.request.app.state.shared
        return shared

    def query(self, name: str) -> str:
        """Return a parameter of the query; "" if it is not there."""
        return self.request.query_params.get(name, "")

    def path(self, name: str) -> str:
        """Return a value of the path."""
        return str(self.request.path_params[name])

    def link(self, path: str, **query: str | int | None) -> str:
        """Return a link to a page that keeps the chosen application."""
        chosen = {"app": self.app_name} | query
        return with_query(path, **chosen)

    def here(self, **changes: str | int | None) -> str:
        """Return the link of this page with other parameters; None leaves one out."""
        parameters: dict[str, str | int | None] = dict(self.request.query_params)
        parameters.pop("view", None)
        return with_query(self.request.url.path, **(parameters | changes))

    @property
    def app_name(self) -> str | None:
        """Return the chosen application as links name it."""
        return (self.app.uid or self.app.id) if self.app is not None else None

    @property
    def wants_drawer(self) -> bool:
        """Tell whether only the part is asked for that stands beside a list."""
        return self.query("view") == "drawer"

    @property
    def zone_name(self) -> str:
        """Return the name of the time zone, as the foot of the menu says it."""
        return getattr(self.zone, "key", "UTC")

    @property
    def csrf_token(self) -> str:
        """Return the token for the forms of this page (macros/forms.html)."""
        return csrf_of(self.request)

    def names_of(self, app_id: str) -> tuple[str, str]:
        """Return an application as links name it, and its name for people."""
        app = next((app for app in self.applications if app.id == app_id), None)
        return (app.uid or app.id, app.name) if app is not None else (app_id, app_id)

    async def the_app(self) -> Application:
        """Return the application of a page about one thing. `NotFound` if none is chosen."""
        if self.app is not None:
            return self.app
        if len(self.applications) == 1:
            return self.applications[0]
        raise NotFound("Choose an application first: this id is looked up within one.")

    @property
    def note(self) -> str:
        """Return what an act says that has led here; "" for none."""
        return note_of(self.request)

    def show(self, template: str, status: int = 200, /, **values: Any) -> RenderedPage:
        """Answer with a template. It has `visit`, `now`, `zone`, `link` and `here` besides."""
        context = {
            "visit": self,
            "now": self.now,
            "zone": self.zone,
            "link": self.link,
            "here": self.here,
            **values,
        }
        return RenderedPage(template, context, status, gzips=_may_compress(self.request))


class RenderedPage(Response):
    """An answer whose template is rendered on another thread: the loop has deliveries to make."""

    media_type = "text/html; charset=utf-8"

    def __init__(self, template: str, context: dict[str, Any], status: int, *, gzips: bool) -> None:
        super().__init__(status_code=status, headers=SECURITY_HEADERS)
        self._template = template
        self._context = context
        self._gzips = gzips

    async def finished(self) -> Response:
        """Return the answer with its body."""
        body = await asyncio.to_thread(self._body)
        finished = answer(body, self.status_code)
        if self._gzips:
            finished.headers["content-encoding"] = "gzip"
            finished.headers["vary"] = "accept-encoding"
        return finished

    def _body(self) -> bytes:
        body = render(self._template, self._context)
        return gzip.compress(body, _GZIP_LEVEL, mtime=0) if self._gzips else body


def _may_compress(request: Request) -> bool:
    """Tell whether an answer may be compressed: one that shows a secret is not.

    What somebody else puts into a link may stand in the answer too, and the length of what is
    compressed would tell where both agree (BREACH). Secrets are shown after a POST only, and the
    token of forms is masked.
    """
    return request.method == "GET" and "gzip" in request.headers.get("accept-encoding", "")


async def finished(request: Request, response: Response) -> Response:
    """Return the answer with its body; what an act says on it is said once."""
    if not isinstance(response, RenderedPage):
        return response
    shown = await response.finished()
    forget_note(request, shown)
    return shown


Handler = Callable[[Visit], Awaitable[Response]]
PublicHandler = Callable[[Request], Awaitable[Response]]


class SitePage(NamedTuple):
    """A page: its path, what answers, and the entry of the menu that is marked."""

    path: str
    handler: Handler
    place: str = ""
    methods: tuple[str, ...] = ("GET",)
    operation: str = ""  # of the API that an act calls; "": it has a row of its own


class PublicPage(NamedTuple):
    """A page for somebody who is not signed in."""

    path: str
    handler: PublicHandler
    methods: tuple[str, ...] = ("GET",)
    is_proven_by_path: bool = False  # nobody else knows its path, so it takes forms of any sender


def answer(body: bytes, status: int = 200) -> Response:
    """Answer with a page or a part of one."""
    return Response(body, status, SECURITY_HEADERS, media_type="text/html; charset=utf-8")


def redirect(url: str) -> Response:
    """Send the browser to another page of ours."""
    return RedirectResponse(url, 303, SECURITY_HEADERS)


def with_query(path: str, **query: str | int | None) -> str:
    """Return a path with a query; parameters that are None are left out.

    >>> with_query("/messages", app="shop", open=None), with_query("/messages")
    ('/messages?app=shop', '/messages')
    """
    written = urlencode({name: value for name, value in query.items() if value not in (None, "")})
    return f"{path}?{written}" if written else path


def may(rights: Rights, access: Access | None, app_id: str | None) -> bool:
    """Tell whether somebody may do what a row of the table of access says; None: everybody may."""
    if access is None:
        return True
    place = None if access.tenant is Tenant.OPERATOR else app_id
    return rights.may(access.resource, access.action, place)


def why_not(rights: Rights, access: Access | None, app_id: str | None) -> str | None:
    """Say why somebody may not do that; None: it may."""
    if access is None or may(rights, access, app_id):
        return None
    place = None if access.tenant is Tenant.OPERATOR else app_id
    return refusal(rights, access.resource, access.action, place)


async def visit_of(
    request: Request,
    person: Viewer,
    app: Application | None,
    place: str = "",
    access: Access | None = None,
) -> Visit:
    """Read what every page needs. `place` is the path of the entry of the menu that is marked."""
    gateway: Gateway = request.app.state.gateway
    app_id = app.id if app is not None else None
    is_part = "view" in request.query_params  # of a page that is open: it has no menu
    applications, counts = await asyncio.gather(
        _applications(gateway, person.rights),
        _counts(gateway, Rights() if is_part else person.rights, app_id),
    )
    return Visit(
        request=request,
        gateway=gateway,
        person=person,
        place=place,
        access=access,
        app=app,
        applications=applications,
        now=gateway.clock.now(),
        zone=zone_of(request),
        menu=_menu(request.app.state.menu, person.rights, app_id),
        counts=counts,
    )


async def chosen_application(request: Request, rights: Rights) -> Application | None:
    """Return the application of `?app=`; None: all of them.

    Whoever has roles in single applications only sees one at a time, at first the first one; None:
    there is none. What such a person may not see does not exist: `NotFound`.
    """
    gateway: Gateway = request.app.state.gateway
    name = request.query_params.get("app")
    if name:
        app = await gateway.config_cache.application(name)
        if app is None or app.id == OPERATIONAL or not rights.sees(app.id):
            raise NotFound("There is no such application.")
        return app
    if not rights.is_limited:
        return None
    return await first_application(gateway, rights)


async def first_application(gateway: Gateway, rights: Rights) -> Application | None:
    """Return what is chosen before anybody chooses: all (None), or the first that one may see."""
    own = await _applications(gateway, rights) if rights.is_limited else []
    return own[0] if own else None


def zone_of(request: Request) -> tzinfo:
    """Return the time zone that the browser has told us; UTC if it has not."""
    name = request.cookies.get(ZONE_COOKIE, "")
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, KeyError):  # it may be any text; or this machine has no zones
        return UTC


async def _applications(gateway: Gateway, rights: Rights) -> list[Application]:
    """Return the applications that the person may choose, up to a limit."""
    if rights.is_limited:
        cache = gateway.config_cache
        own = [await cache.application(app_id) for app_id in sorted(rights.app_roles)]
        return [app for app in own if app is not None][:APPLICATIONS_MAX]
    listed = await gateway.database.list(Application, "", Page(APPLICATIONS_MAX))
    return [application for application in listed if application.id != OPERATIONAL]


def _menu(
    menu: list[tuple[str, list[Entry]]], rights: Rights, app_id: str | None
) -> list[tuple[str, list[MenuLine]]]:
    """Return the lines of the menu whose page the person may see."""
    groups = [(title, _lines(entries, rights, app_id)) for title, entries in menu]
    return [(title, lines) for title, lines in groups if lines]


def _lines(entries: list[Entry], rights: Rights, app_id: str | None) -> list[MenuLine]:
    lines = []
    for entry in entries:
        seen = (path for path in (entry.path, *entry.others) if may_open(rights, path, app_id))
        href = next(seen, None)
        if href is not None:
            lines.append(MenuLine(entry.path, entry.icon, entry.word, href))
    return lines


def may_open(rights: Rights, path: str, app_id: str | None) -> bool:
    """Tell whether somebody may see a page; pages that need nobody to sign in have no row."""
    return may(rights, PAGE_ACCESS.get(f"GET {path}"), app_id)


async def _counts(gateway: Gateway, rights: Rights, app_id: str | None) -> dict[str, int]:
    """Count what needs somebody, up to a limit."""
    if app_id is None and rights.is_limited:
        return {}
    attention = await gateway.database.attention(app_id, _COUNTED_MAX)
    return {"/problems": attention.failing, "/review": attention.conflicts}
