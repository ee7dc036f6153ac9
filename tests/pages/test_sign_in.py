"""Signing in and out by the pages, as browsers and as strangers do it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.pages.browser import NARROW, WIDE, Visitor
from tests.patience import PATIENCE_S
from tests.web.served_gateway import OWNER, ServedGateway
from tillbell.configure.passwords import HashCost, Passwords
from tillbell.configure.people import IDLE_LIFE, LINK_LIFE, People
from tillbell.configure.people_admin import EVERYTHING, PeopleAdmin
from tillbell.configure.second_factor import SecondFactors
from tillbell.rules.totp import code_of, secret_of, secret_text
from tillbell.testing import ManualClock
from tillbell.vault import form_token, form_token_fits
from tillbell.web.pages.site import PAGES, PUBLIC_PAGES

pytestmark = pytest.mark.sqlite_first
PASSWORD = OWNER.password
SECOND = 1_000_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    """A gateway whose people have a clock of their own, and their owner."""
    settings = {"trusted_proxies": ["127.0.0.0/8"], "public_url": "https://hooks.shop.example"}
    with ServedGateway(tmp_path_factory.mktemp("people"), **settings) as served:
        served.session()
        yield served


@pytest.fixture
def clock(gateway: ServedGateway) -> ManualClock:
    """The clock of people, who are forgotten by the throttle of the test before."""
    clock = ManualClock(gateway.gateway.clock.now())
    served = gateway.gateway
    served.people = People(served.database, clock, served.ids, Passwords(HashCost(1, 8)))
    return clock


def password_link(gateway: ServedGateway, clock: ManualClock | None = None) -> str:
    """Return the token of a link for the owner to choose a new password."""
    served = gateway.gateway
    admin = PeopleAdmin(served.database, clock or served.clock, served.ids)
    person = gateway.do(admin.person_of_email(OWNER.email))
    return gateway.do(admin.new_link(EVERYTHING, person)).token


def sign_out(gateway: ServedGateway) -> None:
    """End all sessions of the owner."""
    admin = gateway.gateway.people_admin
    person = gateway.do(admin.person_of_email(OWNER.email))
    gateway.do(admin.sign_out_everywhere(EVERYTHING, person))


class Client:
    """A browser without a screen: cookies, forms with their token, and no redirects."""

    def __init__(self, gateway: ServedGateway, token: str = "") -> None:
        nothing_kept = httpx.Limits(max_keepalive_connections=0)  # so there is nothing to close
        self.http = httpx.Client(base_url=gateway.url, timeout=PATIENCE_S, limits=nothing_kept)
        if token:
            self.http.cookies.set("tillbell", token, "127.0.0.1")

    @property
    def cookie(self) -> str:
        return self.http.cookies.get("tillbell") or ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers={"accept": "text/html", **headers})

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        sent = {"origin": str(self.http.base_url).rstrip("/"), **headers}
        return self.http.post(path, data=form, headers={k: v for k, v in sent.items() if v})

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Open a form, fill it in and send it."""
        csrf = re.search(r'name="csrf" value="(\w+)"', self.get(path).text)
        assert csrf
        return self.post(path, {"csrf": csrf[1], **fields})

    def csrf(self, path: str) -> dict[str, str]:
        """Return the token of the forms of a page."""
        token = re.search(r'name="csrf" value="(\w+)"', self.get(path).text)
        assert token
        return {"csrf": token[1]}

    def login(
        self, password: str = PASSWORD, email: str = OWNER.email, way: str = ""
    ) -> httpx.Response:
        return self.send("/login", email=email, password=password, next=way)


# ── who may see what ─────────────────────────────────────────────────────────────────────────────


def test_every_page_but_those_to_sign_in_needs_a_session(gateway: ServedGateway) -> None:
    stranger = Client(gateway)
    token = gateway.session()
    revoked = Client(gateway, token)
    assert revoked.get("/messages").status_code == 200
    sign_out(gateway)

    paths = [re.sub(r"\{\w+(:path)?\}", "x", page.path) for page in PAGES if "GET" in page.methods]
    assert "/messages" in paths
    for path in paths:
        for client in (stranger, revoked):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (
                303,
                "/login",
            ), path
    by_key = stranger.http.get(
        "/messages", headers={"accept": "text/html", "authorization": f"Bearer {gateway.key}"}
    )
    assert by_key.status_code == 303
    public = {page.path for page in PUBLIC_PAGES if not page.path.startswith("/portal")}
    assert public == {
        "/login",
        "/login/code",
        "/login/sso",
        "/login/sso/callback",
        "/setup/{token}",
        "/unsubscribe/{alert}/{token}",
    }


def test_the_api_takes_no_cookie(gateway: ServedGateway) -> None:
    signed_in = Client(gateway, gateway.session())

    assert signed_in.get("/messages").status_code == 200
    assert signed_in.http.get("/api/v1/app").status_code == 401


# ── sign-in ──────────────────────────────────────────────────────────────────────────────────────


def test_a_sign_in_rotates_the_cookie_and_goes_on_to_the_page_that_was_asked_for(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    client = Client(gateway)
    asked = client.get("/messages?app=shop&x=%26")
    assert asked.headers["location"] == "/login?next=%2Fmessages%3Fapp%3Dshop%26x%3D%2526"
    assert 'value="/messages?app=shop&amp;x=%26"' in client.get(asked.headers["location"]).text
    before = client.cookie

    answer = client.login(way="/messages?app=shop")

    assert (answer.status_code, answer.headers["location"]) == (303, "/messages?app=shop")
    assert client.cookie not in ("", before)
    set_cookie = answer.headers["set-cookie"].lower()
    assert "; httponly" in set_cookie
    assert "; samesite=lax" in set_cookie
    assert "; path=/" in set_cookie
    assert "secure" not in set_cookie
    assert client.get("/login").headers["location"] == "/"  # nothing to do there any more


def test_a_planted_cookie_never_becomes_a_session(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    planted = "planted-by-somebody-else"
    victim, attacker = Client(gateway, planted), Client(gateway, planted)

    assert victim.login().status_code == 303

    assert victim.cookie != planted
    assert attacker.get("/messages").status_code == 303
    # And a new sign-in ends the session before it.
    earlier = Client(gateway, victim.cookie)
    assert earlier.get("/messages").status_code == 200
    csrf = form_token(victim.cookie)
    again = {"csrf": csrf, "email": OWNER.email, "password": PASSWORD}
    assert victim.post("/login", again).status_code == 303
    assert earlier.get("/messages").status_code == 303


@pytest.mark.parametrize(
    "way",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/x\\..\\y",
        "javascript:alert(1)",
        "/\t/evil.example",
        "messages",
        "/login",
        "/" + "x" * 3000,
    ],
)
def test_a_sign_in_leads_to_own_pages_only(
    gateway: ServedGateway, clock: ManualClock, way: str
) -> None:
    assert Client(gateway).login(way=way).headers["location"] == "/"
    assert 'name="next" value="/"' in Client(gateway).http.get("/login", params={"next": way}).text


def test_a_wrong_password_says_the_same_as_an_unknown_address_and_then_waits(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    said = {}
    for email in (OWNER.email, "nobody@shop.example"):
        client = Client(gateway)
        answers = [client.login("wrong horse battery", email) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [422] * 5 + [429]
        said[email] = [re.sub(re.escape(email), "", answer.text) for answer in answers]
        said[email] = [re.sub(r'name="csrf" value="\w+"', "", text) for text in said[email]]
        assert answers[-1].headers["retry-after"] == "300"
        assert "try again in 5 minutes" in answers[-1].text
        assert "After 4 more tries we wait 5 minutes" in answers[0].text
        clock.advance(1)

    first, second = said.values()
    assert first[:5] == second[:5]
    assert Client(gateway).login().status_code == 429
    clock.advance(300)
    assert Client(gateway).login().status_code == 303


def test_a_session_that_was_not_used_ends(gateway: ServedGateway, clock: ManualClock) -> None:
    client = Client(gateway)
    client.login()
    clock.advance(IDLE_LIFE / SECOND - 1)
    assert client.get("/messages").status_code == 200
    clock.advance(IDLE_LIFE / SECOND)
    assert client.get("/messages").status_code == 303


def test_signing_out_ends_the_session_and_takes_the_cookie_away(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    client = Client(gateway)
    client.login()
    token = client.cookie
    assert client.get("/logout").status_code == 405

    answer = client.post("/logout", {"csrf": form_token(token)})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.cookie == ""
    assert Client(gateway, token).get("/messages").status_code == 303


def test_a_page_is_compressed_for_who_takes_it_and_its_token_is_another_each_time(
    gateway: ServedGateway,
) -> None:
    client = Client(gateway, gateway.session())
    tokens = set()
    for _ in range(2):
        page = client.get("/messages")
        assert page.headers["content-encoding"] == "gzip"
        assert page.headers["vary"] == "accept-encoding"
        tokens |= set(re.findall(r'name="csrf" value="(\w+)"', page.text))
    assert len(tokens) == 2
    assert all(form_token_fits(token, client.cookie) for token in tokens)
    wrong = ("", "00", "zz", "00" * 64, *(token[::-1] for token in tokens))
    assert not any(form_token_fits(token, client.cookie) for token in wrong)
    assert not any(form_token_fits(token, "another cookie") for token in tokens)

    plain = client.get("/messages", **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(plain.content) > 2 * int(page.headers["content-length"])


# ── foreign forms ────────────────────────────────────────────────────────────────────────────────


def test_a_form_of_another_site_is_refused_and_changes_nothing(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    client = Client(gateway, gateway.session())
    form = {"csrf": form_token(client.cookie)}
    other_csrf = {"csrf": form_token("another cookie")}
    refused: list[tuple[dict[str, str], dict[str, str]]] = [
        (form, {"origin": "https://evil.example"}),
        (form, {"origin": "null"}),
        (form, {"origin": gateway.url.replace("127.0.0.1", "127.0.0.1.evil.example")}),
        (form, {"origin": gateway.url + "1"}),
        (form, {"origin": ""}),
        (form, {"sec-fetch-site": "cross-site"}),
        (form, {"sec-fetch-site": "same-site"}),
        (form, {"origin": "", "sec-fetch-site": "none"}),
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": "ž"}, {}),
        (other_csrf, {}),
        ({}, {"x-csrf-token": other_csrf["csrf"]}),
    ]
    for fields, headers in refused:
        answer = client.post("/logout", fields, **headers)
        assert answer.status_code == 403, (fields, headers)
        assert "Nothing was changed" in answer.text
        assert "TILLBELL_PUBLIC_URL" in answer.text or "Open the page again" in answer.text
    assert client.get("/messages").status_code == 200

    public = {"origin": "https://hooks.shop.example", "sec-fetch-site": "same-origin"}
    assert client.post("/logout", form, **public).status_code == 303


def test_a_form_needs_a_cookie_and_can_be_read(gateway: ServedGateway, clock: ManualClock) -> None:
    form = {"csrf": form_token(""), "email": OWNER.email, "password": PASSWORD}
    assert Client(gateway).post("/login", form).status_code == 403

    client = Client(gateway, "any-cookie")
    headers = {"origin": gateway.url, "x-csrf-token": form_token("any-cookie")}
    for content_type, body, status in (
        ("application/x-www-form-urlencoded", b"email=%FF", 400),
        ("application/x-www-form-urlencoded", b"email=%00", 400),
        ("application/x-www-form-urlencoded", b"email=\xff", 400),
        ("application/x-www-form-urlencoded", b"a=1&" * 501, 400),
        ("text/plain", b"email=a", 415),
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"email=" + b"a" * 200_000, 422),
        ("application/x-www-form-urlencoded", b"email=" + b"a" * 300_000, 413),
    ):
        answer = client.http.post(
            "/login", content=body, headers={**headers, "content-type": content_type}
        )
        assert answer.status_code == status, body[:20]


# ── one-time links ───────────────────────────────────────────────────────────────────────────────


def test_a_link_that_is_gone_says_what_to_do(gateway: ServedGateway, clock: ManualClock) -> None:
    old = password_link(gateway, clock)
    used = password_link(gateway, clock)
    client = Client(gateway)
    assert client.send(f"/setup/{used}", password=PASSWORD, again=PASSWORD).status_code == 303
    fresh = password_link(gateway, clock)
    clock.advance(LINK_LIFE / SECOND)

    for token in (old, used, fresh, "never", "x" * 3000):
        for answer in (
            client.get(f"/setup/{token}"),
            client.post(f"/setup/{token}", {"csrf": form_token(client.cookie)}),
        ):
            assert answer.status_code == 404
            assert "tillbell people reset-password EMAIL" in answer.text


def test_a_new_password_is_chosen_by_a_link(gateway: ServedGateway, clock: ManualClock) -> None:
    before = Client(gateway, gateway.session())
    token = password_link(gateway)
    client = Client(gateway)

    for fields, says in (
        ({"password": "short", "again": "short"}, "Use at least 12 characters"),
        ({"password": "password-2026", "again": "password-2026"}, "a guesser tries"),
        ({"password": PASSWORD, "again": "another"}, "The two passwords differ"),
    ):
        answer = client.send(f"/setup/{token}", **fields)
        assert (answer.status_code, says in answer.text) == (422, True), says
        assert fields["password"] not in answer.text
    answer = client.send(f"/setup/{token}", password=PASSWORD, again=PASSWORD)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/messages").status_code == 200
    assert before.get("/messages").status_code == 303


def test_behind_a_proxy_with_https_the_cookie_is_of_this_host_only(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    for headers in (
        {"x-forwarded-proto": "https", "host": "hooks.shop.example"},
        {"x-forwarded-proto": "http, https", "host": "hooks.shop.example:8443"},
        {"host": "hooks.shop.example"},
    ):
        answer = Client(gateway).get("/login", **headers)
        cookie = answer.headers["set-cookie"]
        assert re.match(r"__Host-tillbell=[\w-]{43};", cookie), headers
        assert "; secure" in cookie.lower()
        assert "domain" not in cookie.lower()
    plain = Client(gateway).get("/login", **{"x-forwarded-proto": "http"})
    assert plain.headers["set-cookie"].startswith("tillbell=")
    # A cookie of the other name does not count.
    session = gateway.session()
    answer = Client(gateway, session).get("/messages", **{"x-forwarded-proto": "https"})
    assert answer.status_code == 303


# ── the first start ──────────────────────────────────────────────────────────────────────────────


def test_of_two_who_use_the_set_up_link_at_the_same_time_one_becomes_owner(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ServedGateway(tmp_path_factory.mktemp("first")) as served:
        links = [f"/setup/{served.do(served.gateway.people.new_setup_link())}" for _ in range(2)]
        clients = [Client(served), Client(served)]
        for client, link in zip(clients, links, strict=True):
            assert client.get(link).status_code == 200

        def make(number: int) -> int:
            client = clients[number]
            form = {"csrf": form_token(client.cookie), "email": f"p{number}@shop.example"}
            form |= {"name": f"P{number}", "password": PASSWORD, "again": PASSWORD}
            return client.post(links[number], form).status_code

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(make, range(2))) == [303, 404]
        assert len(served.do(served.gateway.people.everybody())) == 1


def is_accessible(visitor: Visitor) -> None:
    """Fail if a page breaks a rule of accessibility in a theme."""
    for theme in ("dark", "light"):
        visitor.theme(theme)
        assert visitor.axe() == []


def is_narrow(visitor: Visitor) -> None:
    """Fail if a page is wider than a telephone."""
    visitor.width(NARROW)
    assert visitor.scrolls_sideways() <= 0
    visitor.width(WIDE)


def test_from_the_printed_link_to_home_and_out_again(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    sign_in_and_out(tmp_path_factory, browser, is_narrow)


@pytest.mark.slow
def test_the_pages_to_sign_in_are_accessible(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    sign_in_and_out(tmp_path_factory, browser, is_accessible)


def sign_in_and_out(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser, look_at: Callable[[Visitor], None]
) -> None:
    """Make the account, sign out and in again; look at each page on the way."""
    with ServedGateway(tmp_path_factory.mktemp("journey")) as served:
        link = served.do(served.gateway.people.new_setup_link())
        visitor = Visitor(browser, served.url, "")
        page = visitor.open(f"/setup/{link}")
        page.get_by_label("E-mail").fill("ana@shop.example")
        page.get_by_label("Name").fill("Ana Petrović")
        page.get_by_label("Password", exact=True).fill("password1234")
        page.get_by_label("Password again").fill("password1234")
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_text("a guesser tries")).to_be_visible()
        look_at(visitor)
        page.get_by_label("Password", exact=True).fill("correct horse battery")
        page.get_by_label("Password again").fill("correct horse battery")
        page.get_by_role("button", name="Make the account").click()
        page.wait_for_url(re.compile(f"{served.url}/(first-run)?$"))

        page.get_by_label("account of Ana Petrović").click()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{served.url}/login")
        page.go_back()
        page.wait_for_url(re.compile("/login"))
        page.get_by_label("E-mail").fill("ana@shop.example")
        page.get_by_label("Password").fill("wrong horse battery")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("After 4 more tries")
        look_at(visitor)
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile(f"{served.url}/(first-run)?$"))
        visitor.open(f"/setup/{link}")
        expect(page.get_by_role("heading", name="This link no longer works")).to_be_visible()
        look_at(visitor)
        assert [line for line in visitor.noticed if "404" not in line] == []
        visitor.close()


# ── the own account ──────────────────────────────────────────────────────────────────────────────


class _Factor:
    """The second factor of the owner, as an authenticator app has it."""

    def __init__(self, gateway: ServedGateway, clock: ManualClock, secret: bytes) -> None:
        self.gateway = gateway
        self.clock = clock
        self.secret = secret

    def code(self) -> str:
        """Return the code of this moment."""
        return code_of(self.secret, self.clock.now() // SECOND // 30)

    def step(self) -> tuple[Client, dict[str, str]]:
        """Sign in with the password; return the browser and the form that asks for a code."""
        visitor = Client(self.gateway)
        asked = visitor.login()
        assert asked.status_code == 200
        assert visitor.get("/messages").status_code == 303  # the password alone opens nothing
        return visitor, dict(re.findall(r'name="(csrf|step)" value="([^"]+)"', asked.text))


def test_a_second_factor_is_turned_on_asked_for_and_turned_off(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    served = gateway.gateway
    served.second_factors = SecondFactors(served.database, clock, served.ids, served.vault)
    client = Client(gateway, gateway.session())
    page = client.get("/account/totp").text
    factor = _Factor(gateway, clock, secret_of(page.split('data-copy="')[1].split('"')[0]))
    sealed = page.split('name="secret" value="')[1].split('"')[0]
    form = {**client.csrf("/account/totp"), "secret": sealed}
    wrong = client.post("/account/totp", {**form, "code": "000000"})
    assert wrong.status_code == 422
    assert secret_of(wrong.text.split('data-copy="')[1].split('"')[0]) == factor.secret
    shown = client.post("/account/totp", {**form, "code": factor.code()})
    codes = re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}\b", shown.text)
    assert (shown.status_code, len(codes)) == (200, 10)
    _uses_each_code_once(factor, factor.code(), codes)
    _is_asked_by_a_link_too(factor)
    _is_turned_off(factor)


def test_who_owes_a_second_factor_sets_it_up_before_anything_else(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    served = gateway.gateway
    served.second_factors = SecondFactors(served.database, clock, served.ids, served.vault)
    settings = served.settings
    served.settings = replace(settings, second_factor="admins")
    try:
        client = Client(gateway, gateway.session())
        for path in ("/messages", "/account", "/settings/people", "/settings/keys/new", "/live"):
            asked = client.get(path)
            assert (asked.status_code, asked.headers["location"]) == (303, "/account/totp"), path
        page = client.get("/account/totp").text
        assert ("needs one here" in page, "Leave it as it is" in page) == (True, False)
        form = client.csrf("/account/totp")
        invited = {"email": "eve@shop.example", "role": "owner", "once": "x" * 20}
        act = client.post("/settings/people/invite", {**form, **invited})
        assert (act.status_code, act.headers["location"]) == (303, "/account/totp")
        assert gateway.http.get("/app").status_code == 200  # keys are not asked
        factor = _Factor(gateway, clock, secret_of(page.split('data-copy="')[1].split('"')[0]))
        sealed = page.split('name="secret" value="')[1].split('"')[0]
        form |= {"secret": sealed, "code": factor.code()}
        assert client.post("/account/totp", form).status_code == 200
        assert client.get("/messages").status_code == 200
    finally:
        served.settings = settings
        admin = served.people_admin
        person = gateway.do(admin.person_of_email(OWNER.email))
        gateway.do(admin.reset_totp(EVERYTHING, person))


def _uses_each_code_once(factor: _Factor, used: str, codes: list[str]) -> None:
    visitor, fields = factor.step()
    replayed = visitor.post("/login/code", {**fields, "code": used})
    assert replayed.status_code == 422  # it has turned the factor on already
    factor.clock.advance(30)
    fresh = factor.code()
    assert visitor.post("/login/code", {**fields, "code": fresh}).status_code == 303
    assert visitor.get("/messages").status_code == 200
    again, fields = factor.step()
    assert again.post("/login/code", {**fields, "code": fresh}).status_code == 422
    assert again.post("/login/code", {**fields, "code": codes[0].upper()}).status_code == 303
    third, fields = factor.step()
    assert third.post("/login/code", {**fields, "code": codes[0]}).status_code == 422
    answers = [third.post("/login/code", {**fields, "code": "123456"}) for _ in range(6)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    factor.clock.advance(300)
    gone = third.post("/login/code", {**fields, "code": factor.code()})
    assert (gone.status_code, "took too long" in gone.text) == (422, True)


def _is_asked_by_a_link_too(factor: _Factor) -> None:
    """A link to choose a password does not get past it."""
    choosing = Client(factor.gateway)
    link = f"/setup/{password_link(factor.gateway)}"
    chosen = choosing.send(link, password=PASSWORD, again=PASSWORD)
    assert (chosen.status_code, "Enter your code" in chosen.text) == (200, True)
    assert choosing.get("/messages").status_code == 303


def _is_turned_off(factor: _Factor) -> None:
    owner, fields = factor.step()
    factor.clock.advance(30)
    owner.post("/login/code", {**fields, "code": factor.code()})
    factor.clock.advance(30)
    off = owner.post("/account/totp-off", {**owner.csrf("/account"), "code": factor.code()})
    assert off.status_code == 303
    assert Client(factor.gateway).login().status_code == 303
    written = factor.gateway.http.get("/audit", params={"limit": 250}).text
    assert "person.turn-on-totp" in written
    assert secret_text(factor.secret) not in written


def test_a_person_ends_its_sessions_and_changes_its_password(
    gateway: ServedGateway, clock: ManualClock
) -> None:
    sign_out(gateway)
    one, two, three = (Client(gateway) for _ in range(3))
    for client in (one, two, three):
        assert client.login().status_code == 303
    csrf = one.csrf("/account")
    others = re.findall(r'name="session" value="(\w+)"', one.get("/account").text)
    assert len(others) >= 2
    assert one.post("/account/session", {**csrf, "session": "x"}).status_code == 404
    assert one.post("/account/session", {"session": others[0]}).status_code == 403
    ended = one.post("/account/session", {**csrf, "session": others[0]})
    assert ended.status_code == 303
    assert sorted(client.get("/messages").status_code for client in (two, three)) == [200, 303]

    fields = {"new": "a longer horse battery", "again": "a longer horse battery"}
    refused = one.post("/account/password", {**csrf, **fields, "old": "wrong horse battery"})
    assert (refused.status_code, "not your password" in refused.text) == (422, True)
    before = one.cookie
    assert one.post("/account/password", {**csrf, **fields, "old": PASSWORD}).status_code == 303
    assert one.cookie != before
    assert [client.get("/messages").status_code for client in (one, two, three)] == [200, 303, 303]
    assert Client(gateway, before).get("/messages").status_code == 303
    csrf = one.csrf("/account")
    back = {"new": PASSWORD, "again": PASSWORD, "old": fields["new"]}
    assert one.post("/account/password", {**csrf, **back}).status_code == 303
    everywhere = one.post("/account/sign-out", one.csrf("/account"))
    assert everywhere.headers["location"] == "/login"
    assert one.get("/messages").status_code == 303
