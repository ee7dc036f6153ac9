"""All pages as one application. It is loaded after the start, like the REST framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from tillbell.app import Gateway
from tillbell.deliver.audit import acting_as
from tillbell.errors import Forbidden, MethodNotAllowed, NotFound, TillbellError
from tillbell.rules.rights import Action
from tillbell.statistics.shared_reads import SharedReads
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.access import PAGES as ACCESS_TO_PAGES
from tillbell.web.edge.access import PUBLIC_PAGES as ACCESS_TO_ALL
from tillbell.web.edge.api_middleware import ApiGate
from tillbell.web.edge.auth import Access
from tillbell.web.edge.limits import GuessLimit
from tillbell.web.edge.page_route import wants_html
from tillbell.web.edge.paths import ROUTE
from tillbell.web.edge.problems import render_problem
from tillbell.web.pages import (
    account,
    alerts,
    audit,
    callbacks,
    components,
    customers,
    deliveries,
    delivery,
    endpoints,
    error_page,
    event_types,
    exports,
    filter_line,
    first_run,
    home,
    imports,
    inboxes,
    jobs,
    live_page,
    messages,
    orders,
    plot_page,
    problems,
    products,
    review,
    search,
    settings,
    shipments,
    sign_in,
    sign_on,
    sources,
    subscriptions,
    transactions,
    unsubscribe,
)
from tillbell.web.pages.acts import alerts as alert_acts
from tillbell.web.pages.acts import applications as application_acts
from tillbell.web.pages.acts import callbacks as callback_acts
from tillbell.web.pages.acts import deliveries as delivery_acts
from tillbell.web.pages.acts import endpoints as endpoint_acts
from tillbell.web.pages.acts import event_types as event_type_acts
from tillbell.web.pages.acts import exports as export_acts
from tillbell.web.pages.acts import inboxes as inbox_acts
from tillbell.web.pages.acts import jobs as job_acts
from tillbell.web.pages.acts import keys as key_acts
from tillbell.web.pages.acts import people as people_acts
from tillbell.web.pages.acts import retention as retention_acts
from tillbell.web.pages.acts import shop as shop_acts
from tillbell.web.pages.acts import sources as source_acts
from tillbell.web.pages.acts import transactions as transaction_acts
from tillbell.web.pages.acts import webhooks as webhook_acts
from tillbell.web.pages.docs_page import PATH as DOCS
from tillbell.web.pages.forms import SAFE_METHODS, check_sender
from tillbell.web.pages.page import (
    MENU,
    Entry,
    PublicPage,
    SitePage,
    chosen_application,
    finished,
    redirect,
    visit_of,
    why_not,
    with_query,
)
from tillbell.web.pages.portal import PUBLIC_PAGES as PORTAL_ENTRANCE
from tillbell.web.pages.portal import portal_routes
from tillbell.web.pages.session import Viewer, actor_of_session, owes_factor, signed_in

PAGES: tuple[SitePage, ...] = (
    *home.PAGES,
    *first_run.PAGES,
    *messages.PAGES,
    *deliveries.PAGES,
    *endpoint_acts.PAGES,
    *endpoints.PAGES,
    *event_type_acts.PAGES,
    *event_types.PAGES,
    *problems.PAGES,
    *settings.PAGES,
    *audit.PAGES,
    *delivery.PAGES,
    *jobs.PAGES,
    *shop_acts.PAGES,
    *export_acts.PAGES,
    *exports.PAGES,
    *imports.PAGES,
    *orders.PAGES,
    *products.PAGES,
    *customers.PAGES,
    *subscriptions.PAGES,
    *shipments.PAGES,
    *transactions.PAGES,
    *filter_line.PAGES,
    *review.PAGES,
    *search.PAGES,
    *callbacks.PAGES,
    *inbox_acts.PAGES,
    *inboxes.PAGES,
    *source_acts.PAGES,
    *sources.PAGES,
    *plot_page.PAGES,
    *live_page.PAGES,
    *sign_in.PAGES,
    *account.PAGES,
    *delivery_acts.PAGES,
    *transaction_acts.PAGES,
    *callback_acts.PAGES,
    *key_acts.PAGES,
    *webhook_acts.PAGES,
    *job_acts.PAGES,
    *people_acts.PAGES,
    *application_acts.PAGES,
    *alerts.PAGES,
    *alert_acts.PAGES,
    *retention_acts.PAGES,
)
PUBLIC_PAGES: tuple[PublicPage, ...] = (
    *sign_in.PUBLIC_PAGES,
    *sign_on.PUBLIC_PAGES,
    *unsubscribe.PUBLIC_PAGES,
)
_WITHOUT_FACTOR = (account.TOTP, sign_in.LOGOUT)  # for who must set up a second factor
DEV_PAGES: tuple[SitePage, ...] = components.PAGES


def make_pages(gateway: Gateway, api: ApiGate) -> Starlette:
    """Build the application of all pages. What they change, they change by the API."""
    if {page.path for page in (*PUBLIC_PAGES, *PORTAL_ENTRANCE)} != ACCESS_TO_ALL:
        raise AssertionError("the pages for everybody are not those of web/edge/access.py")
    looks = [page for page in PAGES + DEV_PAGES if not page.operation]
    rows = {f"{method} {page.path}" for page in looks for method in page.methods}
    if rows != set(ACCESS_TO_PAGES):
        raise AssertionError(f"pages without a row, or the reverse: {rows ^ set(ACCESS_TO_PAGES)}")
    pages = PAGES + (DEV_PAGES if gateway.settings.dev else ())
    everything: list[SitePage | PublicPage] = [*pages, *PUBLIC_PAGES]
    routes = [Route(page.path, _serve(page), methods=list(page.methods)) for page in everything]
    routes += portal_routes(gateway)
    routes.append(Route("/{path:path}", _missing, methods=["GET", "POST"]))
    site = Starlette(routes=routes)
    site.state.gateway = gateway
    site.state.shared = SharedReads(gateway.clock)
    site.state.portal_guesses = GuessLimit(gateway.clock)
    site.state.api = api
    site.state.menu = _menu({DOCS, *(page.path for page in everything)})
    return site


def _menu(paths: set[str]) -> list[tuple[str, list[Entry]]]:
    """Return the menu with the pages that there are."""
    groups = [
        (title, [entry for entry in entries if entry.path in paths]) for title, entries in MENU
    ]
    return [(title, entries) for title, entries in groups if entries]


def _serve(page: SitePage | PublicPage) -> Callable[[Request], Awaitable[Response]]:
    """Return what serves a page, and its errors in the same look."""

    async def serve(request: Request) -> Response:
        request.scope[ROUTE] = page.path
        try:
            if request.method not in SAFE_METHODS and not _is_proven(page):
                await check_sender(request)
            if isinstance(page, PublicPage):
                return await page.handler(request)
            person = await signed_in(request)
            if person is None:
                return redirect(_login_before(request))
            if page.path not in _WITHOUT_FACTOR and await owes_factor(request):
                return redirect(account.TOTP)
            with acting_as(await actor_of_session(request)):
                return await _show(request, page, person)
        except TillbellError as error:
            return await error_page.show(request, error)
        except Exception as error:  # noqa: BLE001 - supervised: the visitor must be answered
            return await error_page.show_failure(request, error)

    return serve


def _is_proven(page: SitePage | PublicPage) -> bool:
    return isinstance(page, PublicPage) and page.is_proven_by_path


async def _show(request: Request, page: SitePage, person: Viewer) -> Response:
    """Answer with a page, if the person's roles allow what its row says."""
    access = _access(page, request.method)
    app = await chosen_application(request, person.rights)
    reason = why_not(person.rights, access, app.id if app is not None else None)
    if reason is not None:
        raise Forbidden(reason)
    visit = await visit_of(request, person, app, page.place, access)
    return await finished(request, await page.handler(visit))


def _access(page: SitePage, method: str) -> Access | None:
    """Return what a page needs. The form of an act is for whoever may read what it is about."""
    is_reading = method in SAFE_METHODS
    if not page.operation:
        return ACCESS_TO_PAGES[f"{'GET' if is_reading else method} {page.path}"]
    access = ACCESS[page.operation]
    is_form = is_reading and access.action is not Action.ADMIN
    return access._replace(action=Action.READ) if is_form else access


def _login_before(request: Request) -> str:
    """Return the link to sign in, and then to go on to the page that was asked for."""
    url = request.url
    asked = f"{url.path}?{url.query}" if url.query else url.path
    is_page = request.method in SAFE_METHODS and asked != "/"
    return with_query(sign_in.LOGIN, next=asked if is_page else None)


async def _missing(request: Request) -> Response:
    """Say that there is no such page, or not with this method: to programs as JSON."""
    error: TillbellError = NotFound("There is no such page.")
    matches = [route.matches(request.scope)[0] for route in request.app.routes]
    if Match.PARTIAL in matches:
        error = MethodNotAllowed(("GET", "HEAD"))
    if wants_html(request.scope):
        return await error_page.show(request, error)
    problem = render_problem(error)
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    return Response(problem.body, problem.status, headers)
