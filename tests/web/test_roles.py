"""Roles × routes: what each role may, by resource, written down apart from the program's table."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.cases import each
from tests.web.served_gateway import ServedGateway
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
from tillbell.web.api.routes import may
from tillbell.web.edge.access import PAGES
from tillbell.web.edge.auth import Principal, Tenant
from tillbell.web.pages.page import MENU, SETTINGS, may_open, why_not

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
    "callback": (EVERYBODY, EXPORTERS, "OADo"),
    "conflict": (EVERYBODY, EXPORTERS, "OAo"),
    "delivery": (EVERYBODY, EXPORTERS, CHIEFS),
    "email": (EVERYBODY, EXPORTERS, CHIEFS),
    "endpoint": (EVERYBODY, EXPORTERS, "OAD"),
    "event-type": (EVERYBODY, EXPORTERS, "OAD"),
    "hold": (EVERYBODY, EXPORTERS, CHIEFS),
    "master-key": (EVERYBODY, EXPORTERS, CHIEFS),
    "message": (EVERYBODY, EXPORTERS, CHIEFS),
    "operational-webhook": (EVERYBODY, EXPORTERS, "OAD"),
    "portal": (EVERYBODY, EXPORTERS, "OAD"),
    "provider": (EVERYBODY, EXPORTERS, CHIEFS),
    "search": (EVERYBODY, EXPORTERS, CHIEFS),
    "setting": (EVERYBODY, EXPORTERS, CHIEFS),
    "shipment": (EVERYBODY, EXPORTERS, CHIEFS),
    "source": (EVERYBODY, EXPORTERS, "OAD"),
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
    "GET /filter/suggestions": "event-type",
    "GET /first-run": "message",
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
    "GET /settings/applications": "application",
    "GET /settings/keys": "key",
    "GET /settings/people": "person",
    "GET /settings/webhooks": "operational-webhook",
    "GET /sources": "source",
    "GET /sources/new": "provider",
    "GET /sources/{source}": "source",
    "GET /transactions": "transaction",
    "GET /transactions/{trx}": "transaction",
}
FILES = ("GET /plots/{name}",)
OF_THE_INSTALLATION = (
    "/settings",
    "/settings/applications",
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
