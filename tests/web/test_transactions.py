"""Transactions over the API: begun once, with exact amounts, shown whole, told to subscribers."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.money.payment_harness import APPROVED, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import BEGIN, PAY_OUT, ShopClient, problem
from tillbell.money import CURRENCIES


@pytest.fixture
def shop(served: ServedGateway) -> ShopClient:
    return ShopClient(served)


# ── create, get, list ────────────────────────────────────────────────────────────────────────────


def test_a_transaction_begins_pending_and_touches_no_account(shop: ShopClient) -> None:
    body = {
        **BEGIN,
        "uid": "pay.1",
        "merchantReference": "M-1",
        "userId": "user 1",
        "sourceId": "psp",
        "pspTransactionId": "P-1",
        "orderId": "O-1",
        "metadata": {"cart": "c1"},
    }
    made = shop.made("transaction", body)

    assert {name: made[name] for name in body} == {**body, "sourceId": shop.source["id"]}
    assert (made["status"], made["previousStatus"], made["sequence"]) == ("Pending", None, 1)
    assert (made["type"], made["provider"]) == ("payment", "psp")
    shown = shop.shown("pay.1")
    assert shown == shop.shown(made["id"])
    assert {name: shown[name] for name in made} == made
    assert shown["effects"] == shown["conflicts"] == shown["children"] == []
    (step,) = shown["transitions"]
    assert (step["sequence"], step["status"], step["callbackId"]) == (1, "Pending", None)


def test_a_transaction_shows_each_step_with_what_told_us_and_its_effect(shop: ShopClient) -> None:
    made = shop.begin(uid="O")
    shop.tell(news("O", APPROVED, psp_transaction_id="P", message="Paid"))

    shown = shop.shown(made["id"])
    assert (shown["status"], shown["previousStatus"], shown["sequence"]) == (
        "Approved", "Pending", 2,
    )  # fmt: skip
    assert (shown["rawStatus"], shown["message"], shown["pspTransactionId"]) == (
        "Approved", "Paid", "P",
    )  # fmt: skip
    (callback,) = shop.get("callback")["data"]
    step, (effect,) = shown["transitions"][1], shown["effects"]
    assert step["callbackId"] == effect["callbackId"] == callback["id"]
    assert step["messageId"] in callback["messageIds"]
    assert (effect["kind"], effect["amount"], effect["currency"]) == ("credit", "100.00", "EUR")
    assert effect["sequence"] == 2


def test_a_pay_out_reserves_only_when_asked(shop: ShopClient) -> None:
    plain = shop.made("transaction", PAY_OUT)
    reserved = shop.made("transaction", {**PAY_OUT, "reserve": True})
    assert shop.moved(plain["id"]) == []
    assert shop.moved(reserved["id"]) == [("reserve", "100.00")]
    refused = shop.post("transaction", {**BEGIN, "reserve": True})
    assert problem(refused) == ("body.reserve", "is for pay-outs only")


def test_the_list_is_filtered(shop: ShopClient) -> None:
    shop.begin(uid="a", userId="u1", orderId="o1")
    second = shop.begin(uid="b", userId="u2", merchantReference="o1")
    shop.made("transaction", {**PAY_OUT, "uid": "c", "userId": "u1"})
    shop.tell(news("a", APPROVED))
    reversal = shop.act("a", "reverse", amount="5.00").json()

    def uids(**query: str) -> list[str]:
        return [one["uid"] or one["type"] for one in shop.get("transaction", **query)["data"]]

    assert uids() == ["reversal", "c", "b", "a"]
    assert uids(order="ascending") == ["a", "b", "c", "reversal"]
    assert uids(status="Pending") == ["c", "b"]
    assert uids(direction="pay_in") == ["b", "a"]
    assert uids(type="payment", user_id="u1") == uids(type="payment", userId="u1") == ["c", "a"]
    assert uids(type="payment", reference="o1") == ["b", "a"]
    parent = reversal["parentId"]
    assert uids(parent_id=parent) == uids(parentId=parent) == ["reversal"]
    assert uids(after=second["createdAt"]) == ["reversal", "c", "b"]
    assert uids(before=second["createdAt"]) == ["a"]


def test_the_list_comes_in_pages(shop: ShopClient) -> None:
    made = [shop.begin()["id"] for _ in range(5)]
    first = shop.get("transaction", limit=3)
    second = shop.get("transaction", limit=3, iterator=first["iterator"])
    assert (first["done"], second["done"]) == (False, True)
    assert [one["id"] for one in first["data"] + second["data"]] == made[::-1]


def test_what_is_no_filter_value_is_refused(shop: ShopClient, served: ServedGateway) -> None:
    for query in ({"status": "paid"}, {"direction": "in"}, {"type": "sale"}, {"before": "x"}):
        answer = served.http.get(f"{shop.path}/transaction", params=query)
        assert answer.status_code == 422


# ── amounts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("100", "EUR", "100.00"),
        ("0.01", "EUR", "0.01"),
        ("10.50000", "EUR", "10.50"),
        ("7", "JPY", "7"),
        ("1.234", "KWD", "1.234"),
        ("0.00000001", "BTC", "0.00000001"),
        ("92233720368547758.07", "EUR", "92233720368547758.07"),
    ],
)
def test_an_amount_is_kept_exactly(
    shop: ShopClient, amount: str, currency: str, shown: str
) -> None:
    made = shop.begin(amount=amount, currency=currency)
    assert (made["amount"], made["currency"]) == (shown, currency)


@pytest.mark.parametrize(
    "amount",
    [
        "", " ", "0", "0.00", "-1.00", "+1.00", "1.", ".5", "01.00", "1,00", "1.000,00", "1_000",
        "1e2", "0x10", "1.001", "NaN", "Infinity", "١٢٣", "１００", " 1.00", "1.00 ", "1.00\n",
        "100.00 EUR", "9" * 19, "9" * 5000, "92233720368547758.08", "1.0" + "0" * 40,
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(shop: ShopClient, amount: str) -> None:
    assert problem(shop.post("transaction", {**BEGIN, "amount": amount}))[0] == "body.amount"
    assert shop.get("transaction")["data"] == []


@pytest.mark.parametrize("written", ["100.00", "100", "1e2", "-5", "0.1", "true", "false"])
def test_a_number_is_no_amount_because_its_digits_are_lost(shop: ShopClient, written: str) -> None:
    body = f'{{"direction":"pay_in","amount":{written},"currency":"EUR"}}'
    answer = shop.http.post(f"{shop.path}/transaction", content=body)
    assert problem(answer) == ("body.amount", 'send the amount as text, like "100.00"')


@pytest.mark.parametrize("currency", ["ZZZ", "eur", "EU", "EURO", "XAU", "", "E\u0430R"])
def test_an_unknown_currency_is_refused(shop: ShopClient, currency: str) -> None:
    assert currency not in CURRENCIES
    assert problem(shop.post("transaction", {**BEGIN, "currency": currency}))[0] == "body.currency"


@pytest.mark.parametrize(
    "fields",
    [
        {"userId": "u" * 257},
        {"userId": ""},
        {"userId": 7},
        {"merchantReference": "m" * 257},
        {"orderId": "o" * 257},
        {"pspTransactionId": "p" * 257},
        {"sourceId": "nobody"},
        {"uid": "trx_06gztw31v02wv8pjmpbzbc6rhs"},
        {"uid": "a b"},
        {"metadata": {"a": "b" * 1025}},
        {"direction": "sideways"},
        {"direction": None},
        {"reserve": "yes"},
    ],
)
def test_what_is_out_of_bounds_is_told_where_it_is(
    shop: ShopClient, fields: dict[str, Any]
) -> None:
    place, _ = problem(shop.post("transaction", {**BEGIN, **fields}))
    assert place.startswith(f"body.{next(iter(fields))}")


def test_the_source_of_another_application_does_not_exist(
    served: ServedGateway, shop: ShopClient
) -> None:
    other = ShopClient(served)
    answer = shop.post("transaction", {**BEGIN, "sourceId": other.source["id"]})
    assert problem(answer) == ("body.sourceId", "there is no such source")


# ── once ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_again_is_the_same_transaction(shop: ShopClient) -> None:
    body = {**BEGIN, "uid": "u", "userId": "x"}
    made = shop.made("transaction", body)
    again = shop.post("transaction", body)
    assert (again.status_code, again.json()) == (200, made)
    shop.tell(news("u", APPROVED, psp_transaction_id="learned"))
    later = shop.post("transaction", body)
    assert (later.status_code, later.json()["status"]) == (200, "Approved")


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "100.01"},
        {"currency": "USD"},
        {"direction": "pay_out"},
        {"userId": "y"},
        {"userId": None},
        {"orderId": "o"},
        {"metadata": {"a": "b"}},
        {"pspTransactionId": "p"},
        {"sourceId": "psp"},
    ],
)
def test_another_matter_under_the_same_uid_is_refused(
    shop: ShopClient, fields: dict[str, Any]
) -> None:
    shop.begin(uid="u", userId="x")
    refused = shop.post("transaction", {**BEGIN, "uid": "u", "userId": "x", **fields})
    assert refused.status_code == 409
    assert refused.json()["code"] == "uid_taken"
    assert len(shop.get("transaction")["data"]) == 1


def test_fifty_at_once_with_one_uid_create_one(shop: ShopClient) -> None:
    body = {**BEGIN, "uid": "once"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: shop.post("transaction", body), range(50)))
    assert Counter(one.status_code for one in answers) == {201: 1, 200: 49}
    assert len({one.json()["id"] for one in answers}) == 1
    (found,) = shop.get("transaction")["data"]
    (step,) = shop.shown(found["id"])["transitions"]
    assert [one["id"] for one in shop.get("msg")["data"]] == [step["messageId"]]


def test_two_applications_may_use_one_uid(served: ServedGateway, shop: ShopClient) -> None:
    assert shop.begin(uid="mine")["id"] != ShopClient(served).begin(uid="mine")["id"]


def test_an_idempotency_key_repeats_the_answer(shop: ShopClient) -> None:
    headers = {"idempotency-key": "k1"}
    first, second = (
        shop.http.post(f"{shop.path}/transaction", json=BEGIN, headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(shop.get("transaction")["data"]) == 1


# ── who ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_of_another_application_sees_nothing(served: ServedGateway, shop: ShopClient) -> None:
    made = shop.begin(uid="u")
    other = ShopClient(served)
    with served.client(served.make_key("write", app_id=other.app_id)) as foreign:
        path = f"{shop.path}/transaction/{made['id']}"
        assert foreign.get(path).status_code == 404
        assert foreign.post(f"{path}/hold", json={"reason": "r"}).status_code == 404
        assert foreign.get(f"{other.path}/transaction/{made['id']}").status_code == 404
        assert foreign.get(f"{other.path}/transaction/u").status_code == 404
    assert shop.shown("u")["status"] == "Pending"


def test_a_read_key_may_look_and_not_act(served: ServedGateway, shop: ShopClient) -> None:
    made = shop.begin()
    with served.client(served.make_key("read")) as reader:
        assert reader.get(f"{shop.path}/transaction/{made['id']}").status_code == 200
        assert shop.act(made["id"], "hold", http=reader).status_code == 403
        assert reader.post(f"{shop.path}/transaction", json=BEGIN).status_code == 403


# ── told ─────────────────────────────────────────────────────────────────────────────────────────


def test_each_step_is_told_with_its_previous_status_and_sequence(shop: ShopClient) -> None:
    made = shop.made("transaction", {**PAY_OUT, "uid": "O", "userId": "u"})
    shop.act("O", "approve")
    shop.tell(news("O", APPROVED))

    told = [shop.received(step["messageId"])[0] for step in shop.shown(made["id"])["transitions"]]
    assert [one["type"] for one in told] == [
        "transaction.pending", "transaction.processing", "transaction.approved",
    ]  # fmt: skip
    steps = [(d["status"], d["previousStatus"], d["sequence"]) for d in (o["data"] for o in told)]
    assert steps == [
        ("Pending", None, 1), ("Processing", "Pending", 2), ("Approved", "Processing", 3),
    ]  # fmt: skip
    shown = shop.get("transaction", reference="O")["data"][0]
    assert told[-1]["data"] == shown
