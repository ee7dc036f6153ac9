"""Every kind of money, told five times at once and in any order, counts once.

A payment, its refund, its chargeback and the chargeback's reversal, and a pay-out beside them;
200 copies of one callback over many connections.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.walks.provider_shop import ProviderShop
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import PAY_OUT
from tillbell.providers.kit.base import Incoming

COPIES = 5
CONNECTIONS = 8
PAY_IN_KINDS = ("approved", "refunded", "chargeback", "chargeback-reversed")


class Entry(NamedTuple):
    """What a case of the provider must lead to, once."""

    kind: str
    status: str
    effects: tuple[tuple[str, str], ...]


ENTRIES = {
    "ORD-1001": Entry("payment", "Approved", (("credit", "49.90"),)),
    "refunded": Entry("refund", "Approved", (("debit", "9.90"),)),
    "chargeback": Entry("chargeback", "Approved", (("debit", "49.90"),)),
    "chargeback-reversed": Entry("chargeback_reversal", "Approved", (("credit", "49.90"),)),
    "OUT-2001": Entry("payment", "Approved", (("reserve", "120.00"), ("debit", "120.00"))),
}


@pytest.fixture
def shop(served: ServedGateway) -> ProviderShop:
    made = ProviderShop(served, "allsecure")
    made.begin(uid="ORD-1001", amount="49.90")
    made.begin(**{**PAY_OUT, "amount": "120.00"}, uid="OUT-2001", reserve=True)
    return made


def tell_at_once(shop: ProviderShop, requests: Iterable[Incoming], seed: int) -> Counter[int]:
    """Send requests over many connections, in any order; return how they were answered."""
    shuffled = list(requests)
    random.Random(seed).shuffle(shuffled)
    with ThreadPoolExecutor(CONNECTIONS) as provider:
        answers = list(provider.map(shop.carry, shuffled))
    shop.served.wait_for_callbacks()
    return Counter(one.status_code for one in answers)


def account(shop: ProviderShop) -> Counter[Entry]:
    """Return all transactions: what they are, how they stand, what they moved."""
    found = shop.get("transaction", limit=250)["data"]
    return Counter(Entry(one["type"], one["status"], tuple(shop.moved(one["id"]))) for one in found)


def balance(shop: ProviderShop) -> Decimal:
    """Return what all effects come to. What is reserved is still there."""
    signs = {"credit": 1, "debit": -1, "reserve": 0, "release": 0}
    moved = [effect for entry in account(shop).elements() for effect in entry.effects]
    return sum((signs[kind] * Decimal(amount) for kind, amount in moved), Decimal())


def told_of_ends(shop: ProviderShop) -> Counter[tuple[str, str]]:
    """Return of which transactions the endpoint heard what; each step has its own sequence."""
    heard = [body for body in shop.hears() if body["type"] != "transaction.pending"]
    return Counter((body["data"]["id"], body["type"]) for body in heard)


def gapless(bodies: list[dict[str, Any]]) -> bool:
    """Tell whether the steps that were heard of have no gap and no double."""
    steps: dict[str, set[int]] = {}
    for body in bodies:
        steps.setdefault(body["data"]["id"], set()).add(body["data"]["sequence"])
    return all(one == set(range(1, len(one) + 1)) for one in steps.values())


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_told_five_times_at_once_counts_once(shop: ProviderShop, seed: int) -> None:
    cases = [*PAY_IN_KINDS, "paid-out"]
    copies = [shop.callback(case) for case in cases for _ in range(COPIES)]

    assert tell_at_once(shop, copies, seed) == {200: len(copies)}

    assert account(shop) == Counter(ENTRIES.values())
    assert balance(shop) == Decimal("49.90") - Decimal("9.90") - Decimal("120.00")
    assert shop.get("conflict", open="true")["data"] == []
    told = told_of_ends(shop)
    for place in [each for each in told if each[1] == "transaction.conflict"]:
        del told[place]  # asked while more is back than was paid, and answered by the reversal
    assert set(told.values()) == {1}
    assert gapless(shop.hears())


def test_the_endpoint_hears_of_each_kind_once(shop: ProviderShop) -> None:
    copies = [shop.callback(case) for case in (*PAY_IN_KINDS, "paid-out") for _ in range(COPIES)]

    tell_at_once(shop, copies, seed=9)

    told = Counter((body["data"]["type"], body["type"]) for body in shop.hears())
    # Asked while refund and chargeback are more than was paid; the reversal ends the question.
    told.pop(("payment", "transaction.conflict"), None)
    assert told == {
        ("payment", "transaction.pending"): 2,
        ("payment", "transaction.approved"): 2,
        ("refund", "transaction.pending"): 1,
        ("refund", "transaction.approved"): 1,
        ("chargeback", "transaction.pending"): 1,
        ("chargeback", "transaction.approved"): 1,
        ("chargeback", "transaction.reversed"): 1,
        ("chargeback_reversal", "transaction.pending"): 1,
        ("chargeback_reversal", "transaction.approved"): 1,
    }


def test_every_callback_has_an_outcome_and_one_of_each_kind_was_applied(shop: ProviderShop) -> None:
    copies = [shop.callback(case) for case in PAY_IN_KINDS for _ in range(COPIES)]

    tell_at_once(shop, copies, seed=5)

    outcomes = Counter(shop.outcomes())
    assert outcomes["applied"] + (outcomes["mismatch"] > 0) == len(PAY_IN_KINDS)
    # A copy that came before the payment stays unmatched where a later one took its place; what
    # was more than was paid at first is a mismatch, and is booked when the reversal comes.
    assert outcomes.keys() <= {"applied", "duplicate", "unmatched", "mismatch"}
    assert shop.get("conflict", open="true")["data"] == []
    assert outcomes.total() == len(copies)


def test_two_hundred_copies_over_many_connections_count_once(shop: ProviderShop) -> None:
    copies = [shop.callback("approved")] * 200

    assert tell_at_once(shop, copies, seed=1) == {200: 200}

    assert shop.moved("ORD-1001") == [("credit", "49.90")]
    assert shop.told().count("transaction.approved") == 1


def test_refunds_at_once_never_give_back_more_than_was_paid(shop: ProviderShop) -> None:
    shop.send("approved")
    refunds = [
        shop.callback("refunded", f"uuid=refund-{number}", "amount=20.00")
        for number in range(4)
        for _ in range(COPIES)
    ]

    assert tell_at_once(shop, refunds, seed=2) == {200: len(refunds)}

    given = [entry for entry in account(shop).elements() if entry.kind == "refund"]
    moved = [effect for entry in given for effect in entry.effects]
    assert moved == [("debit", "20.00")] * 2
    assert {one["kind"] for one in shop.get("conflict", open="true")["data"]} == {"mismatch"}


def test_what_is_told_before_its_payment_waits_for_it(shop: ProviderShop) -> None:
    for case in ("chargeback-reversed", "chargeback", "refunded"):
        assert shop.send(case).status_code == 200
    assert shop.outcomes() == ["unmatched"] * 3
    assert balance(shop) == 0

    shop.send("approved")

    assert set(shop.outcomes()) <= {"applied", "mismatch"}
    assert shop.get("conflict", open="true")["data"] == []
    assert balance(shop) == Decimal("49.90") - Decimal("9.90")
