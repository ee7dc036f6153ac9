"""The cashier call of Mozarto's clients: its shape in, its shape out, our rules."""

from __future__ import annotations

import httpx
import pytest

from tests.money.payment_harness import APPROVED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import ShopClient, problem

pytestmark = pytest.mark.sqlite_first

CASHIER = "/v1/api/mozarto/cashier"


@pytest.fixture
def shop(served: ServedGateway) -> ShopClient:
    return ShopClient(served)


def cashier(served: ServedGateway, body: str, key: str, **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {key}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return httpx.post(served.url + CASHIER, content=body, headers=given, verify=False)


PAYIN = (
    '{"pspType":"PSP","type":"PAYIN","baseamount":100.10,"currency":"EUR","userId":7,'
    '"merchantReference":"M","email":"a@b.example","card":{"pan":"4111111111111111"}}'
)


def test_the_cashier_creates_a_pending_transaction(served: ServedGateway, shop: ShopClient) -> None:
    key = served.make_key("write", app_id=shop.app_id)
    answer = cashier(served, PAYIN, key, x_user_token="Bearer someone")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["status"], shown["isSuccess"]) == ("success", True)
    assert shown["data"]["status"] == "PENDING"
    assert shown["data"]["transactionId"] == shown["data"]["transaction_id"]
    found = shop.shown(shown["data"]["transactionId"])
    assert (found["status"], found["amount"], found["direction"]) == ("Pending", "100.10", "pay_in")
    assert (found["userId"], found["merchantReference"]) == ("7", "M")
    assert (found["sourceId"], found["provider"]) == (shop.source["id"], "psp")
    assert "4111" not in str(found)
    shop.tell(news(found["id"], APPROVED))
    assert shop.moved(found["id"]) == [("credit", "100.10")]


def test_the_cashier_reads_a_number_digit_by_digit(served: ServedGateway, shop: ShopClient) -> None:
    key = served.make_key("write", app_id=shop.app_id)
    body = PAYIN.replace("100.10", "90071992547409.93")
    assert cashier(served, body, key).json()["data"]["amount"] == "90071992547409.93"
    for hostile in ("-1", "0", "0.001", "1e400", '"1,00"', "true", "null", "[1]", "9" * 40):
        refused = cashier(served, PAYIN.replace("100.10", hostile), key)
        place = "body" if hostile == "1e400" else "body.baseamount"  # no number that can be read
        assert problem(refused)[0] == place, hostile


def test_the_cashier_wants_to_know_the_application(served: ServedGateway, shop: ShopClient) -> None:
    assert problem(cashier(served, PAYIN, served.key))[0] == "header.X-Application"
    assert cashier(served, PAYIN, served.key, x_application=shop.app_id).status_code == 200
    assert cashier(served, PAYIN, served.key, x_application="nobody").status_code == 404
    bound = served.make_key("write", app_id=ShopClient(served).app_id)
    assert cashier(served, PAYIN, bound, x_application=shop.app_id).status_code == 404


def test_the_cashier_repeats_itself_for_an_idempotency_key_only(
    served: ServedGateway, shop: ShopClient
) -> None:
    key = served.make_key("write", app_id=shop.app_id)
    ids = [
        cashier(served, PAYIN, key, **headers).json()["data"]["transactionId"]
        for headers in ({}, {}, {"idempotency_key": "k"}, {"idempotency_key": "k"})
    ]
    assert ids[2] == ids[3]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("body", ["", "[]", "1", '{"type":"PAYIN"}', PAYIN.replace("PAYIN", "X")])
def test_the_cashier_says_what_is_wrong(served: ServedGateway, shop: ShopClient, body: str) -> None:
    assert cashier(served, body, served.key, x_application=shop.app_id).status_code == 422
