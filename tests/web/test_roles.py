"""Roles × routes: what each role may, by resource, written down apart from the program's table."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.cases import each
from tests.patience import PATIENCE_S
from tests.web.served_gateway import NOWHERE as NOWHERE_ELSE
from tests.web.served_gateway import OWNER, ServedGateway
from tests.web.test_access import (
    BODIES,
    IDS,
    NOWHERE,
    ROUTES,
    Route,
    promised_action,
    promised_resource,
    promised_tenant,
)
from tillbell.model.people import Role
from tillbell.model.records import ApiKey
from tillbell.rules.rights import SCOPES_OF, Action, Rights, not_covered, refusal, roles_that_may
from tillbell.vault import form_token
from tillbell.web.api.routes import may
from tillbell.web.edge.access import PAGES
from tillbell.web.edge.auth import Principal, Tenant
from tillbell.web.pages.page import MENU, SETTINGS, may_open, why_not
from tillbell.web.pages.site import PAGES as SITE_PAGES

pytestmark = pytest.mark.sqlite_first
ROLES = ("owner", "admin", "developer", "operator", "finance", "viewer")
# For each resource: who may read it, have it as a file, change it. A letter is a role's first one;
# D is the developer, o the operator, O the owner.
EVERYBODY, EXPORTERS, CHIEFS = "OADofv", "OADof", "OA"
WHO = {
    "application": (EVERYBODY, EXPORTERS, "OAD"),
    "attempt": (EVERYBODY, EXPORTERS, "OADo"),
    "audit": (EVERYBODY, EXPORTERS, CHIEFS),
    "background-task": (EVERYBODY, EXPORTERS, CHIEFS),
    "alert": (EVERYBODY, EXPORTERS, CHIEFS),
    "callback": (EVERYBODY, EXPORTERS, "OADo"),
    "conflict": (EVERYBODY, EXPORTERS, "OAo"),
    "customer": (EVERYBODY, EXPORTERS, CHIEFS),
    "delivery": (EVERYBODY, EXPORTERS, CHIEFS),
    "email": (EVERYBODY, EXPORTERS, CHIEFS),
    "endpoint": (EVERYBODY, EXPORTERS, "OAD"),
    "event-type": (EVERYBODY, EXPORTERS, "OAD"),
    "export-link": (EVERYBODY, EXPORTERS, CHIEFS),
    "export-schedule": (EVERYBODY, EXPORTERS, CHIEFS),
    "inbox": (EVERYBODY, EXPORTERS, "OAD"),
    "hold": (EVERYBODY, EXPORTERS, CHIEFS),
    "master-key": (EVERYBODY, EXPORTERS, CHIEFS),
    "message": (EVERYBODY, EXPORTERS, CHIEFS),
    "operational-webhook": (EVERYBODY, EXPORTERS, "OAD"),
    "order": (EVERYBODY, EXPORTERS, CHIEFS),
    "portal": (EVERYBODY, EXPORTERS, "OAD"),
    "product": (EVERYBODY, EXPORTERS, CHIEFS),
    "provider": (EVERYBODY, EXPORTERS, CHIEFS),
    "retention": (EVERYBODY, EXPORTERS, CHIEFS),
    "search": (EVERYBODY, EXPORTERS, CHIEFS),
    "setting": (EVERYBODY, EXPORTERS, CHIEFS),
    "shipment": (EVERYBODY, EXPORTERS, CHIEFS),
    "source": (EVERYBODY, EXPORTERS, "OAD"),
    "subscription": (EVERYBODY, EXPORTERS, CHIEFS),
    "suppression": (EVERYBODY, EXPORTERS, "OAo"),
    "transaction": (EVERYBODY, EXPORTERS, "OAo"),
}
OF_CHIEFS = ("key", "person")  # who may see them may change them
LETTERS = dict(zip("OADofv", ROLES, strict=True))


def who_may(resource: str, action: Action) -> set[str]:
    """Return the roles that may do something, as it is promised."""
    if action is Action.ADMIN:
        assert resource in OF_CHIEFS
        letters = CHIEFS
    elif action is Action.PUBLISH:
        assert resource == "message"
        letters = "OAD"
    else:
        columns = (Action.READ, Action.EXPORT, Action.WRITE)
        letters = WHO[resource][columns.index(action)]
    return {LETTERS[letter] for letter in letters}


def test_every_resource_is_promised_and_every_promise_is_of_a_resource() -> None:
    assert {promised_resource(route) for route in ROUTES} | {"setting"} == {
        *WHO,
        *OF_CHIEFS,
    }
    for resource in WHO:
        for action in (Action.READ, Action.EXPORT, Action.WRITE):
            assert {*roles_that_may(resource, action)} == who_may(resource, action), resource


@each("role", ROLES)
def test_a_role_may_use_the_routes_that_it_is_promised(role: str) -> None:
    """For all applications and, in an application, for that one."""
    scopes = tuple(SCOPES_OF[Role(role)])
    everywhere, in_one = (
        Principal(ApiKey(id="k", name="k", hash="", last4="", scopes=scopes, app_id=app_id))
        for app_id in (None, "app_1")
    )
    for route in ROUTES:
        is_able = role in who_may(promised_resource(route), promised_action(route))
        is_general = promised_tenant(route) is Tenant.OPERATOR
        assert may(everywhere, route.name) is is_able, route.name
        assert may(in_one, route.name) is (is_able and not is_general), route.name


def test_the_routes_ask_what_the_table_says(served: ServedGateway) -> None:
    """An operator of one application, on every route, and in another application."""
    own, other = (
        str(served.http.post("/app", json={"name": name}).json()["id"]) for name in ("own", "other")
    )
    with served.client(served.make_key(*SCOPES_OF[Role.OPERATOR], app_id=own)) as client:
        for route in ROUTES:
            if route.name == "authentication.logout":
                continue  # needs a portal token
            is_general = promised_tenant(route) is Tenant.OPERATOR
            is_able = not is_general and "operator" in who_may(
                promised_resource(route), promised_action(route)
            )
            status = asked(served, client, route, own)
            assert (status != 403) is is_able, route.name
            if promised_tenant(route) is Tenant.APPLICATION:
                expected = 404 if is_able else 403
                assert asked(served, client, route, other) == expected, route.name


def asked(served: ServedGateway, client: httpx.Client, route: Route, app_id: str) -> int:
    """Send a request that means nothing; return the status."""
    path = route.path.replace("{app_id}", app_id)
    for name in IDS:
        path = path.replace(f"{{{name}}}", NOWHERE)
    for name in ("sink_id", "consumer_id", "event_type_name"):
        path = path.replace(f"{{{name}}}", "nobody")
    path += "?topics=nothing" if route.name == "live.stream" else ""
    body = None if route.method == "GET" else BODIES.get(route.name, b"{}")
    return client.request(route.method, served.url + path, content=body).status_code


# ── pages ────────────────────────────────────────────────────────────────────────────────────────

# Each page with the resource that it shows; what is not here needs no role.
SHOWN = {
    "GET /": "message",
    "GET /attempts": "attempt",
    "GET /callbacks": "callback",
    "GET /callbacks/{callback}": "callback",
    "GET /deliveries": "delivery",
    "GET /endpoints": "endpoint",
    "GET /endpoints/{endpoint}": "endpoint",
    "GET /event-types": "event-type",
    "GET /event-types/{name:path}": "event-type",
    "GET /exports": "export-link",
    "GET /exports/{kind}": "export-link",
    "GET /filter/suggestions": "event-type",
    "GET /first-run": "message",
    "GET /inboxes": "inbox",
    "GET /inboxes/{inbox}": "inbox",
    "GET /inboxes/{inbox}/live": "inbox",
    "GET /inboxes/{inbox}/promote": "inbox",
    "GET /inboxes/{inbox}/requests/{request}/body": "inbox",
    "GET /jobs": "background-task",
    "GET /jobs/{task}": "background-task",
    "GET /live": "message",
    "GET /messages": "message",
    "GET /messages/{msg}": "message",
    "GET /messages/{msg}/endpoints/{endpoint}": "delivery",
    "GET /plots": "attempt",
    "GET /plots/{name}": "attempt",
    "GET /problems": "delivery",
    "GET /review": "conflict",
    "GET /search": "search",
    "GET /settings": "setting",
    "GET /settings/alerts": "alert",
    "GET /settings/applications": "application",
    "GET /settings/audit": "audit",
    "GET /settings/audit/verify": "audit",
    "GET /settings/audit/{entry}": "audit",
    "GET /settings/keys": "key",
    "GET /settings/people": "person",
    "GET /settings/webhooks": "operational-webhook",
    "GET /sources": "source",
    "GET /sources/new": "provider",
    "GET /sources/{source}": "source",
    "GET /transactions": "transaction",
    "GET /transactions/{trx}": "transaction",
    **{
        f"GET /{resource}s{one}": resource
        for resource in ("order", "product", "customer", "subscription", "shipment")
        for one in ("", f"/{{{resource}}}")
    },
}
FILES = ("GET /plots/{name}",)
OF_THE_INSTALLATION = (
    "/settings",
    "/settings/alerts",
    "/settings/applications",
    "/settings/audit/verify",
    "/settings/webhooks",
)  # not for who has a role in one application only


def promised_pages() -> Iterator[tuple[str, Action]]:
    """Yield each page with what it does."""
    for page, resource in SHOWN.items():
        action = Action.EXPORT if page in FILES else Action.READ
        yield page, Action.ADMIN if resource in OF_CHIEFS else action


@each("role", ROLES)
def test_a_role_may_see_the_pages_that_it_is_promised(role: str) -> None:
    """For all applications, and in one; where it may not, the page says why."""
    assert {page for page, access in PAGES.items() if access is not None} == set(SHOWN)
    for page, action in promised_pages():
        is_able = role in who_may(SHOWN[page], action)
        is_general = page.partition(" ")[2] in OF_THE_INSTALLATION
        everywhere, in_one = Rights(Role(role)), Rights(app_roles={"app_1": Role(role)})
        for rights, app_id, expected in (
            (everywhere, None, is_able),
            (everywhere, "app_1", is_able),
            (in_one, "app_1", is_able and not is_general),
            (in_one, "app_2", False),
            (in_one, None, False),
        ):
            reason = why_not(rights, PAGES[page], app_id)
            assert (reason is None) is expected, (page, app_id)
            assert reason is None or reason.endswith(": ask an owner or admin."), page


def test_the_menu_has_pages_of_the_table_alone() -> None:
    rights = Rights(Role.VIEWER)
    paths = {line.path for _, lines in MENU for line in lines} | set(SETTINGS)
    assert {f"GET {path}" for path in paths - {"/docs"}} <= set(PAGES)
    assert not may_open(rights, "/settings/keys", None)
    assert may_open(rights, "/messages", None)
    assert not may_open(Rights(app_roles={"app_1": Role.OWNER}), "/settings", "app_1")


def test_nobody_grants_more_than_it_has() -> None:
    """A role covers another one if it may do all that the other may."""
    covered = {
        "owner": ROLES,
        "admin": ROLES[1:],
        "developer": ("developer", "finance", "viewer"),
        "operator": ("operator", "finance", "viewer"),
        "finance": ("finance", "viewer"),
        "viewer": ("viewer",),
    }
    for role in ROLES:
        held = SCOPES_OF[Role(role)]
        assert tuple(r for r in ROLES if not not_covered(held, SCOPES_OF[Role(r)])) == covered[role]
    assert not_covered({"endpoint:write"}, ["endpoint:read", "read", "message:publish"]) == [
        "message:publish",
        "read",
    ]
    assert not_covered({"publish"}, ["message:publish", "message:write"]) == ["message:write"]


def test_a_refusal_names_the_role_and_who_may() -> None:
    assert refusal(Rights(Role.FINANCE), "transaction", Action.WRITE, None) == (
        "Your role finance may not do this. Owner, admin and operator may: ask an owner or admin."
    )
    two = Rights(Role.VIEWER, {"app_1": Role.DEVELOPER})
    assert refusal(two, "transaction", Action.WRITE, "app_1").startswith(
        "Your roles viewer and developer may not do this."
    )
    assert "not for all applications" in refusal(
        Rights(app_roles={"app_1": Role.ADMIN}), "setting", Action.READ, None
    )
    assert refusal(Rights(), "message", Action.READ, None) == (
        "You have no role: ask an owner or admin."
    )


# ── another application ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def foreign(served: ServedGateway) -> dict[str, str]:
    """Ids of things of an application that is not the person's own, by their names in paths."""
    app = served.http.post("/app", json={"name": "Foreign shop", "uid": "foreign"}).json()["id"]
    base = f"/app/{app}"
    hook = {"url": served.receiver.url("/foreign"), "description": "Foreign hook"}
    endpoint = served.http.post(f"{base}/endpoint", json=hook).json()["id"]
    message = served.http.post(f"{base}/msg", content=BODIES["message.create"]).json()["id"]
    attempt = served.wait_for_attempts(message)[0]
    begin = {"direction": "pay_in", "amount": "7.77", "currency": "EUR", "uid": "FOREIGN-1"}
    transaction = served.http.post(f"{base}/transaction", json=begin).json()["id"]
    made = {"name": "Foreign source", "provider": "kopa"}
    source = served.http.post(f"{base}/source", json=made).json()["id"]
    inbox = served.http.post("/inbox", json={"name": "Foreign inbox", "appId": app}).json()["id"]
    begun = served.http.post(
        f"{base}/endpoint/{endpoint}/recover", json={"since": "2026-01-01T00:00:00Z"}
    )
    return {
        "app": app,
        "msg": message,
        "endpoint": endpoint,
        "attempt": attempt.id,
        "delivery": attempt.delivery_id,
        "trx": transaction,
        "source": source,
        "inbox": inbox,
        "request": NOWHERE,
        "task": begun.json()["id"],
        "callback": NOWHERE,
        "conflict": NOWHERE,
    }


def signed_in_as(served: ServedGateway, email: str, role: str, app_id: str) -> httpx.Client:
    """Invite somebody with a role in one application; return the browser that has accepted."""
    sent = served.http.post("/person", json={"email": email, "appRoles": {app_id: role}})
    token = sent.json()["link"].rpartition("/")[2]
    session = served.do(
        served.gateway.people.accept_invitation(token, "Pia", OWNER.password, NOWHERE_ELSE)
    )
    client = httpx.Client(base_url=served.url, timeout=PATIENCE_S, headers={"accept": "text/html"})
    client.cookies.set("tillbell", session.token, "127.0.0.1")
    return client


@pytest.mark.slow
def test_a_person_of_one_application_finds_nothing_of_another(
    served: ServedGateway, foreign: dict[str, str]
) -> None:
    """Every page and act, with every id of another application, and with its name."""
    own = str(served.http.post("/app", json={"name": "Own shop", "uid": "own-shop"}).json()["id"])
    told = {*foreign.values(), "Foreign", "foreign"} - {NOWHERE}
    with signed_in_as(served, "pia@shop.example", "admin", own) as client:
        for page in SITE_PAGES:
            path = re.sub(r"\{(\w+)(:path)?\}", lambda m: foreign.get(m[1], "x"), page.path)
            asked = {value for value in foreign.values() if value in path}
            topics = {"topics": "nothing"} if page.path == "/live" else {}  # or it never ends
            shown = client.get(path, params=topics)
            assert shown.status_code < 500, page
            for text in told - asked:
                assert text not in shown.text, (page.path, text)
            if asked and "GET" in page.methods:
                refusals = (403, 404) if page.path.startswith("/settings") else (404, 422)
                assert shown.status_code in refusals, (page.path, shown.status_code)
            if page.path.startswith(("/account", "/logout")):
                continue
            elsewhere = client.get(path, params={"app": foreign["app"]})
            assert elsewhere.status_code in (404, 405), page
            if "POST" in page.methods:
                csrf = form_token(client.cookies["tillbell"])
                sent = client.post(
                    path, data={"csrf": csrf}, params={"app": own}, headers={"origin": served.url}
                )
                assert sent.status_code in (403, 404, 422) or not asked, (page.path, sent.text)
        for query in (foreign["msg"], foreign["endpoint"], foreign["trx"], "FOREIGN-1", "foreign"):
            assert "Foreign" not in client.get("/search", params={"q": query}).text
            assert client.get("/search", params={"q": query}).status_code == 200
        for name in ("messages", "endpoints", "transactions", "deliveries", "attempts"):
            exported = client.get(f"/{name}", params={"format": "json"})
            assert (exported.status_code, exported.text.strip()) == (200, ""), name
    before = served.http.get(f"/app/{foreign['app']}/endpoint/{foreign['endpoint']}")
    assert before.json()["description"] == "Foreign hook"


def test_a_viewer_changes_and_exports_nothing(served: ServedGateway) -> None:
    own = str(served.http.post("/app", json={"name": "Viewed"}).json()["id"])
    with signed_in_as(served, "vic@shop.example", "viewer", own) as client:
        csrf = form_token(client.cookies["tillbell"])
        assert client.get("/messages").status_code == 200
        refused = client.get("/messages", params={"format": "csv"})
        assert refused.status_code == 403
        assert "Your role viewer may not do this." in refused.text
        for page in SITE_PAGES:
            if "POST" not in page.methods or page.path.startswith(("/account", "/logout")):
                continue
            path = re.sub(r"\{(\w+)(:path)?\}", "x", page.path)
            sent = client.post(path, data={"csrf": csrf}, headers={"origin": served.url})
            assert sent.status_code == 403, page.path
