"""AllSecure: the gateway's signed POST pays, whatever a browser says by GET does not."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.walks.provider_shop import SECRET, ProviderShop
from tests.web.served_gateway import ServedGateway

ORDER = "ORD-1001"
EVENTS = ("success", "callback", "cancel", "error")


@pytest.fixture
def shop(served: ServedGateway) -> ProviderShop:
    """A merchant with an open payment, at a provider that can be asked."""
    pages = {name: served.receiver.url(f"/{name}") for name in ("successUrl", "errorUrl")}
    config = {**pages, "lookupUrl": served.receiver.url("/state/{id}")}
    made = ProviderShop(served, "allsecure", config=config)
    made.begin(uid=ORDER, amount="49.90")
    return made


def forge(shop: ProviderShop, event: str, **headers: str) -> httpx.Response:
    """Open the return address by hand, as anybody can who knows it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    query = {"requestEvent": event, "orderId": ORDER}
    answer = httpx.get(
        shop.served.url + shop.source["path"], params=query, headers=named, verify=False
    )
    shop.served.wait_for_callbacks()
    return answer


def test_a_signed_callback_pays_once_and_the_shop_hears_it_once(shop: ProviderShop) -> None:
    answers = [shop.send(case) for case in ("pending", "approved", "approved", "pending")]

    assert {(one.status_code, one.text) for one in answers} == {(200, "OK")}
    assert shop.outcomes() == ["duplicate", "applied", "duplicate", "duplicate"]
    assert shop.moved(ORDER) == [("credit", "49.90")]
    assert shop.told() == ["transaction.pending", "transaction.approved"]
    approved = shop.hears()[-1]["data"]
    assert (approved["status"], approved["pspTransactionId"]) == (
        "Approved",
        "d94c0d72f3a36e21f16e",
    )


def test_a_forged_success_moves_nothing_and_at_most_asks(shop: ProviderShop) -> None:
    asked = shop.knows(shop.shown(ORDER)["id"], status="PENDING")

    answer = forge(shop, "success")
    shop.look()

    assert (answer.status_code, answer.headers["location"][-11:]) == (303, "/successUrl")
    assert shop.outcomes() == ["noted"]
    assert asked == ["GET"]
    assert (shop.shown(ORDER)["status"], shop.moved(ORDER)) == ("Pending", [])
    assert shop.told() == ["transaction.pending"]
    assert shop.get("conflict")["data"] == []


@pytest.mark.parametrize("event", EVENTS)
def test_even_an_owner_who_trusts_this_source_does_not_trust_a_browser(
    served: ServedGateway, event: str
) -> None:
    shop = ProviderShop(served, "allsecure", config={"confirm": "trust"})
    shop.begin(uid=ORDER, amount="49.90")

    forge(shop, event)
    shop.look()

    assert (shop.shown(ORDER)["status"], shop.moved(ORDER)) == ("Pending", [])
    assert shop.told() == ["transaction.pending"]


def test_a_look_up_that_calls_it_a_success_does_not_pay_either(shop: ProviderShop) -> None:
    # The provider calls an authorization so too.
    shop.knows(shop.shown(ORDER)["id"], status="SUCCESS")

    forge(shop, "success")
    shop.look()

    assert (shop.shown(ORDER)["status"], shop.moved(ORDER)) == ("Pending", [])
    assert shop.told() == ["transaction.pending"]


@pytest.mark.parametrize("event", EVENTS)
def test_a_forged_return_does_not_end_what_the_gateway_then_approves(
    shop: ProviderShop, event: str
) -> None:
    shop.knows(shop.shown(ORDER)["id"], status="PENDING")

    assert forge(shop, event).status_code == 303
    shop.look()
    assert shop.shown(ORDER)["status"] == "Pending"
    shop.send("approved")
    assert forge(shop, event).status_code == 303
    shop.look()

    assert shop.moved(ORDER) == [("credit", "49.90")]
    assert shop.told() == ["transaction.pending", "transaction.approved"]


def test_a_flood_of_forged_returns_around_the_true_callback_changes_nothing(
    shop: ProviderShop,
) -> None:
    shop.knows(shop.shown(ORDER)["id"], status="PENDING")
    query = [f"requestEvent={event}&orderId={ORDER}" for event in EVENTS * 10]
    forged = [("GET", f"{shop.source['path']}?{one}") for one in query]
    true = shop.callback("approved")
    requests = [*(true._replace(method=how, target=to, body=b"") for how, to in forged), true]
    random.Random(3).shuffle(requests)

    with ThreadPoolExecutor(8) as browsers:
        answers = list(browsers.map(shop.carry, requests))
    shop.served.wait_for_callbacks()
    shop.look()

    assert sorted(one.status_code for one in answers) == [200, *[303] * len(forged)]
    assert shop.moved(ORDER) == [("credit", "49.90")]
    assert shop.told() == ["transaction.pending", "transaction.approved"]


@pytest.mark.parametrize("header", ["sec_purpose", "purpose", "x_moz"])
def test_what_a_browser_fetches_ahead_says_nothing(shop: ProviderShop, header: str) -> None:
    forge(shop, "cancel", **{header: "prefetch"})

    assert shop.outcomes() == []
    assert shop.shown(ORDER)["status"] == "Pending"


# ── a forged callback ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["another secret", "another amount", "another order", "no proof"])
def test_a_callback_that_is_not_the_gateway_s_is_refused(shop: ProviderShop, how: str) -> None:
    true = shop.callback("approved", secret="a guess" if how == "another secret" else SECRET)
    forged = {
        "another secret": true,
        "another amount": true._replace(body=true.body.replace(b"49.90", b"00.01")),
        "another order": true._replace(target=true.target.replace("1001", "2002")),
        "no proof": true._replace(headers=()),
    }[how]

    assert shop.carry(forged).status_code == 401
    shop.served.wait_for_callbacks()

    assert shop.outcomes() == ["unauthenticated"]
    assert (shop.shown(ORDER)["status"], shop.moved(ORDER)) == ("Pending", [])
    assert shop.told() == ["transaction.pending"]


def test_of_the_gateway_s_own_another_amount_is_for_a_person(shop: ProviderShop) -> None:
    assert shop.send("approved", "amount=0.01").text == "OK"

    assert shop.outcomes() == ["mismatch"]
    assert shop.moved(ORDER) == []
    assert shop.told() == ["transaction.pending", "transaction.conflict"]
