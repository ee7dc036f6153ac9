"""A pay-out was Rejected, then its provider says Approved: money may have left after a no.

Nothing moves; whoever is on call hears it at once; a person keeps what we have or accepts it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.walks.provider_shop import ProviderShop
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import PAY_OUT
from tillbell.verify import verify

pytestmark = pytest.mark.sqlite_first

OUT = "OUT-2001"
RESERVED, RELEASED, PAID = "reserve", "release", "debit"


class Payer(ProviderShop):
    """A merchant that pays out, with somebody on call for conflicts."""

    def __init__(self, served: ServedGateway, provider: str, **source: Any) -> None:
        super().__init__(served, provider, **source)
        url = served.receiver.url(f"{self.hook}/pager")
        pager = self.made("endpoint", {"url": url, "filterTypes": ["transaction.conflict"]})
        self.pager_key = self.get(f"endpoint/{pager['id']}/secret")["key"]
        self.begin(**PAY_OUT, uid=OUT, reserve=True)

    def alarms(self) -> list[dict[str, Any]]:
        """Return what the pager was told of conflicts, verified, when all is delivered."""
        self.hears()
        arrivals = self.served.receiver.to(f"{self.hook}/pager")
        bodies = [verify(one.body, one.headers, self.pager_key).json() for one in arrivals]
        assert {body["type"] for body in bodies} <= {"transaction.conflict"}
        bodies.sort(key=lambda body: str(body["timestamp"]))
        return [body["data"]["conflict"] for body in bodies]

    def ledger(self) -> list[str]:
        effects = self.shown(OUT)["effects"]
        assert {effect["amount"] for effect in effects} <= {"100.00"}
        return [effect["kind"] for effect in effects]


def of_mozarto(served: ServedGateway) -> Payer:
    """Let the provider itself say no; its word is believed for its password."""
    shop = Payer(served, "mozarto", config={"confirm": "trust"})
    assert shop.send("rejected", f"merchantReference={OUT}").status_code == 200
    return shop


def of_allsecure(served: ServedGateway) -> Payer:
    """Let a person of the shop say no; the provider signs."""
    shop = Payer(served, "allsecure")
    assert shop.act(OUT, "reject").status_code == 200
    return shop


APPROVED = {
    "mozarto": ("approved", f"merchantReference={OUT}"),
    "allsecure": ("paid-out", "amount=100.00"),
}


@pytest.fixture(params=[of_mozarto, of_allsecure], ids=["mozarto", "allsecure"])
def refused(request: pytest.FixtureRequest, served: ServedGateway) -> Payer:
    """A merchant whose pay-out has ended as Rejected."""
    made = request.param(served)
    assert isinstance(made, Payer)
    assert made.ledger() == [RESERVED, RELEASED]
    return made


@pytest.fixture
def alarmed(refused: Payer) -> Payer:
    """A merchant whose rejected pay-out was approved by its provider."""
    assert refused.send(*APPROVED[refused.provider]).status_code == 200
    return refused


def conflict_of(shop: Payer) -> dict[str, Any]:
    (found,) = shop.get("conflict", open="true")["data"]
    assert isinstance(found, dict)
    return found


def resolve(shop: Payer, choice: str) -> None:
    answer = shop.post(f"conflict/{conflict_of(shop)['id']}/{choice}", {"reason": "the bank says"})
    assert answer.status_code == 200, answer.text


# ── the alarm ────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_critical_conflict_and_moves_nothing(alarmed: Payer) -> None:
    found = conflict_of(alarmed)

    assert (found["severity"], found["kind"]) == ("critical", "contradiction")
    assert (found["current"], found["status"]) == ("Rejected", "Approved")
    assert alarmed.outcomes()[-1] == "conflict"
    assert alarmed.shown(OUT)["status"] == "Rejected"
    assert alarmed.ledger() == [RESERVED, RELEASED]


def test_who_is_on_call_hears_it_and_the_shop_hears_no_approval(alarmed: Payer) -> None:
    (alarm,) = alarmed.alarms()

    assert (alarm["id"], alarm["severity"]) == (conflict_of(alarmed)["id"], "critical")
    assert (alarm["current"], alarm["status"]) == ("Rejected", "Approved")
    assert alarm["resolution"] is None
    assert alarmed.told().count("transaction.conflict") == 1
    assert "transaction.approved" not in alarmed.told()


def test_many_copies_ring_once(refused: Payer) -> None:
    case, *overrides = APPROVED[refused.provider]
    copies = [refused.callback(case, *overrides)] * 10

    with ThreadPoolExecutor(5) as provider:
        answers = list(provider.map(refused.carry, copies))
    refused.served.wait_for_callbacks()

    assert {one.status_code for one in answers} == {200}
    assert refused.outcomes().count("conflict") == 1
    assert len(refused.alarms()) == 1
    assert refused.ledger() == [RESERVED, RELEASED]


def test_the_same_said_again_in_other_words_rings_once(alarmed: Payer) -> None:
    case, *overrides = APPROVED[alarmed.provider]
    other = {"mozarto": "transaction_status=APPROVED", "allsecure": "uuid=another-id-of-it"}

    alarmed.send(case, *overrides, other[alarmed.provider])

    assert len(alarmed.get("conflict")["data"]) == 1
    assert len(alarmed.alarms()) == 1
    assert alarmed.ledger() == [RESERVED, RELEASED]


# ── what a person decides ────────────────────────────────────────────────────────────────────────


def test_keeping_leaves_all_as_it_is_and_says_so(alarmed: Payer) -> None:
    before = alarmed.shown(OUT)

    resolve(alarmed, "keep")

    after = alarmed.shown(OUT)
    assert (after["status"], after["effects"]) == ("Rejected", before["effects"])
    assert after["transitions"] == before["transitions"]
    assert alarmed.get("conflict", open="true")["data"] == []
    assert [one["resolution"] for one in alarmed.alarms()] == [None, "keep"]
    assert "transaction.approved" not in alarmed.told()


def test_accepting_debits_once_and_says_what_it_supersedes(alarmed: Payer) -> None:
    resolve(alarmed, "accept")

    found = alarmed.shown(OUT)
    assert found["status"] == "Approved"
    assert alarmed.ledger() == [RESERVED, RELEASED, PAID]
    rejected, approved = found["transitions"][-2:]
    assert (rejected["status"], approved["status"]) == ("Rejected", "Approved")
    assert approved["supersedes"] == rejected["sequence"]
    assert [one["resolution"] for one in alarmed.alarms()] == [None, "accept"]
    assert alarmed.told().count("transaction.approved") == 1


@pytest.mark.parametrize(("choice", "moved"), [("keep", []), ("accept", [PAID])])
def test_what_was_decided_is_not_undone_by_a_copy(
    alarmed: Payer, choice: str, moved: list[str]
) -> None:
    resolve(alarmed, choice)

    for _ in range(3):
        alarmed.send(*APPROVED[alarmed.provider])

    assert alarmed.ledger() == [RESERVED, RELEASED, *moved]
    assert alarmed.get("conflict", open="true")["data"] == []
    assert len(alarmed.alarms()) == 2
