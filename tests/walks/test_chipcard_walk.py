"""Chipcard: browser → 3-D Secure → us → authorization → the shop's success or error page."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.walks.provider_shop import SECRET, ProviderShop
from tests.web.served_gateway import ServedGateway
from tillbell.providers.kit.base import Incoming

ORDER = "ORD-1001"
FINAL = {"mode": "callback-is-final", "confirm": "trust"}


def merchant(served: ServedGateway, *secrets: str, **config: Any) -> ProviderShop:
    pages = {name: served.receiver.url(f"/{name}") for name in ("successUrl", "errorUrl")}
    made = ProviderShop(served, "chipcard", secrets=secrets, config={**pages, **config})
    made.begin(uid=ORDER, amount="49.90")
    return made


@pytest.fixture
def asking(served: ServedGateway) -> ProviderShop:
    """A merchant whose charges are confirmed by the bank."""
    return merchant(served, SECRET, lookupUrl=served.receiver.url("/state/{id}"))


@pytest.fixture
def final(served: ServedGateway) -> ProviderShop:
    """A merchant who chose to believe what the browser carries."""
    return merchant(served, SECRET, **FINAL)


def browse(shop: ProviderShop, request: Incoming) -> tuple[int, str]:
    """Be the payer's browser: return how it was answered, and where it ended."""
    page = shop.carry(request, follow=True)
    shop.served.wait_for_callbacks()
    first = page.history[0] if page.history else page
    assert page.request.method == ("GET" if page.history else "POST")
    return first.status_code, page.request.url.path


def nothing_happened(shop: ProviderShop) -> bool:
    shop.look()
    found = shop.shown(ORDER)
    assert shop.get("conflict")["data"] == []
    return (found["status"], found["effects"], shop.told()) == (
        "Pending",
        [],
        ["transaction.pending"],
    )


# ── the good way ─────────────────────────────────────────────────────────────────────────────────


def test_the_payer_comes_back_the_bank_charges_and_the_shop_hears_it_once(
    asking: ProviderShop,
) -> None:
    id_ = asking.shown(ORDER)["id"]
    asked = asking.knows(id_, status="AP", amount="49.90", currency="EUR")

    assert browse(asking, asking.callback("authenticated")) == (303, "/successUrl")
    asking.look()
    assert browse(asking, asking.callback("authenticated")) == (303, "/successUrl")  # a reload
    asking.look()

    assert asked == ["GET"]
    assert asking.moved(ORDER) == [("credit", "49.90")]
    assert asking.told() == ["transaction.pending", "transaction.approved"]
    data = asking.hears()[-1]["data"]
    assert (data["uid"], data["amount"], data["currency"]) == (ORDER, "49.90", "EUR")
    assert (data["previousStatus"], data["status"], data["sequence"]) == ("Pending", "Approved", 2)


def test_a_final_return_is_told_once_however_often_the_page_is_loaded(final: ProviderShop) -> None:
    request = final.callback("approved")

    assert [browse(final, request) for _ in range(5)] == [(303, "/successUrl")] * 5

    assert final.outcomes() == ["applied", *["duplicate"] * 4]
    assert final.moved(ORDER) == [("credit", "49.90")]
    assert final.told() == ["transaction.pending", "transaction.approved"]


@pytest.mark.parametrize(("case", "status"), [("declined", "Declined"), ("failed", "Failed")])
def test_who_is_refused_lands_on_the_error_page_and_nothing_is_credited(
    final: ProviderShop, case: str, status: str
) -> None:
    assert browse(final, final.callback(case)) == (303, "/errorUrl")

    shown = final.shown(ORDER)
    assert (shown["status"], shown["attempts"][0]["status"]) == ("Pending", status)
    assert final.moved(ORDER) == []
    assert final.told() == ["transaction.pending"]  # the payer may try again


# ── a forged return ──────────────────────────────────────────────────────────────────────────────


def test_a_return_under_another_key_is_refused(final: ProviderShop) -> None:
    forged = final.callback("approved", secret="a key that a thief made up")

    assert browse(final, forged)[0] == 401

    assert final.outcomes() == ["unauthenticated"]
    assert nothing_happened(final)


def test_a_decline_cannot_be_edited_into_an_approval(final: ProviderShop) -> None:
    declined = final.callback("declined")
    forged = declined.body.replace(b"responseCode=99", b"responseCode=00")
    assert forged != declined.body

    assert browse(final, declined._replace(body=forged))[0] == 401

    assert nothing_happened(final)


def test_a_return_for_one_order_does_not_pay_another(final: ProviderShop) -> None:
    final.begin(uid="ORD-2002", amount="49.90")
    paid = final.callback("approved")

    browse(final, paid._replace(body=paid.body.replace(b"ORD-1001", b"ORD-2002")))

    assert final.outcomes() == ["unauthenticated"]
    assert final.shown("ORD-2002")["status"] == "Pending"


def test_an_amount_that_was_edited_is_not_credited(final: ProviderShop) -> None:
    # The hash does not cover the amount, so the payer can write another.
    assert browse(final, final.callback("approved", "amount=0.01")) == (303, "/successUrl")

    assert final.outcomes() == ["mismatch"]
    assert final.moved(ORDER) == []
    assert final.told() == ["transaction.pending", "transaction.conflict"]


def test_whatever_the_browser_says_the_bank_decides(asking: ProviderShop) -> None:
    asking.knows(asking.shown(ORDER)["id"], status="FA")

    assert browse(asking, asking.callback("authenticated")) == (303, "/successUrl")
    asking.look()

    assert asking.moved(ORDER) == []
    assert asking.told() == ["transaction.pending"]  # the payer may try again


def test_without_a_key_a_return_only_asks_the_bank(served: ServedGateway) -> None:
    shop = merchant(served, lookupUrl=served.receiver.url("/state/{id}"))
    asked = shop.knows(shop.shown(ORDER)["id"], status="IP")

    for _ in range(3):
        assert browse(shop, shop.callback("approved", secret=""))[0] == 303
        shop.look()

    assert nothing_happened(shop)
    assert set(asked) == {"GET"}


def test_a_return_by_get_is_no_return(final: ProviderShop) -> None:
    answer = httpx.get(final.served.url + final.source["path"], params={"responseCode": "00"})

    assert answer.status_code == 405
    assert nothing_happened(final)
