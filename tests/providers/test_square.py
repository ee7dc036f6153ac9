"""Square: the published vector, the URL that is signed, what states mean; Square's own library."""

import json
import random
from typing import Any

import pytest
from square.utils.webhooks_helper import verify_signature

from tests.cases import each
from tests.scale import full_or_tenth, soak
from tillbell.model.callbacks import (
    ForwardNotice,
    NoteNotice,
    Notice,
    ProviderAmount,
    TransactionNotice,
)
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup
from tillbell.providers.square import PROVIDER

HEADER = "x-square-hmacsha256-signature"
SETUP = SourceSetup(("asdf1234",))
RIGHT = "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="
CASES = full_or_tenth(2_000)
LETTERS = 'abcXYZ019 :=&?%/"\\{}[]\n\tčšž€日本𝄞'


def posted(origin: str, target: str = "/webhook") -> Incoming:
    headers = ((HEADER, RIGHT),)
    return Incoming("POST", target, headers, b'{"hello":"world"}', 0, origin=origin)


def test_the_published_vector_matches() -> None:
    assert PROVIDER.verify(posted("https://example.com"), SETUP).trust is Trust.SIGNED


@pytest.mark.parametrize(
    ("origin", "target"),
    [
        ("http://example.com", "/webhook"),
        ("https://example.com", "/webhook/"),
        ("https://example.com", "/webhook?"),
        ("https://internal:8080", "/webhook"),
    ],
)
def test_another_url_does_not_match_unless_it_is_set(origin: str, target: str) -> None:
    incoming = posted(origin, target)
    verdict = PROVIDER.verify(incoming, SETUP)
    assert verdict.trust is None
    assert "byte for byte" in verdict.why
    told = SETUP._replace(config={"notificationUrl": "https://example.com/webhook"})
    assert PROVIDER.verify(incoming, told).trust is Trust.SIGNED


def test_what_is_signed_for_another_url_is_accepted_there() -> None:
    setup = SETUP._replace(config={"notificationUrl": "https://shop.example/čaj?a=%20"})
    incoming = PROVIDER.sign(SimulationCase({"a": 1}), setup, "http://127.0.0.1:8080/x")
    assert PROVIDER.verify(incoming, setup).trust is Trust.SIGNED
    assert PROVIDER.verify(incoming, SETUP).trust is None


def drawn(chance: random.Random, longest: int) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(1, longest)))


@soak
def test_squares_library_and_we_accept_the_same() -> None:
    chance = random.Random(20_260_301)
    accepted = 0
    for number in range(CASES):
        target, secret = "/" + drawn(chance, 20), drawn(chance, 30)
        case = SimulationCase({drawn(chance, 8): drawn(chance, 30)})
        incoming = PROVIDER.sign(case, SourceSetup((secret,)), "https://shop.example/x")
        setup = SourceSetup((secret,), {"notificationUrl": f"https://shop.example{target}"})
        if number % 2:
            incoming = PROVIDER.sign(case, setup, "https://shop.example/x")
        ours = PROVIDER.verify(incoming, setup).trust is Trust.SIGNED
        theirs = verify_signature(
            request_body=incoming.body.decode(),
            signature_header=incoming.header(HEADER) or "",
            signature_key=secret,
            notification_url=f"https://shop.example{target}",
        )
        assert ours is theirs, (target, secret, incoming)
        accepted += ours
    assert accepted == CASES // 2


def told(name: str, config: dict[str, Any] | None = None, **found: Any) -> Notice:
    body = {"type": f"{name}.updated", "event_id": "evt", "data": {"object": {name: found}}}
    incoming = Incoming("POST", "/", (), json.dumps(body).encode(), 0)
    parsed = PROVIDER.parse(incoming, SourceSetup(config=config or {}))
    assert parsed.dedupe_key == "evt"
    (notice,) = parsed.notices
    return notice


@pytest.mark.parametrize(
    ("word", "config", "status", "substate"),
    [
        ("APPROVED", {}, TransactionStatus.PENDING, "authorized"),
        ("APPROVED", {"authorizationIsFinal": True}, TransactionStatus.APPROVED, None),
        ("COMPLETED", {}, TransactionStatus.APPROVED, None),
        ("FAILED", {}, TransactionStatus.FAILED, None),
        ("ODD", {}, None, None),
    ],
)
def test_a_payment_is_approved_when_it_is_completed(
    word: str, config: dict[str, Any], status: TransactionStatus | None, substate: str | None
) -> None:
    money = {"amount": 4990, "currency": "jpy"}
    notice = told("payment", config, id="p", status=word, amount_money=money)
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.substate) == (status, substate)
    assert notice.ends_attempt is (word == "FAILED")
    assert notice.amount == ProviderAmount("4990", "JPY", is_minor=True)


@each(
    ("state", "status"),
    [
        ("EVIDENCE_REQUIRED", TransactionStatus.PENDING),
        ("WON", TransactionStatus.CANCELLED),
        ("LOST", TransactionStatus.APPROVED),
        ("ACCEPTED", TransactionStatus.APPROVED),
        ("INQUIRY_CLOSED", TransactionStatus.CANCELLED),
        ("ODD", None),
    ],
)
@each("name", ["id", "dispute_id"])
def test_a_dispute_is_a_chargeback_of_its_payment(
    name: str, state: str, status: TransactionStatus | None
) -> None:
    dispute: dict[str, Any] = {"state": state, "disputed_payment": {"payment_id": "p"}, name: "dp"}
    notice = told("dispute", **dispute)
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.CHARGEBACK, status)
    assert (notice.references.psp, notice.psp_transaction_id) == (("p",), "dp")


def test_a_refund_of_no_payment_is_only_kept() -> None:
    assert isinstance(told("refund", id="r", status="COMPLETED"), NoteNotice)


def test_other_events_are_passed_on_as_they_came() -> None:
    notice = told("customer", id="c")
    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == "square.customer.updated"
