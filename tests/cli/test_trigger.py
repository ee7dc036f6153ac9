"""`tillbell trigger` against a gateway that runs: every case of every provider is accepted."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cases import each
from tests.cli.conftest import Served, environment, tillbell
from tests.cli.test_serve import key_in
from tests.patience import PATIENCE_S
from tests.providers.pinned import pinned
from tests.providers.test_every_provider import secret_of
from tests.web.served_gateway import ServedGateway
from tillbell.cli import run
from tillbell.cli.client import ApiClient
from tillbell.cli.curl import as_curl
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Incoming
from tillbell.testing import Receiver
from tillbell.testing.behaviours import flaky
from tillbell.testing.simulator import listed
from tillbell.vault import Secret

PUBLIC = "https://hooks.example"
SECRET = "trigger-suite-secret-0123456789"
CASES = dict(listed())


# ── a gateway ────────────────────────────────────────────────────────────────────────────────────


class TriggerTarget:
    """An application, and sources that are made when a case needs one."""

    def __init__(self, site: ServedGateway) -> None:
        self.site = site
        self.path = f"/app/{site.http.post('/app', json={'name': 'shop'}).json()['id']}"
        self._sources: dict[str, str] = {}
        self._folder = site.folder

    def source_for(self, name: str) -> str:
        """Return the path of a source with the settings under which the case is so."""
        provider = PROVIDERS[name.partition(":")[0]]
        config = {**CASES[name].config, **pinned(provider.name)}
        key = json.dumps([provider.name, config], default=str)
        if key not in self._sources:
            body = {"name": "till", "provider": provider.name, "config": config}
            body["secrets"] = list(secret_of(provider))
            made = self.site.http.post(f"{self.path}/source", json=body)
            assert made.status_code == 201, (name, made.text)
            self._sources[key] = made.json()["path"]
        return self._sources[key]

    def arguments(self, name: str) -> list[str]:
        """Return a command line that triggers the case; secrets are in files."""
        path = self.source_for(name)
        given = ["trigger", name, "--to", self.site.url + path, "--signed-url", PUBLIC + path]
        if secret := secret_of(PROVIDERS[name.partition(":")[0]]):
            given += ["--secret", self._file("secret", secret[0])]
        for setting, text in pinned(name.partition(":")[0]).items():
            given += ["--setting", f"{setting}={self._file(setting, text)}"]
        return given

    def _file(self, name: str, text: str) -> str:
        (self._folder / name).write_text(text + "\n")
        return f"@{self._folder / name}"

    def log(self) -> list[dict[str, Any]]:
        self.site.do(self.site.gateway.processor.wait_idle())
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.site.http.get(f"{self.path}/callback?limit=250{after}").json()
            found += page["data"]
            if page["done"]:
                return found
            after = f"&iterator={page['iterator']}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TriggerTarget]:
    with ServedGateway(tmp_path_factory.mktemp("site"), public_url=PUBLIC) as site:
        yield TriggerTarget(site)


@pytest.mark.slow
def test_every_case_of_every_provider_is_accepted(
    shop: TriggerTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_accepted(shop, list(CASES), capsys)


def test_a_case_of_every_provider_is_accepted(
    shop: TriggerTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {name.partition(":")[0]: name for name in reversed(CASES)}
    assert set(first) == set(PROVIDERS)
    assert_accepted(shop, list(first.values()), capsys)


def assert_accepted(
    shop: TriggerTarget, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(shop.log())
    codes = {name: run(shop.arguments(name)) for name in names}
    assert {name: code for name, code in codes.items() if code} == {}, capsys.readouterr().out
    log = shop.log()
    log = log[: len(log) - before]
    assert len(log) == len(names)
    assert {one["verdict"] for one in log} == {"accepted"}
    bad = {None, "malformed", "unauthenticated"}
    assert [one for one in log if one["outcome"] in bad] == []


def test_what_is_sent_twice_counts_once(
    shop: TriggerTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(shop.log())
    assert run([*shop.arguments("github:push"), "--times", "3"]) == 0
    assert capsys.readouterr().out.splitlines().count("200") == 3
    log = shop.log()
    assert [o["outcome"] == "duplicate" for o in log[: len(log) - before]] == [True, True, False]


def test_the_same_is_a_repeat_and_the_next_is_not(shop: TriggerTarget) -> None:
    for more, repeats in ((["--same"], [True, False]), ([], [False, False])):
        before = len(shop.log())
        for _ in range(2):
            assert run([*shop.arguments("github:release"), *more]) == 0
        log = shop.log()
        assert [o["outcome"] == "duplicate" for o in log[: len(log) - before]] == repeats


def test_a_refused_callback_is_exit_code_1(
    shop: TriggerTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    given = shop.arguments("stripe:approved")
    given[given.index("--secret") + 1] = "whsec_another-secret-0123456789"
    assert run(given) == 1
    shown = capsys.readouterr()
    assert "401" in shown.out.splitlines()
    assert "another-secret" not in shown.out + shown.err


# ── the command, as a user runs it ───────────────────────────────────────────────────────────────


def default_source(running: Served, provider: str) -> ApiClient:
    """Make the default source of a provider, in an application of its name."""
    api = ApiClient(f"http://127.0.0.1:{running.port}", Secret(key_in(running.said)))
    api.call("POST", "/app", {"name": "TriggerTarget", "uid": provider})
    made = {"name": "x", "provider": provider, "secrets": [SECRET], "default": True}
    api.call("POST", f"/app/{provider}/source", made)
    return api


def test_without_an_address_it_goes_to_the_gateway_of_the_settings(running: Served) -> None:
    known = {"TILLBELL_PORT": running.port, "TILLBELL_TRIGGER_SECRET": SECRET}
    absent = tillbell("trigger", "github:push", **known)
    assert absent.returncode == 1
    assert '"default": true' in absent.stdout
    default_source(running, "github")
    sent = tillbell("trigger", "github:push", **known)
    assert sent.returncode == 0
    url = f"http://127.0.0.1:{running.port}/api/webhooks/github"
    assert sent.stdout.startswith(f"POST {url}  (the default source of this provider")
    assert "200" in sent.stdout.splitlines()
    assert SECRET not in sent.stdout + sent.stderr


def test_a_dry_run_can_be_pasted(running: Served) -> None:
    api = default_source(running, "mozarto")
    known = {"TILLBELL_PORT": running.port, "TILLBELL_TRIGGER_SECRET": SECRET}
    changes = ("--override", 'message=it\'s $HOME `x` "q" é', "--dry-run")
    shown = tillbell("trigger", "mozarto:approved", *changes, **known, PYTHONUTF8="1")
    assert shown.returncode == 0
    assert SECRET not in shown.stdout
    pasted = subprocess.run(
        ["sh", "-c", shown.stdout],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        env=environment(TILLBELL_TRIGGER_SECRET=SECRET),
    )
    assert pasted.stdout.startswith("HTTP/1.1 200")
    (callback,) = api.call("GET", "/app/mozarto/callback")["data"]
    assert (callback["verdict"], callback["trust"]) == ("accepted", "secret")
    request = api.call("GET", f"/app/mozarto/callback/{callback['id']}")["request"]
    assert json.loads(request["body"])["message"] == 'it\'s $HOME `x` "q" é'


@each(
    ("arguments", "said"),
    [
        (("strip:approved",), "did you mean stripe"),
        (("stripe:aproved",), "did you mean approved?"),
        ((), "--list shows all"),
        (("strip", "--list"), "--list` shows all"),
        (("stripe:approved",), "none is given"),
        (("github:push", "--secret", "@/no/such/file"), "cannot read /no/such/file"),
        (("github:push", "--secret", SECRET, "--to", "ftp://x"), "not an http"),
        (("github:push", "--secret", SECRET, "--to", "http://x:99999"), "not an address"),
        (("github:push", "--secret", SECRET, "--override", "a.b=1"), "no member 'a'"),
        (("github:push", "--secret", SECRET, "--setting", "a"), "not a setting"),
        (("github:push", "--secret", SECRET, "--times", "0"), "must be 1 or more"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["trigger", *arguments]) == 2
    shown = capsys.readouterr()
    assert said in " ".join((shown.out + shown.err).split())
    assert SECRET not in shown.out + shown.err


def test_the_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trigger", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)
    assert all(CASES[line.split()[0]].about in line for line in lines)
    assert run(["trigger", "stripe", "--list"]) == 0
    assert all(line.startswith("stripe:") for line in capsys.readouterr().out.splitlines())


async def test_the_answer_is_shown_and_decides(capsys: pytest.CaptureFixture[str]) -> None:
    async with Receiver(flaky(302, 503)) as receiver:
        given = ["trigger", "forumpay:changed", "--to", receiver.url("/x")]
        assert await asyncio.to_thread(run, given) == 0
        assert capsys.readouterr().out.splitlines()[1:] == ["302", "ok"]
        assert await asyncio.to_thread(run, given) == 1
        assert len(receiver.requests) == 2


# ── the secret ───────────────────────────────────────────────────────────────────────────────────


def test_a_secret_that_is_sent_in_another_spelling_is_not_shown() -> None:
    secret = 'a b"ü'
    headers = (("x", f"<{secret}>"), ("y", ""))
    body = "".join(json.dumps([secret], ensure_ascii=one) for one in (True, False)).encode()
    request = Incoming("PUT", "/p?cc=a+b%22%C3%BC&d=a%20b%22%C3%BC", headers, body, 0)
    shown = as_curl(request._replace(origin="http://h"), secret)
    assert shown.splitlines() == [
        "curl -gi -X PUT 'http://h/p?cc=***&d=***' \\",
        "  -H 'x: <'\"$TILLBELL_TRIGGER_SECRET\"'>' \\",
        "  -H 'y;' \\",
        "  -H 'content-type:' \\",
        '  --data-raw \'["***"]["***"]\'',
    ]
