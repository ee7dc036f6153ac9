"""Who may do what in the portal: every page × every kind of token, cookies, and other shops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from tests.patience import PATIENCE_S
from tests.web.served_gateway import ServedGateway
from tillbell.vault import form_token
from tillbell.web.edge.auth import Capability
from tillbell.web.pages.portal import PAGES

pytestmark = pytest.mark.sqlite_first

NOWHERE = "msg_00000000000000000000000000"
SHOP = "https://shop.example"
# What is promised of each page, told apart from how the program declares it.
PROMISED = {
    Capability.VIEW_BASE: (
        "GET /endpoints",
        "GET /endpoints/{endpoint}",
        "GET /messages",
        "GET /messages/{msg}",
        "GET /messages/{msg}/endpoints/{endpoint}",
        "GET /deliveries",
        "GET /attempts",
        "GET /event-types",
        "GET /event-types/{name:path}",
        "GET /jobs",
        "GET /jobs/{task}",
        "GET /filter/suggestions",
        "GET /live",
        "POST /leave",
        # The form of an act says why one may not do it.
        "GET /endpoints/new",
        "GET /endpoints/{endpoint}/edit",
        "GET /endpoints/{endpoint}/disable",
        "GET /endpoints/{endpoint}/enable",
        "GET /endpoints/{endpoint}/delete",
        "GET /endpoints/{endpoint}/secret",
        "GET /endpoints/{endpoint}/rotate",
        "GET /endpoints/{endpoint}/test",
        "GET /endpoints/{endpoint}/recover",
        "GET /messages/{msg}/endpoints/{endpoint}/resend",
        "GET /messages/{msg}/endpoints/{endpoint}/cancel",
        "GET /jobs/{task}/pause",
        "GET /jobs/{task}/resume",
        "GET /jobs/{task}/cancel",
    ),
    Capability.MANAGE_ENDPOINT: (
        "POST /endpoints/new",
        "POST /endpoints/{endpoint}/edit",
        "POST /endpoints/{endpoint}/disable",
        "POST /endpoints/{endpoint}/enable",
        "POST /endpoints/{endpoint}/delete",
    ),
    Capability.VIEW_SECRET: ("POST /endpoints/{endpoint}/secret",),
    Capability.MANAGE_SECRET: ("POST /endpoints/{endpoint}/rotate",),
    Capability.CREATE_ATTEMPTS: (
        "POST /endpoints/{endpoint}/test",
        "POST /endpoints/{endpoint}/recover",
        "POST /messages/{msg}/endpoints/{endpoint}/resend",
        "POST /messages/{msg}/endpoints/{endpoint}/cancel",
        "POST /jobs/{task}/pause",
        "POST /jobs/{task}/resume",
        "POST /jobs/{task}/cancel",
    ),
}
INCLUDED = {
    Capability.MANAGE_ENDPOINT: (Capability.MANAGE_SECRET, Capability.VIEW_SECRET),
    Capability.MANAGE_SECRET: (Capability.VIEW_SECRET,),
}
NEEDED = {page: capability for capability, pages in PROMISED.items() for page in pages}


class Portal:
    """A browser without a screen that has opened a link, or something else, in the portal."""

    def __init__(self, served: ServedGateway, app_id: str, token: str) -> None:
        nothing_kept = httpx.Limits(max_keepalive_connections=0)  # so there is nothing to close
        self.http = httpx.Client(
            base_url=served.url, timeout=PATIENCE_S, limits=nothing_kept, verify=False
        )
        self.root = f"/portal/{app_id}"
        self.cookie = f"{token}~~~"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(self.root + path, headers=self._headers() | headers)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        fields = {"csrf": form_token(self.cookie), **(form or {})}
        sent = self._headers() | {"origin": str(self.http.base_url).rstrip("/")} | headers
        return self.http.post(self.root + path, data=fields, headers=sent)

    def ask(self, page: str) -> int:
        """Ask for a page with ids of nothing; return the status."""
        method, _, path = page.partition(" ")
        path = re.sub(r"\{\w+(:path)?\}", NOWHERE, path)
        if path == "/live":  # what the gate lets pass would not end
            path += "?topics=nothing"
        return (self.get(path) if method == "GET" else self.post(path)).status_code

    def _headers(self) -> dict[str, str]:
        return {"accept": "text/html", "cookie": f"tillbell-portal={self.cookie}"}


class Shops(NamedTuple):
    """Two applications with the same kinds of things."""

    own: str
    other: str
    ids: dict[str, str]  # of things of the other


@pytest.fixture(scope="module")
def shops(served: ServedGateway) -> Shops:
    def application(name: str) -> str:
        return str(served.http.post("/app", json={"name": name}).json()["id"])

    own, other = application("Own shop"), application("Other shop")
    hook = {"url": served.receiver.url(), "description": "Secret partner"}
    endpoint = served.http.post(f"/app/{other}/endpoint", json=hook).json()["id"]
    body = {"eventType": "order.paid", "payload": {"note": "of the other shop"}}
    message = served.http.post(f"/app/{other}/msg", json=body).json()["id"]
    served.wait_for_attempts(message)
    since = {"since": "2026-01-01T00:00:00Z"}
    task = served.http.post(f"/app/{other}/endpoint/{endpoint}/recover", json=since).json()["id"]
    return Shops(own, other, {"endpoint": endpoint, "msg": message, "task": task})


def token_of(served: ServedGateway, app_id: str, *capabilities: Capability, **more: object) -> str:
    named = (Capability.VIEW_BASE, *capabilities)
    return served.make_key(app_id=app_id, capabilities=named, **more)


def test_every_page_lets_in_whom_it_promises(served: ServedGateway, shops: Shops) -> None:
    assert {f"{method} {page.path}" for page in PAGES for method in page.methods} == NEEDED.keys()
    own = shops.own
    shut = {
        "none": "",
        "unknown": "tb_" + "a" * 40,
        "API key": served.key,
        "key of the application": served.make_key("write", app_id=own),
        "expired": token_of(served, own, *Capability, expires_at=1),
        "other": token_of(served, shops.other, *Capability),
    }
    for kind, token in shut.items():
        visitor = Portal(served, own, token)
        for page in NEEDED:
            assert visitor.ask(page) in (401, 403), (kind, page)
    for held in Capability:
        may = {Capability.VIEW_BASE, held, *INCLUDED.get(held, ())}
        visitor = Portal(served, own, token_of(served, own, held))
        for page, needed in sorted(NEEDED.items(), key=lambda row: row[0] == "POST /leave"):
            status = visitor.ask(page)
            assert (status not in (401, 403)) == (needed in may), (held, page, status)
            assert status < 500, (held, page)


def test_a_token_reaches_no_other_application(served: ServedGateway, shops: Shops) -> None:
    token = token_of(served, shops.own, *Capability)
    for root in (shops.other, "operational", "x"):
        assert Portal(served, root, token).get("/endpoints").status_code == 401
    visitor = Portal(served, shops.own, token)
    asked = 0
    for page in NEEDED:
        if not any(f"{{{name}}}" in page for name in shops.ids):
            continue
        method, _, path = page.partition(" ")
        path = path.format_map(shops.ids)
        answer = visitor.get(path) if method == "GET" else visitor.post(path)
        assert answer.status_code == 404, page
        assert "partner" not in answer.text, page
        asked += 1
    assert asked > 15
    ids = shops.ids
    for path in (
        f"/messages?app={shops.other}",
        f"/messages?open={ids['msg']}&of={shops.other}",
        f"/messages?format=csv&app={shops.other}",
        f"/deliveries?filter=endpoint:{ids['endpoint']}",
        f"/attempts?app={shops.other}",
        f"/endpoints?app={shops.other}",
        f"/jobs?app={shops.other}",
        "/filter/suggestions?list=delivery&add=endpoint:",
        "/event-types/order.paid",
    ):
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        for text in ("partner", "Other shop", "of the other shop", f"{ids['msg']}/endpoints"):
            assert text not in answer.text, path
    unchanged = served.http.get(f"/app/{shops.other}/endpoint/{ids['endpoint']}").json()
    assert unchanged["status"] == "active"


def test_the_stream_of_a_portal_tells_of_its_application_alone(
    served: ServedGateway, shops: Shops
) -> None:
    visitor = Portal(served, shops.own, token_of(served, shops.own))
    body = {"eventType": "order.paid", "payload": {}}
    with visitor.http.stream(
        "GET", f"{visitor.root}/live?topics=messages", headers=visitor._headers()
    ) as stream:
        lines = stream.iter_lines()
        next(lines)
        served.http.post(f"/app/{shops.other}/msg", json=body)
        sent = served.http.post(f"/app/{shops.own}/msg", json=body).json()["id"]
        told = next(line for line in lines if line.startswith("data:"))
    assert sent in told


def test_a_form_is_sent_by_a_page_of_the_portal_alone(served: ServedGateway, shops: Shops) -> None:
    hook = {"url": served.receiver.url()}
    endpoint = served.http.post(f"/app/{shops.own}/endpoint", json=hook).json()["id"]
    visitor = Portal(served, shops.own, token_of(served, shops.own, *Capability))
    path = f"/endpoints/{endpoint}/disable"
    other = Portal(served, shops.own, token_of(served, shops.own))
    refused = [
        visitor.post(path, {"csrf": ""}),
        visitor.post(path, {"csrf": form_token(other.cookie)}),
        visitor.post(path, origin=SHOP),
        visitor.post(path, None, **{"sec-fetch-site": "cross-site"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert served.http.get(f"/app/{shops.own}/endpoint/{endpoint}").json()["status"] == "active"
    assert visitor.post(path).status_code == 303
    assert served.http.get(f"/app/{shops.own}/endpoint/{endpoint}").json()["disabled"]
    audit = served.http.get(f"/app/{shops.own}/audit").json()["data"]
    changed = next(entry for entry in audit if entry["target"] == endpoint)
    assert (changed["action"], changed["actorName"]) == ("endpoint.update", "test")


def test_a_link_is_exchanged_by_our_own_page_for_a_cookie_of_its_application(
    served: ServedGateway, shops: Shops
) -> None:
    link = served.http.post(f"/auth/app-portal-access/{shops.own}", json={}).json()
    assert link["url"].endswith(f"/portal#key={link['token']}")
    form = {"token": link["token"], "zone": "Europe/Belgrade", "accent": "x;y", "mode": "dark"}
    path, origin = f"{served.url}/portal/session", {"origin": served.url}
    with served.client(None) as http:
        foreign = http.post(path, data=form, headers={"origin": SHOP})
        assert foreign.status_code == 403
        assert "set-cookie" not in foreign.headers
        for text in (served.key, "", "tb_unknown"):
            refused = http.post(path, data=form | {"token": text}, headers=origin)
            assert refused.status_code == 401
            assert "set-cookie" not in refused.headers
        opened = http.post(path, data=form, headers=origin)
        assert opened.headers["location"] == f"/portal/{shops.own}/endpoints"
        assert opened.headers["set-cookie"] == (
            f"tillbell-portal={link['token']}~~dark~Europe/Belgrade; Path=/portal/{shops.own}; "
            "HttpOnly; SameSite=Lax"
        )
        guesses = [http.post(path, data=form | {"token": "x"}, headers=origin) for _ in range(25)]
        assert guesses[-1].status_code == 429
    visitor = Portal(served, shops.own, link["token"])
    assert "frame-ancestors 'none'" in visitor.get("/endpoints").headers["content-security-policy"]


def test_a_portal_ends_with_its_token(served: ServedGateway, shops: Shops) -> None:
    def opened() -> Portal:
        body = {"readOnly": True}
        link = served.http.post(f"/auth/app-portal-access/{shops.own}", json=body).json()
        visitor = Portal(served, shops.own, link["token"])
        assert visitor.get("/endpoints").status_code == 200
        return visitor

    visitor, second = opened(), opened()
    assert f'href="{visitor.root}/endpoints/new"' not in visitor.get("/endpoints").text
    left = visitor.post("/leave")
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert visitor.get("/endpoints").status_code == 401
    assert second.get("/endpoints").status_code == 200
    assert served.http.post(f"/auth/app/{shops.own}/expire-all").status_code == 204
    assert second.get("/endpoints").status_code == 401


def test_a_hidden_event_type_is_on_no_page(served: ServedGateway, shops: Shops) -> None:
    name = "order.secret_kind"
    hidden = {"name": name, "description": "x", "featureFlags": ["beta"]}
    assert served.http.post("/event-type", json=hidden).status_code == 201
    blind = Portal(served, shops.own, token_of(served, shops.own, *Capability))
    seeing = Portal(
        served, shops.own, token_of(served, shops.own, *Capability, feature_flags=("beta",))
    )
    for path in (
        "/event-types",
        "/endpoints/new",
        "/filter/suggestions?list=message&add=type:order.secret",
    ):
        assert name not in blind.get(path).text, path
        assert name in seeing.get(path).text, path
    assert blind.get(f"/event-types/{name}").status_code == 404
    form = {"url": served.receiver.url(), "which": "some", "eventTypes": name}
    assert blind.post("/endpoints/new", form).status_code == 422
    assert seeing.post("/endpoints/new", form).status_code == 303


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    settings = {"trusted_proxies": ["127.0.0.0/8"], "portal_frame_origins": [SHOP]}
    with ServedGateway(tmp_path_factory.mktemp("framed"), **settings) as served:
        yield served


def test_a_cookie_in_a_frame_is_partitioned_where_browsers_keep_such_a_one(
    framed: ServedGateway,
) -> None:
    app_id = framed.http.post("/app", json={"name": "shop"}).json()["id"]
    token = token_of(framed, app_id)
    partitioned = "HttpOnly; Secure; SameSite=None; Partitioned"
    flags = {
        ("hooks.example", "https"): ("__Secure-tillbell-portal", partitioned),
        ("127.0.0.1", "http"): ("__Secure-tillbell-portal", partitioned),
        ("hooks.example", "http"): ("tillbell-portal", "HttpOnly; SameSite=Lax"),
    }
    with framed.client(None) as http:
        for (host, scheme), (name, ending) in flags.items():
            headers = {"origin": f"{scheme}://{host}", "host": host, "x-forwarded-proto": scheme}
            url = f"{framed.url}/portal/session"
            opened = http.post(url, data={"token": token}, headers=headers)
            begin, _, rest = opened.headers["set-cookie"].partition("=")
            assert begin == name
            assert rest.endswith(ending), rest
        entered = http.get(f"{framed.url}/portal", headers={"accept": "text/html"})
        assert f"frame-ancestors {SHOP};" in entered.headers["content-security-policy"]
        home = http.get(f"{framed.url}/login", headers={"accept": "text/html"})
        assert "frame-ancestors 'none'" in home.headers["content-security-policy"]
