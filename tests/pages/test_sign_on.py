"""Signing in by an identity provider, as browsers and as attackers do it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from playwright.sync_api import Browser, expect

from tests.pages.browser import Visitor
from tests.pages.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.patience import PATIENCE_S
from tests.web.served_gateway import NOWHERE, OWNER, ServedGateway
from tillbell.cli.running import check_way_in
from tillbell.config import load
from tillbell.configure.identity_provider import KEYS_READ_EVERY
from tillbell.configure.people import NewSession
from tillbell.configure.people_admin import EVERYTHING
from tillbell.configure.sign_in_throttle import SignInThrottle
from tillbell.configure.sign_on import SIGN_ON_LIFE
from tillbell.errors import Misconfigured
from tillbell.model.people import Person, Role
from tillbell.testing import ManualClock
from tillbell.vault import Secret, form_token

pytestmark = pytest.mark.sqlite_first
BEGIN, FINISH = "/login/sso", "/login/sso/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, provider: IdentityProvider
) -> Iterator[ServedGateway]:
    """A gateway with an owner, where the claim `groups` gives roles."""
    settings = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_name": "Example ID",
        "oidc_domains": ["shop.example"],
        "oidc_roles": ["hooks-admins=admin", "hooks-money=finance"],
        "oidc_role_claim": "realm.groups",
    }
    with ServedGateway(tmp_path_factory.mktemp("sign-on"), **settings) as served:
        served.session()
        yield served


@pytest.fixture(autouse=True)
def fresh(gateway: ServedGateway, provider: IdentityProvider) -> None:
    """Forget what the test before has said and tried."""
    fresh_throttle(gateway)
    provider.claims, provider.userinfo = {}, {}


class Client:
    """A browser without a screen, which goes to the provider and back."""

    def __init__(self, gateway: ServedGateway, provider: IdentityProvider) -> None:
        nothing_kept = httpx.Limits(max_keepalive_connections=0)  # so there is nothing to close
        self.http = httpx.Client(base_url=gateway.url, timeout=PATIENCE_S, limits=nothing_kept)
        self.provider = provider

    def leave(self, way: str = "") -> dict[str, str]:
        """Go to the provider; return what it sends back."""
        sent = self.http.get(BEGIN, params={"next": way})
        assert sent.status_code == 303
        url = httpx.URL(sent.headers["location"])
        assert str(url).startswith(f"{self.provider.issuer}/authorization_endpoint?")
        return {"code": self.provider.authorize(str(url)), "state": url.params["state"]}

    def come_back(self, query: dict[str, str]) -> httpx.Response:
        return self.http.get(FINISH, params=query, headers={"accept": "text/html"})

    def sign_on(self, way: str = "", **claims: Any) -> httpx.Response:
        self.provider.claims = claims
        return self.come_back(self.leave(way))

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form, with the token of the page's cookie."""
        self.http.get("/account" if self.is_in else "/login")
        cookies = self.http.cookies
        cookie = cookies.get("tillbell") or cookies.get("tillbell-form") or ""
        headers = {"origin": str(self.http.base_url).rstrip("/"), "accept": "text/html"}
        return self.http.post(path, data={"csrf": form_token(cookie), **fields}, headers=headers)

    @property
    def is_in(self) -> bool:
        return self.http.get("/account", headers={"accept": "text/html"}).status_code == 200


def claims_of(name: str, *groups: str, **more: Any) -> dict[str, Any]:
    """Return what the provider says of a person of the shop."""
    claims = {"sub": f"id-{name}", "email": f"{name}@Shop.example", "email_verified": True}
    return claims | {"name": name.title(), "realm": {"groups": list(groups)}} | more


def person_of(gateway: ServedGateway, email: str) -> Person | None:
    return gateway.do(gateway.gateway.database.person_of_email(email))


def audited(gateway: ServedGateway, person_id: str) -> list[dict[str, Any]]:
    rows = gateway.http.get("/audit", params={"limit": 250}).json()["data"]
    return [row for row in rows if row["target"] == person_id]


def test_a_new_person_comes_with_the_role_of_its_group_and_follows_it(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    client = Client(gateway, provider)
    assert "Sign in with <bdi>Example ID</bdi>" in client.http.get("/login").text

    arrived = client.sign_on("/messages?app=x", **claims_of("ana", "hooks-money", "hooks-admins"))

    assert (arrived.status_code, arrived.headers["location"]) == (303, "/messages?app=x")
    assert client.is_in
    ana = person_of(gateway, "ana@shop.example")
    assert ana is not None
    assert (ana.name, ana.role, ana.password_hash) == ("Ana", Role.ADMIN, "")
    assert ana.oidc_id == f"{provider.issuer} id-ana"
    assert [row["action"] for row in audited(gateway, ana.id)] == [
        "person.sign-in",
        "person.create",
    ]
    # The address may change at the provider: the person is known by its id there.
    assert (
        Client(gateway, provider)
        .sign_on(**claims_of("ana", "hooks-money", email="ana.p@shop.example"))
        .headers["location"]
        == "/"
    )
    after = gateway.do(gateway.gateway.database.person(ana.id))
    assert after is not None
    assert (after.email, after.role) == ("ana@shop.example", Role.FINANCE)
    changed = audited(gateway, ana.id)[1]
    assert changed["action"] == "person.sign-on"
    assert changed["changes"] == {"roles": {"before": "admin", "after": "finance"}}
    # Without a group that gives a role there is no way in; a disabled person has none either.
    refused = Client(gateway, provider).sign_on(**claims_of("ana", "others"))
    assert (refused.status_code, "gives you no role" in refused.text) == (422, True)
    gateway.do(gateway.gateway.people_admin.disable(EVERYTHING, after))
    refused = Client(gateway, provider).sign_on(**claims_of("ana", "hooks-money"))
    assert (refused.status_code, "is disabled" in refused.text) == (422, True)
    assert not client.is_in


def test_an_invited_person_comes_by_its_verified_address_once_for_all(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    admin = gateway.gateway.people_admin
    invited = gateway.do(
        admin.invite(EVERYTHING, "bo@shop.example", None, {"app_1": Role.OPERATOR})
    )
    client = Client(gateway, provider)

    assert client.sign_on(**claims_of("bo")).status_code == 303

    bo = person_of(gateway, "bo@shop.example")
    assert bo is not None
    assert (bo.id, bo.role, bo.app_roles) == (invited.person.id, None, {"app_1": Role.OPERATOR})
    assert client.http.get(f"/setup/{invited.token}").status_code == 404  # the link has ended
    # Another account of the provider with the same address does not become this person.
    other = Client(gateway, provider).sign_on(**claims_of("bo", sub="id-eve"))
    assert (other.status_code, "belongs to another account" in other.text) == (422, True)


def test_the_last_owner_stays_one_and_its_second_factor_is_asked_for(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    client = Client(gateway, provider)
    assert client.sign_on(**claims_of("owner", "hooks-money")).status_code == 303
    owner = person_of(gateway, OWNER.email)
    assert owner is not None
    assert (owner.role, owner.oidc_id) == (Role.OWNER, f"{provider.issuer} id-owner")
    store, vault = gateway.gateway.database, gateway.gateway.vault
    sealed = vault.seal("GEZDGNBVGY3TQOJQ", owner.id)
    now = gateway.gateway.clock.now()
    gateway.do(store.change_person(owner, owner._replace(totp_secret=sealed), now, []))

    asked = Client(gateway, provider).sign_on(**claims_of("owner", "hooks-money"))

    assert (asked.status_code, "Enter your code" in asked.text) == (200, True)
    stored = person_of(gateway, OWNER.email)
    assert stored is not None
    gateway.do(store.change_person(stored, stored._replace(totp_secret=""), now, []))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another nonce": ({"nonce": "x"}, "does not prove"),
    "no nonce": ({"nonce": None}, "does not prove"),
    "another audience": ({"aud": "other"}, "does not prove"),
    "several audiences": ({"aud": [CLIENT, "other"]}, "does not prove"),
    "another issuer": ({"iss": "https://id.example"}, "does not prove"),
    "expired": ({"exp": int(time.time()) - 120}, "does not prove"),
    "of tomorrow": ({"iat": int(time.time()) + 86_400}, "does not prove"),
    "never ends": ({"exp": None}, "does not prove"),
    "about nobody": ({"sub": None}, "does not prove"),
    "of an access token": ({"at_hash": "AAAA"}, "does not prove"),
    "unverified address": ({"email_verified": False}, "is verified"),
    "verified by a word": ({"email_verified": "no"}, "is verified"),
    "no address": ({"email": None}, "is verified"),
    "no real address": ({"email": "a@b@shop.example"}, "no usable"),
    "of another domain": ({"email": "eve@evil.example"}, "evil.example may not"),
    "of a longer domain": ({"email": "eve@evilshop.example"}, "may not"),
    "not invited": ({"realm": {"groups": ["others"]}}, "is not invited"),
}


def test_what_a_token_does_not_prove_lets_nobody_in(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    for name, (wrong, reason) in WRONG.items():
        fresh_throttle(gateway)
        client = Client(gateway, provider)
        refused = client.sign_on(**(claims_of("eve", "hooks-admins") | wrong))
        assert (refused.status_code, reason in refused.text) == (422, True), name
        assert not client.is_in, name
        assert client.http.cookies.get("tillbell-sign-on") is None, name
    assert person_of(gateway, "eve@shop.example") is None
    failed = gateway.http.get("/audit", params={"limit": 1}).json()["data"][0]
    assert failed["action"] == "person.sign-in-failed"
    assert "is not invited" in failed["changes"]["reason"]["after"]


def fresh_throttle(gateway: ServedGateway) -> None:
    sign_ons = gateway.gateway.sign_ons
    assert sign_ons is not None
    sign_ons._throttle = SignInThrottle(gateway.gateway.clock)


def test_a_way_back_counts_once_in_the_browser_that_went(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    provider.claims = claims_of("cy", "hooks-money")
    client, other = Client(gateway, provider), Client(gateway, provider)
    back = client.leave()
    others = other.leave()
    for query in (others, {**back, "state": ""}, {**back, "state": others["state"]}, {}):
        refused = Client(gateway, provider).come_back(query)
        assert (refused.status_code, "not begun in this browser" in refused.text) == (422, True)
    crossed = other.come_back(back)  # the other has a cookie too, of another state
    assert (crossed.status_code, other.is_in) == (422, False)
    cookies = dict(client.http.cookies)
    planted = client.http.cookies.get("tillbell")

    assert client.come_back(back).status_code == 303
    assert client.is_in
    assert client.http.cookies.get("tillbell") not in (None, planted)
    # Who has kept the cookie, and a code that the provider takes again, comes too late.
    replay = Client(gateway, provider)
    cookie = cookies["tillbell-sign-on"]
    replay.http.cookies.set("tillbell-sign-on", cookie, "127.0.0.1")
    spent = replay.come_back(back)
    assert (spent.status_code, "did not answer" in spent.text) == (422, True)
    provider.codes[back["code"]] = provider.begun[back["code"]]
    replay.http.cookies.set("tillbell-sign-on", cookie, "127.0.0.1")
    replayed = replay.come_back(back)
    assert (replayed.status_code, "used already" in replayed.text) == (422, True)
    assert not replay.is_in


def test_a_way_back_ends_and_too_many_refusals_wait(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    sign_ons = gateway.gateway.sign_ons
    assert sign_ons is not None
    clock = ManualClock(gateway.gateway.clock.now())
    before, sign_ons._clock = sign_ons._clock, clock
    try:
        client = Client(gateway, provider)
        back = client.leave()
        clock.advance(SIGN_ON_LIFE // 1_000_000)
        assert "took too long" in client.come_back(back).text
    finally:
        sign_ons._clock = before
    answers = [Client(gateway, provider).sign_on(**claims_of("eve", "others")) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


def test_keys_are_read_again_and_the_address_may_come_from_elsewhere(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    assert Client(gateway, provider).sign_on(**claims_of("di", "hooks-money")).status_code == 303
    old = provider.key
    provider.key = ECKey.generate_key("P-256", parameters={"kid": "k2", "use": "sig"})
    sign_ons = gateway.gateway.sign_ons
    assert sign_ons is not None
    try:
        unknown = Client(gateway, provider).sign_on(**claims_of("di", "hooks-money"))
        assert (unknown.status_code, "does not show" in unknown.text) == (422, True)
        provider.shown_key = provider.key
        sign_ons._provider._keys_read_at -= KEYS_READ_EVERY
        assert (
            Client(gateway, provider).sign_on(**claims_of("di", "hooks-money")).status_code == 303
        )
        # A thin token: the address is asked for, of the same subject alone.
        thin = dict.fromkeys(("email", "email_verified", "name"))
        for subject, status in (("id-ed", 303), ("id-di", 422)):
            provider.userinfo = claims_of("ed") | {"sub": subject}
            arrived = Client(gateway, provider).sign_on(**(claims_of("ed", "hooks-money") | thin))
            assert arrived.status_code == status
    finally:
        provider.key = provider.shown_key = old
        sign_ons._provider._keys = None


def test_what_comes_back_is_not_believed_as_text(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    client = Client(gateway, provider)
    refused = client.come_back({"error": "access_denied", "error_description": "Call 555"})
    assert (refused.status_code, "access_denied" in refused.text) == (422, True)
    assert "555" not in refused.text
    assert "did not let you in: unknown." in client.come_back({"error": "Call 555"}).text
    elsewhere = client.http.get(BEGIN, params={"next": "//evil.example"})
    provider.claims = claims_of("fay", "hooks-money")
    url = httpx.URL(elsewhere.headers["location"])
    back = {"code": provider.authorize(str(url)), "state": url.params["state"]}
    assert client.come_back(back).headers["location"] == "/"
    cookie = next(c for c in elsewhere.headers.get_list("set-cookie") if "sign-on" in c).lower()
    assert ("httponly" in cookie, "samesite=lax" in cookie) == (True, True)


def test_a_provider_that_is_away_or_another_is_said_and_without_one_there_is_no_way(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    sign_ons = gateway.gateway.sign_ons
    assert sign_ons is not None
    issuer, provider.issuer = provider.issuer, "https://other.example"
    sign_ons._provider._provider = None
    try:
        shown = httpx.get(f"{gateway.url}{BEGIN}", timeout=PATIENCE_S)
        assert (shown.status_code, "provider_failed" in shown.text) == (503, True)
        assert "other.example" not in shown.text
    finally:
        provider.issuer = issuer
    gateway.gateway.sign_ons = None
    try:
        for path in (BEGIN, FINISH):
            answer = httpx.get(f"{gateway.url}{path}", headers={"accept": "text/html"})
            assert answer.status_code == 404
        assert "Sign in with" not in httpx.get(f"{gateway.url}/login").text
    finally:
        gateway.gateway.sign_ons = sign_ons


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("oidc_issuer", "http://id.example"),
        ("oidc_client_id", ""),
        ("oidc_scopes", "email"),
        ("oidc_roles", "viewer"),
        ("oidc_roles", "a=chief"),
        ("oidc_roles", "*=owner"),
        ("oidc_role_claim", ""),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: str) -> None:
    right: dict[str, object] = {
        "data_dir": "/nowhere",
        "oidc_issuer": "https://id.example",
        "oidc_client_id": "tillbell",
        "oidc_client_secret": Secret("x"),
        "oidc_roles": "a=viewer",
        "oidc_role_claim": "groups",
    }
    assert load(right, {}).settings.oidc_roles == ("a=viewer",)
    with pytest.raises(Misconfigured, match=f"^{setting}"):
        load({**right, setting: value}, {})


def test_a_person_unlinks_its_identity_if_there_is_another_way_in(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    client, people = Client(gateway, provider), gateway.gateway.people
    assert client.sign_on(**claims_of("hal", "hooks-admins")).status_code == 303
    hal = person_of(gateway, "hal@shop.example")
    assert hal is not None
    shown = client.http.get("/account").text
    assert "Ask an admin for a link to choose a password first" in shown
    assert "/account/unlink" not in shown
    only = client.post("/account/unlink", password="x")
    assert (only.status_code, "It is your only way in" in only.text) == (409, True)

    link = gateway.http.post(f"/person/{hal.id}/link").json()["link"]
    chosen = people.choose_password(link.rpartition("/")[2], OWNER.password, NOWHERE)
    session = gateway.do(chosen)
    assert isinstance(session, NewSession)
    client.http.cookies.set("tillbell", session.token, "127.0.0.1")
    wrong = client.post("/account/unlink", password="not this one")
    assert (wrong.status_code, "not your password" in wrong.text) == (422, True)
    assert client.post("/account/unlink", password=OWNER.password).status_code == 303
    assert client.is_in
    unlinked = person_of(gateway, "hal@shop.example")
    assert unlinked is not None
    assert unlinked.oidc_id == ""
    assert audited(gateway, hal.id)[0]["action"] == "person.unlink-identity"
    ended = Client(gateway, provider)
    ended.http.cookies.set("tillbell", session.token, "127.0.0.1")
    assert not ended.is_in
    # The provider's word for the same address links it again; an admin may unlink it too.
    assert Client(gateway, provider).sign_on(**claims_of("hal", "hooks-money")).status_code == 303
    path = f"/person/{hal.id}/unlink-identity"
    assert gateway.http.post(path).json()["identity"] is None
    assert gateway.http.post(path).json()["code"] == "no_identity"


def test_without_passwords_the_provider_and_a_recovery_link_let_in(
    gateway: ServedGateway, provider: IdentityProvider
) -> None:
    people, admin = gateway.gateway.people, gateway.gateway.people_admin
    owner = person_of(gateway, OWNER.email)
    assert owner is not None
    invited = gateway.do(admin.invite(EVERYTHING, "ivy@shop.example", Role.VIEWER, {}))
    old_link = gateway.do(admin.new_link(EVERYTHING, owner)).token
    people.allows_passwords = admin.allows_passwords = False
    try:
        client = Client(gateway, provider)
        page = client.http.get("/login").text
        assert ('name="password"' in page, "tillbell people recovery-link" in page) == (False, True)
        refused = client.post("/login", email=OWNER.email, password=OWNER.password)
        assert (refused.status_code, "is switched off here" in refused.text) == (403, True)
        for token in (invited.token, old_link):
            shown = client.http.get(f"/setup/{token}").text
            assert ('name="password"' in shown, "/login/sso" in shown) == (False, True)
            answer = client.post(f"/setup/{token}", password=OWNER.password, again=OWNER.password)
            assert (answer.status_code, client.is_in) == (403, False)
        assert gateway.http.post(f"/person/{owner.id}/link").json()["code"] == "passwords_off"
        assert client.sign_on(**claims_of("ivy", "hooks-money")).status_code == 303
        assert "Nobody signs in with a password here" in client.http.get("/account").text
        answer = client.post("/account/password", old=OWNER.password, new="x", again="x")
        assert answer.status_code == 403

        way_back, link = Client(gateway, provider), gateway.do(admin.recovery_link(owner)).token
        assert "Sign in once" in way_back.http.get(f"/setup/{link}").text
        assert way_back.post(f"/setup/{link}").status_code == 303
        assert way_back.is_in
        assert audited(gateway, owner.id)[0]["changes"]["by"]["after"] == "recovery link"
        assert Client(gateway, provider).http.get(f"/setup/{link}").status_code == 404
    finally:
        people.allows_passwords = admin.allows_passwords = True


def test_passwords_are_not_switched_off_if_that_would_lock_everybody_out(
    gateway: ServedGateway,
) -> None:
    without: dict[str, object] = {"data_dir": "/nowhere", "password_sign_in": False}
    with pytest.raises(
        Misconfigured, match=r"^password_sign_in: is false, but without oidc_issuer"
    ):
        load(without, {})
    people, sign_ons = gateway.gateway.people, gateway.gateway.sign_ons
    assert sign_ons is not None
    gateway.do(check_way_in(gateway.gateway))
    people.allows_passwords = False
    try:
        gateway.do(check_way_in(gateway.gateway))
        rules = sign_ons._rules
        sign_ons._rules = rules._replace(domains=("elsewhere.example",))
        owner = person_of(gateway, OWNER.email)
        assert owner is not None
        store, now = gateway.gateway.database, gateway.gateway.clock.now()
        linked = owner._replace(oidc_id="https://old.example 1")
        gateway.do(store.change_person(owner, linked, now, []))
        with pytest.raises(Misconfigured, match="no owner could sign in by the identity provider"):
            gateway.do(check_way_in(gateway.gateway))
        sign_ons._rules = rules._replace(roles={"chiefs": Role.OWNER})
        gateway.do(check_way_in(gateway.gateway))
        gateway.do(store.change_person(linked._replace(version=owner.version + 1), owner, now, []))
        sign_ons._rules = rules
    finally:
        people.allows_passwords = True


def test_a_person_signs_in_with_a_click(
    gateway: ServedGateway, provider: IdentityProvider, browser: Browser
) -> None:
    provider.claims = claims_of("gia", "hooks-money")
    visitor = Visitor(browser, gateway.url, "")
    visitor.context.route(
        f"{provider.issuer}/authorization_endpoint**",
        lambda route: route.fulfill(
            status=303,
            headers={
                "location": f"{gateway.url}{FINISH}?code={provider.authorize(route.request.url)}"
                f"&state={httpx.URL(route.request.url).params['state']}"
            },
        ),
    )
    page = visitor.open("/endpoints")
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.wait_for_url(f"{gateway.url}/endpoints")
    expect(page.get_by_label("account of Gia")).to_be_visible()
    visitor.close()
