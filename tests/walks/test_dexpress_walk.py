"""D-Express: a parcel on its way, told by PUT and by POST, and a passcode that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.walks.subscribed_shop import ProviderAccount, SubscribedShop
from tests.web.served_gateway import ServedGateway

PASSCODE = "passcode-of-the-courier"
WAY = {  # the day of a parcel: case → status
    "created": "created",
    "picked-up": "in_transit",  # a PUT with a query
    "out-for-delivery": "in_transit",
    "delayed": "exception",
    "delivered": "delivered",
}
CLOCK = {case: f'dt="2026030109{minute:02}00"' for minute, case in enumerate(WAY)}
COUNT = {case: f'nID="{90000200 + number}"' for number, case in enumerate(WAY)}


@pytest.fixture
def shop(served: ServedGateway) -> SubscribedShop:
    return SubscribedShop(served)


@pytest.fixture
def courier(shop: SubscribedShop) -> ProviderAccount:
    return shop.account("dexpress", PASSCODE)


def step(courier: ProviderAccount, case: str, secret: str = PASSCODE) -> Any:
    return courier.says(case, COUNT[case], CLOCK[case], secret=secret)


def parcel(shop: SubscribedShop) -> dict[str, Any]:
    found: dict[str, Any] = shop.get("shipment/dexpress:TT0000000001")
    return found


def test_a_parcel_is_followed_to_the_door(shop: SubscribedShop, courier: ProviderAccount) -> None:
    for case, status in WAY.items():
        request = step(courier, case)
        answer = shop.hear(request)
        assert request.method == ("PUT" if case == "picked-up" else "POST")
        assert (answer.status_code, answer.content) == (200, b"")
        assert parcel(shop)["status"] == status
    shown = parcel(shop)
    assert (shown["carrier"], shown["orderId"]) == ("dexpress", "ORD-1001")
    assert shown["deliveredAt"] == "2026-03-01T08:04:00Z"  # Belgrade is an hour ahead
    told = shop.told()
    assert [one["type"] for one in told] == [
        "shipment.created",
        "shipment.in_transit",
        "shipment.in_transit",
        "shipment.exception",
        "shipment.delivered",
    ]
    before = [one["data"]["previousStatus"] for one in told]
    assert before == [None, "created", "in_transit", "in_transit", "exception"]
    assert told[1]["data"]["substate"] == "picked_up"


def test_late_news_of_a_parcel_does_not_take_it_back(
    shop: SubscribedShop, courier: ProviderAccount
) -> None:
    shop.hear(step(courier, "delivered"))  # decided before the next one comes
    shop.hear(step(courier, "out-for-delivery"))
    assert parcel(shop)["status"] == "delivered"
    assert [one["type"] for one in shop.told()] == ["shipment.delivered"]
    assert [one["outcome"] for one in shop.log()] == ["stale", "applied"]


def test_the_same_event_by_both_methods_counts_once(
    shop: SubscribedShop, courier: ProviderAccount
) -> None:
    posted = step(courier, "out-for-delivery")
    put = courier.says("picked-up", COUNT["out-for-delivery"], CLOCK["out-for-delivery"], 'sID="4"')
    shop.hear(posted, posted, put)
    assert [one["outcome"] for one in shop.log()] == ["duplicate", "duplicate", "applied"]
    assert len(shop.told()) == 1


@pytest.mark.parametrize("case", ["out-for-delivery", "picked-up"])
@pytest.mark.parametrize("passcode", ["", "Passcode-of-the-courier", "passcode-of-the-couriers"])
def test_a_wrong_passcode_is_answered_200_and_moves_nothing(
    shop: SubscribedShop, courier: ProviderAccount, case: str, passcode: str
) -> None:
    shop.hear(step(courier, "created"))
    request = step(courier, case, PASSCODE)
    forged = request._replace(
        target=request.target.replace(PASSCODE, passcode),
        body=request.body.replace(PASSCODE.encode(), passcode.encode()),
    )
    answer = shop.hear(forged)
    assert (answer.status_code, answer.content) == (200, b"")
    refused, _ = shop.log()
    assert (refused["verdict"], refused["outcome"]) == ("refused", "unauthenticated")
    assert parcel(shop)["status"] == "created"
    assert len(shop.told()) == 1
    # What was refused has used up nothing: the courier's own word of that event is still news.
    shop.hear(request)
    assert parcel(shop)["status"] == "in_transit"


def test_a_courier_that_errs_ten_times_is_never_told_so(
    shop: SubscribedShop, courier: ProviderAccount
) -> None:
    broken = step(courier, "delivered")._replace(body=b'{"cc":')
    unknown = courier.says("unknown")
    answers = [shop.hear(request).status_code for request in (broken, unknown) for _ in range(10)]
    assert answers == [200] * 20
    assert shop.get("shipment")["data"] == []
    assert shop.hear(step(courier, "created")).status_code == 200
    assert parcel(shop)["status"] == "created"


def test_an_owner_may_choose_to_answer_a_wrong_passcode_otherwise(shop: SubscribedShop) -> None:
    strict = shop.account("dexpress", PASSCODE, authFailureStatus=403)
    assert shop.hear(step(strict, "created", "wrong-passcode")).status_code == 403
    assert shop.hear(step(strict, "created")).status_code == 200
