"""Secrets and card numbers planted wherever a provider, an owner or a stranger can put one.

Afterwards the bytes of every file, all that was logged and all that the API answers are
searched. A request is kept as it came, sealed; of a card number six and four digits may show.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.providers.pinned import pinned
from tests.providers.test_every_provider import secret_of
from tests.scale import drawn, soak
from tests.walks.subscribed_shop import SubscribedShop, sent
from tests.web.served_gateway import ServedGateway
from tillbell import logs
from tillbell.model.callbacks import ForwardNotice, Notice, TransactionNotice
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import Incoming, Provider, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.kit.cases import samples

pytestmark = pytest.mark.sqlite_first

PAGES = (
    "callback", "transaction", "conflict", "msg", "shipment", "email", "audit", "suppression",
)  # fmt: skip
TOKEN, SOURCE = "the token of the URL", "the source's page of"
WORDS_MAX = 3  # fields of a provider that a card number is planted in
REFERENCES = ("references", "psp_transaction_id", "psp_reference", "user_id", "reference")
IDENTIFIERS = ("tracking_number", "email_id", "to", "recipient", "event_key")
NAMED = ("id", "number", "reference", "productId", "sessionId", "deviceId", "metadata")


class Planted:
    """One source, and everything that was planted at it."""

    def __init__(self, served: ServedGateway, provider: Provider, number: int) -> None:
        self.served, self.provider, self.number = served, provider, number
        self.shop = SubscribedShop(served)
        self.texts: dict[str, str] = {}  # planted → where
        self._cards = itertools.count(number * 1_000)
        self.secrets = secret_of(provider, self._choices())
        for secret in self.secrets:
            self.texts[secret.removeprefix("whsec_")] = "the signing secret"
        self.sample = max(samples(provider.name).values(), key=lambda one: len(str(one.case)))
        self.config = {**self.sample.config, **self._settings()}
        body = {"name": "planted", "provider": provider.name, "secrets": self.secrets}
        self.source = self.shop.made("source", {**body, "config": self.config})
        self.texts[self.source["token"]] = TOKEN

    def _choices(self) -> tuple[str, ...]:
        text = f"planted-secret-of-source-{self.number:03}".ljust(32, "x")
        encoded = base64.b64encode(text.encode()).decode()
        return (
            text,
            f"whsec_{encoded}",
            text.encode().hex()[:32],
            text.encode().hex(),
            f"planted:{text}",
            f"pdl_ntf_{text}",
            text.encode().hex() * 2,
            f"PLANTEDSECRETOFSOURCE{self.number:03}",
        )

    def _settings(self) -> dict[str, Any]:
        """Return settings that are secret, each planted; where keys are pinned, theirs is real."""
        header = f"planted-look-up-{self.number:03}"
        self.texts[header] = "lookupHeaders"
        own: dict[str, Any] = {"lookupHeaders": {"Authorization": f"Bearer {header}"}}
        posted = f"planted-body-{self.number:03}"
        self.texts[posted] = "lookupBody"
        own["lookupBody"] = {"key": posted}
        if self.provider.name == "kopa":
            self.texts["planted-signature-key"] = "signatureKey"
            own["signatureKey"] = "planted-signature-key"
        if key := pinned(self.provider.name).get("simulatorKey"):
            own |= pinned(self.provider.name)
            self.texts[key.splitlines()[3]] = "simulatorKey"
        return own

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────

    def signed(self, case: SimulationCase) -> Incoming:
        defaults = {s.name: s.default for s in self.provider.settings if s.default is not None}
        setup = SourceSetup(self.secrets, {**defaults, **self.config})
        now = self.served.gateway.clock.now()
        url = self.served.url + self.source["path"]
        return self.provider.sign(case._replace(at=now), setup, url)

    def send(self) -> None:
        """Send it all: as it should be, with secrets in every place, refused and broken."""
        case = self.sample.case
        genuine = self.signed(case)
        self._begin(genuine)
        masked = {name: self._secret(name) for name in self.provider.masked}
        fields = {**case.fields, **masked} if masked else case.fields
        hidden = self.signed(case._replace(id="hidden", fields=fields))
        broken = hidden._replace(body=hidden.body[:-3])
        unknown = f"{self.source['path'].rpartition('/')[0]}/{self._card('the path')}"
        lost = genuine._replace(target=unknown)
        strange = self._strange(genuine), self._strange(hidden)
        for request in (genuine, hidden, *strange, broken, lost, *self._with_words()):
            sent(self.served, request)

    def _secret(self, name: str) -> str:
        text = f"planted-{name.replace('.', '-')}-{self.number:03}"
        self.texts[text] = name
        return text

    def _card(self, where: str) -> str:
        """Return a card number that was not planted before."""
        digits = f"41111111{next(self._cards):07}"
        doubled = [int(digit) * (1 + (n % 2 == 0)) for n, digit in enumerate(digits)]
        digits += str(-sum(sum(divmod(value, 10)) for value in doubled) % 10)
        self.texts[digits] = where
        return digits

    def _strange(self, request: Incoming) -> Incoming:
        """Return a request with what nobody asked for; some adapters refuse it for that."""
        mark = "&" if "?" in request.target else "?"
        target = f"{request.target}{mark}note={self._card('the query')}"
        more = (("x-note", self._card("a header")), ("x-api-key", self._secret("x-api-key")))
        return request._replace(target=target, headers=(*request.headers, *more))

    def _with_words(self) -> Iterator[Incoming]:
        """Say a card number in one field after the other, but for references."""
        case, taken = self.sample.case, 0
        for path in texts_in(case.fields):
            card = self._card(".".join(path))
            fields = changed(case.fields, path, f"card {card} was used")
            try:
                request = self.signed(case._replace(id=f"word-{card[-8:]}", fields=fields))
                found = self._parsed(request)
            except (Unreadable, ValueError):  # not one that its adapter reads
                del self.texts[card]
                continue
            if taken == WORDS_MAX or any(refers(notice, card) for notice in found):
                del self.texts[card]
                continue
            taken += 1
            yield request

    def _parsed(self, request: Incoming) -> tuple[Notice, ...]:
        return self.provider.parse(request, SourceSetup(self.secrets, self.config)).notices

    def _begin(self, request: Incoming) -> None:
        for notice in self._parsed(request):
            if isinstance(notice, TransactionNotice) and notice.references.ours:
                self.shop.begin(orderId=notice.references.ours[0], amount="49.90")

    # ── what is shown ────────────────────────────────────────────────────────────────────────────

    def pages(self) -> dict[str, bytes]:
        """Return all that the API answers about it; of the source apart, whose token it shows."""
        name, source = self.provider.name, self.source["id"]
        pages = [self.shop.get(page, limit=250) for page in PAGES]
        for page in ("callback", "transaction"):
            pages += [self.shop.get(f"{page}/{one['id']}") for one in self.shop.get(page)["data"]]
        for callback in self.shop.log()[-3:]:  # those with secrets in their fields
            path = f"{self.shop.path}/callback/{callback['id']}/replay"
            pages.append(self.shop.http.post(path, json={"dryRun": True}).json())
        own = [self.shop.get("source"), self.shop.get(f"source/{source}")]
        return {f"API of {name}": written(pages), f"{SOURCE} {name}": written(own)}


def written(pages: list[Any]) -> bytes:
    return json.dumps(pages, ensure_ascii=False).encode()


def texts_in(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Go through the places of a document where a text stands."""
    if isinstance(value, str):
        yield path
    members = value.items() if isinstance(value, Mapping) else ()
    for name, member in members:
        yield from texts_in(member, (*path, name))


def changed(value: Any, path: tuple[str, ...], text: str) -> Any:
    return {**value, path[0]: changed(value[path[0]], path[1:], text)} if path else text


def refers(notice: Notice, text: str) -> bool:
    """Tell whether a text names something; ids are kept, and what is passed on is as it came."""
    if isinstance(notice, ForwardNotice):
        return True
    values = notice._asdict()
    named = [values.get(name) for name in (*REFERENCES, *IDENTIFIERS)]
    data = values.get("data") or {}
    return text in repr([*named, *(data.get(name) for name in NAMED)])


# ── the walk ─────────────────────────────────────────────────────────────────────────────────────


def in_clear(planted: list[Planted], found: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """Return what was found where: the provider, what was planted, and the file or the like."""
    return [
        (one.provider.name, where, name)
        for one in planted
        for text, where in one.texts.items()
        for name, content in found.items()
        if text.encode() in content and not (where == TOKEN and name.startswith(SOURCE))
    ]


def files(served: ServedGateway) -> dict[str, bytes]:
    paths = [path for path in served.folder.rglob("*") if path.is_file() and path.suffix != ".key"]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Write everything that is logged here, also what is only for finding faults."""
    handlers, stream = logging.root.handlers[:], io.StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    logs.configure()
    logging.root.handlers[:] = handlers


@soak
@pytest.mark.sqlite
def test_nothing_that_was_planted_is_anywhere_in_clear(
    tmp_path: Path, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    providers = drawn(list(PROVIDERS.values()))
    logs.log_event("server.started", address="here")  # what is written is caught
    with ServedGateway(tmp_path) as served:
        planted = [Planted(served, one, number) for number, one in enumerate(providers)]
        for one in planted:
            one.send()
        for one in planted:
            one.shop.served.wait_for_callbacks()
        running = files(served)
        shown = {name: page for one in planted for name, page in one.pages().items()}
    assert any(name.endswith("-wal") for name in running)
    found = {**running, **shown, "the log": (log.getvalue() + "".join(capfd.readouterr())).encode()}
    assert found["the log"]
    found |= {f"{name} at rest": content for name, content in files(served).items()}
    assert in_clear(planted, found) == []
    assert sum(len(one.texts) for one in planted) > 6 * len(planted)


def test_a_card_number_in_a_providers_own_word_is_not_told_on(served: ServedGateway) -> None:
    shop = SubscribedShop(served)
    mozarto = shop.account("mozarto", confirm="trust")
    begun = shop.begin(orderId="PAY-1001", amount="100.00")
    card = "4111111111111111"
    shop.hear(mozarto.says("approved", f"status=paid with {card}", f"message=card {card}"))
    shown, told = shop.shown(begun["id"]), shop.told()[-1]["data"]
    assert (shown["status"], shown["rawStatus"]) == ("Approved", "paid with 411111******1111")
    assert (told["rawStatus"], told["message"]) == (shown["rawStatus"], "card 411111******1111")
