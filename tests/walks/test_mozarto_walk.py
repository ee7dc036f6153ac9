"""Mozarto: the cashier creates PENDING, then its callbacks come twice and in any order.

Out again they go in the platform's own dialect, to receivers that were written for it.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import pytest

from tests.profiles import receivers
from tests.walks.provider_shop import SECRET, ProviderShop
from tests.web.served_gateway import ServedGateway

CASHIER = "/v1/api/mozarto/cashier"
PASSWORD = "password of the casino"


class MozartoClient(ProviderShop):
    """A client of the platform: it pays in and out at the cashier."""

    def __init__(self, served: ServedGateway, **config: Any) -> None:
        super().__init__(served, "mozarto", config={"confirm": "trust", **config})
        self.key = served.make_key("write", app_id=self.app_id)
        url = served.receiver.url(f"{self.hook}/own")
        body = {"url": url, "profile": "mozarto", "secret": PASSWORD}
        self.made("endpoint", body)

    def cashier(self, type_: str, reference: str) -> dict[str, Any]:
        """Ask the cashier for a deposit or withdrawal of 100.00 EUR."""
        body = {
            "pspType": "MOZARTO",
            "type": type_,
            "baseamount": 100.00,
            "currency": "EUR",
            "userId": "user_123",
            "merchantReference": reference,
        }
        headers = {"authorization": f"Bearer {self.key}"}
        answer = httpx.post(self.served.url + CASHIER, json=body, headers=headers, verify=False)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def news(self, case: str, reference: str) -> None:
        """Let the platform tell of a transaction; it must hear 200."""
        answer = self.send(case, f"merchantReference={reference}", f"transaction_id=at-{reference}")
        assert answer.status_code == 200

    def acts(self) -> Counter[str]:
        """Return what the casino's own receiver did, each time that it was called."""
        self.hears()
        arrivals = self.served.receiver.to(f"{self.hook}/own")
        done = [receivers.mozarto(one.body, dict(one.headers), PASSWORD) for one in arrivals]
        assert {status for status, _ in done} <= {200}
        return Counter(act for _, act in done)


class StatusPath(NamedTuple):
    """A way of a transaction: what is told of it, and how it ends."""

    type: str
    cases: Sequence[str]
    status: str
    moved: list[tuple[str, str]]


CREDIT, DEBIT = ("credit", "100.00"), ("debit", "100.00")
WAYS = {
    "deposit": StatusPath("PAYIN", ("pending", "on-hold", "approved"), "Approved", [CREDIT]),
    "deposit declined": StatusPath("PAYIN", ("pending", "on-hold", "declined"), "Declined", []),
    "withdrawal": StatusPath("PAYOUT", ("pending", "processing", "approved"), "Approved", [DEBIT]),
    "withdrawal rejected": StatusPath(
        "PAYOUT", ("on-hold", "processing", "rejected"), "Rejected", []
    ),
}


@pytest.fixture
def casino(served: ServedGateway) -> MozartoClient:
    return MozartoClient(served)


# ── the new body ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("type_", ["PAYIN", "PAYOUT"])
def test_the_cashier_says_pending_before_anything_else(casino: MozartoClient, type_: str) -> None:
    data = casino.cashier(type_, "PAY-1")

    assert (data["status"], data["merchantReference"]) == ("PENDING", "PAY-1")
    found = casino.shown(data["transactionId"])
    assert (found["status"], found["effects"]) == ("Pending", [])
    assert casino.told() == ["transaction.pending"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_in_every_order_and_twice_it_ends_the_same(casino: MozartoClient, way: StatusPath) -> None:
    orders = list(itertools.permutations(way.cases))
    ids = [casino.cashier(way.type, f"PAY-{n}")["transactionId"] for n in range(len(orders))]

    for number, order in enumerate(orders):
        for case in (*order, *reversed(order)):
            casino.news(case, f"PAY-{number}")

    for id_ in ids:
        assert casino.shown(id_)["status"] == way.status
        assert casino.moved(id_) == way.moved
    assert casino.get("conflict")["data"] == []
    told = Counter(body["data"]["id"] for body in casino.hears() if _ends(body))
    assert told == dict.fromkeys(ids, 1)


def _ends(body: dict[str, Any]) -> bool:
    return body["data"]["status"] in ("Approved", "Declined", "Rejected")


def test_the_casino_credits_its_player_once(casino: MozartoClient) -> None:
    casino.cashier("PAYIN", "PAY-1")

    for case in ("approved", "pending", "approved", "on-hold", "approved"):
        casino.news(case, "PAY-1")

    assert casino.acts() == {"wait": 1, "credit user_123 100.00": 1}
    assert casino.outcomes() == ["applied", "stale", "duplicate", "stale", "duplicate"]


@pytest.mark.parametrize("late", ["pending", "on-hold", "processing"])
def test_old_news_does_not_reopen_what_has_ended(casino: MozartoClient, late: str) -> None:
    id_ = casino.cashier("PAYOUT", "OUT-1")["transactionId"]
    casino.news("approved", "OUT-1")
    before = casino.shown(id_)

    casino.news(late, "OUT-1")

    assert casino.shown(id_) == before
    assert [one["status"] for one in before["transitions"]] == ["Pending", "Approved"]


def test_a_deposit_can_be_neither_rejected_nor_processing(casino: MozartoClient) -> None:
    id_ = casino.cashier("PAYIN", "PAY-1")["transactionId"]

    for case in ("rejected", "processing"):
        casino.news(case, "PAY-1")

    assert casino.outcomes() == ["illegal", "illegal"]
    assert casino.shown(id_)["status"] == "Pending"


def test_news_that_overtakes_the_cashier_waits_for_it(casino: MozartoClient) -> None:
    casino.news("approved", "PAY-1")
    assert casino.outcomes() == ["unmatched"]

    id_ = casino.cashier("PAYIN", "PAY-1")["transactionId"]
    casino.served.wait_for_callbacks()

    assert casino.outcomes() == ["applied"]
    assert casino.moved(id_) == [("credit", "100.00")]
    assert casino.acts() == {"wait": 1, "credit user_123 100.00": 1}


def test_without_the_password_nothing_is_believed(casino: MozartoClient) -> None:
    id_ = casino.cashier("PAYIN", "PAY-1")["transactionId"]
    forged = casino.callback("approved", "merchantReference=PAY-1", secret="a guess")

    assert casino.carry(forged).status_code == 401
    assert casino.carry(forged._replace(headers=())).status_code == 401
    casino.served.wait_for_callbacks()

    assert casino.outcomes() == ["unauthenticated", "unauthenticated"]
    assert casino.shown(id_)["status"] == "Pending"


# ── the old body ─────────────────────────────────────────────────────────────────────────────────

OLD = ["old-unconfirmed", "old-confirmed", "old-contradiction", "old-confirmed", "old-unconfirmed"]


def test_an_old_body_pays_by_both_its_words_and_with_the_recorded_amount(
    served: ServedGateway,
) -> None:
    casino = MozartoClient(served, legacy=True)
    for seed in range(5):
        id_ = casino.cashier("PAYIN", f"PAY-{seed}")["transactionId"]
        for case in random.Random(seed).sample(OLD, len(OLD)):
            assert casino.send(case, f"transaction_id={id_}").status_code == 200
        assert casino.shown(id_)["status"] == "Approved"
        assert casino.moved(id_) == [("credit", "100.00")]

    assert casino.told().count("transaction.approved") == 5
    assert casino.get("conflict")["data"] == []


def test_an_old_body_is_not_believed_where_nobody_said_that_it_may_come(
    casino: MozartoClient,
) -> None:
    id_ = casino.cashier("PAYIN", "PAY-1")["transactionId"]

    casino.send("old-confirmed", f"transaction_id={id_}")

    assert casino.outcomes() == ["unmapped"]
    assert casino.moved(id_) == []


def test_what_comes_in_the_new_body_goes_out_in_the_old_one(casino: MozartoClient) -> None:
    url = casino.served.receiver.url(f"{casino.hook}/old")
    casino.made("endpoint", {"url": url, "profile": "mozarto-legacy", "secret": SECRET})
    casino.cashier("PAYIN", "PAY-1")
    casino.news("approved", "PAY-1")
    casino.hears()

    arrivals = casino.served.receiver.to(f"{casino.hook}/old")
    acts = [receivers.mozarto_legacy(one.body, dict(one.headers), SECRET) for one in arrivals]
    assert sorted(acts) == [(200, "credit user_123"), (200, "wait")]
