"""Nobody of one application reaches a thing of another: every operation, id, page and act.

The tour of the API makes one thing of each kind. Before each of its requests, strangers send the
same request: to the foreign application, and to their own with the foreign ids in it.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tests.web.test_roles import signed_in_as
from tests.web.tour import BASE, Tour, visit_all
from tillbell.vault import form_token
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.auth import Capability, Tenant
from tillbell.web.pages.site import PAGES

ID = re.compile(r"\b[a-z]+_0[0-9a-z]{25,}\b")
FOREIGN = re.compile(r"/app/(shop|shop-2)(?=/|$)")
OF_ALL = {"authentication.logout", "live.stream"}  # it ends the token; it does not end
# A provider is everybody's; a product has a webhook of its own or that of all, known here or not.
# An upsert makes a thing of its own, by the same name. An erasure may be of somebody without a
# record here, whose addresses are given.
ANY_NAME = ("provider.", "product-webhook.", "customer.erase")
# What the page of an act names in its path, and the ids that begin so.
PREFIXES = {
    "msg": "msg",
    "endpoint": "ep",
    "callback": "cbk",
    "conflict": "cfl",
    "trx": "trx",
    "source": "src",
    "task": "qtask",
    "key": "key",
    "person": "per",
    "inbox": "inb",
    "entry": "aud",
    "delivery": "dlv",
    "attempt": "atmpt",
    "order": "ord",
    "product": "prd",
    "customer": "cus",
    "subscription": "sub",
    "shipment": "shp",
}


class WatchedTour(Tour):
    """A tour in whose steps strangers try to tread."""

    def __init__(self, served: ServedGateway) -> None:
        super().__init__(served)
        self.own = str(served.http.post("/app", json={"name": "Own"}).json()["id"])
        scopes = ("write", "key:admin", "person:admin")
        texts = {
            "key": served.make_key(*scopes, app_id=self.own),
            "portal": served.make_key(app_id=self.own, capabilities=tuple(Capability)),
        }
        self.strangers = {kind: served.client(text) for kind, text in texts.items()}
        self.ids: set[str] = set()  # of foreign things
        history = served.http.get(f"/app/{self.own}/audit").text  # who has made it, with which key
        self.own_ids: set[str] = {self.own, *ID.findall(history)}
        self.names: dict[str, str] = {}  # uid or event id → id
        self.refused: set[str] = set()  # operations that refused a foreign id

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        if "http" not in more and not path.startswith("/v1"):
            name, _ = self._operation(method, BASE + path)
            if name not in OF_ALL:
                self._try(name, method, path, json=body, params=more.get("params"))
        shown = super().ask(method, path, body, **more)
        if method != "GET" or FOREIGN.search(path):  # else it lists own things too
            self.ids |= set(ID.findall(str(shown))) - self.own_ids
            self._learn(shown)
        return shown

    def _learn(self, shown: Any) -> None:
        """Note the ids of foreign things by the names that their owner has given them."""
        if isinstance(shown, list):
            for part in shown:
                self._learn(part)
        elif isinstance(shown, dict):
            for name in ("uid", "eventId"):
                if isinstance(shown.get(name), str) and isinstance(shown.get("id"), str):
                    self.names[shown[name]] = shown["id"]
            self._learn(list(shown.values()))

    def _try(self, name: str, method: str, path: str, **sent: Any) -> None:
        app, below = FOREIGN.search(path), FOREIGN.sub("", path)
        is_other = name.endswith(".upsert") or name.startswith(ANY_NAME)
        names = {} if is_other else self.names
        by_id = "/".join(names.get(part, part) for part in below.split("/"))
        asked = set(ID.findall(f"{path} {by_id} {sent}"))
        for kind, stranger in self.strangers.items():
            there = self._request(stranger, method, path, sent)
            self._tells_nothing(name, kind, there, asked)
            if app:
                assert there.status_code in (403, 404), (kind, name, there.text)
            here = self._request(stranger, method, f"/app/{self.own}" * bool(app) + by_id, sent)
            self._tells_nothing(name, kind, here, asked)
            if set(ID.findall(by_id)) & self.ids:
                assert here.status_code in (403, 404), (kind, name, here.status_code, here.text)
                self.refused.add(name)

    def _request(
        self, stranger: httpx.Client, method: str, path: str, sent: dict[str, Any]
    ) -> httpx.Response:
        answer = stranger.request(method, self.served.url + BASE + path, **sent)
        assert answer.status_code < 500, answer.text
        return answer

    def _tells_nothing(self, name: str, kind: str, answer: httpx.Response, asked: set[str]) -> None:
        told = set(ID.findall(answer.text))
        leaked = (told & self.ids) - asked
        assert not leaked, (kind, name, leaked, answer.text)
        self.own_ids |= told - self.ids

    def close(self) -> None:
        for stranger in self.strangers.values():
            stranger.close()


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ServedGateway(tmp_path_factory.mktemp("tour")) as served:
        made = WatchedTour(served)
        try:
            visit_all(made)
            yield made
        finally:
            made.close()


@pytest.mark.slow
def test_no_operation_reaches_a_thing_of_another_application(tour: WatchedTour) -> None:
    """What was refused while the tour was made; here, that it was everything with an id."""
    with_id = {
        name
        for name, access in ACCESS.items()
        if access.tenant is Tenant.APPLICATION and name in tour.asked
    }
    assert len(with_id) > 80
    assert len(tour.refused) > 60, sorted(tour.refused)
    assert {"person.get", "person.patch", "api-key.get", "api-key.delete"} <= tour.refused


@pytest.mark.slow
def test_no_page_or_act_shows_or_changes_a_thing_of_another_application(
    tour: WatchedTour,
) -> None:
    served, own = tour.served, tour.own
    newest = {id_.partition("_")[0]: id_ for id_ in sorted(tour.ids)}
    ids = {name: newest[prefix] for name, prefix in PREFIXES.items()}
    with signed_in_as(served, "pia@shop.example", "admin", own) as client:
        csrf = form_token(client.cookies["tillbell"])
        for page in PAGES:
            names = set(re.findall(r"\{(\w+)", page.path)) & set(ids)
            if not names:
                continue
            path = re.sub(r"\{(\w+)(:path)?\}", lambda m: ids.get(m[1], "x"), page.path)
            for query in ({}, {"app": own}, {"app": "shop"}):
                shown = _shown_and_sent(client, page.methods, path, query, csrf)
                assert not (set(ID.findall(shown)) & tour.ids) - set(ids.values()), path


def _shown_and_sent(
    client: httpx.Client, methods: tuple[str, ...], path: str, query: dict[str, str], csrf: str
) -> str:
    """Open a page and send its form; both are refused. Return what was shown."""
    shown = ""
    if "GET" in methods:
        answer = client.get(path, params=query)
        assert answer.status_code in (403, 404), (path, query, answer.status_code)
        shown = answer.text
    if "POST" in methods:
        form = {"csrf": csrf, "once": "x" * 20, "reason": "r", "amount": "1.00"}
        origin = {"origin": str(client.base_url).rstrip("/")}
        answer = client.post(path, data=form, params=query, headers=origin)
        assert answer.status_code in (403, 404), (path, query, answer.status_code)
    return shown
