"""Four eyes: what a second API key must confirm before it is done."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.money.payment_harness import news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import PAY_OUT, ShopClient
from tillbell.model.transactions import TransactionStatus


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path_factory.mktemp("strict"), four_eyes=True) as made:
        yield made


@pytest.fixture
def careful(strict: ServedGateway) -> ShopClient:
    return ShopClient(strict)


@pytest.fixture
def second(strict: ServedGateway) -> Iterator[httpx.Client]:
    """The client of another key."""
    with strict.client(strict.make_key("write")) as client:
        yield client


@pytest.mark.parametrize(("action", "status"), [("approve", "Processing"), ("reject", "Rejected")])
def test_a_second_key_must_do_the_same(
    careful: ShopClient, second: httpx.Client, action: str, status: str
) -> None:
    made = careful.begin(**PAY_OUT, uid="u", reserve=True)
    for _ in range(2):  # the same key again is no second word
        proposed = careful.act("u", action)
        assert proposed.status_code == 202
        assert proposed.json()["code"] == "second_key_needed"
        assert proposed.json()["action"] == f"transaction.{action}"
    assert careful.shown("u")["status"] == "Pending"
    done = careful.act("u", action, http=second, reason="agreed")
    assert (done.status_code, done.json()["status"]) == (200, status)
    assert careful.audited(made["id"]) == [
        (f"transaction.{action}.proposed", "because"),
        (f"transaction.{action}.proposed", "because"),
        (f"transaction.{action}", "agreed"),
    ]


def test_another_act_in_between_ends_a_proposal(careful: ShopClient, second: httpx.Client) -> None:
    careful.begin(**PAY_OUT, uid="u")
    careful.act("u", "approve")
    assert careful.act("u", "reject", http=second).status_code == 202
    assert careful.act("u", "approve", http=second).status_code == 202
    assert careful.shown("u")["status"] == "Pending"


def test_a_proposal_that_was_used_is_used_up(careful: ShopClient, second: httpx.Client) -> None:
    careful.begin(**PAY_OUT, uid="u")
    careful.tell(news("u", TransactionStatus.ON_HOLD, sequence=1))
    careful.act("u", "approve")
    assert careful.act("u", "approve", http=second).status_code == 200
    careful.tell(news("u", TransactionStatus.ON_HOLD, sequence=2))
    assert careful.shown("u")["status"] == "On Hold"
    assert careful.act("u", "approve", http=second).status_code == 202


def test_a_resend_leaves_a_proposal_standing(careful: ShopClient, second: httpx.Client) -> None:
    careful.begin(**PAY_OUT, uid="u")
    careful.act("u", "approve")
    assert careful.act("u", "resend").status_code == 200
    assert careful.act("u", "approve", http=second).status_code == 200


def test_holding_and_cancelling_take_one_key(careful: ShopClient) -> None:
    careful.begin(**PAY_OUT, uid="u")
    for action in ("hold", "release", "cancel"):
        assert careful.act("u", action).status_code == 200


def test_a_second_key_must_name_the_same_transaction(
    careful: ShopClient, second: httpx.Client
) -> None:
    for uid in ("first", "other"):
        careful.begin(uid=uid, orderId="order")
    careful.tell(news("order", TransactionStatus.APPROVED, psp_transaction_id="A", amount="100.00"))
    (conflict,) = careful.get("conflict", open="true")["data"]
    path = f"conflict/{conflict['id']}/accept"
    body = {"reason": "seen", "transactionId": "first"}
    assert careful.post(path, body).status_code == 202
    assert careful.post(path, body | {"transactionId": "other"}, second).status_code == 202
    assert careful.post(path, body | {"transactionId": "other"}).status_code == 200
    assert careful.shown("first")["status"] == "Pending"
    assert careful.shown("other")["status"] == "Approved"


def test_accepting_a_conflict_takes_two_keys(careful: ShopClient, second: httpx.Client) -> None:
    conflict = careful.contradicted()
    path = f"conflict/{conflict['id']}/accept"
    assert careful.post(path, {"reason": "seen"}).status_code == 202
    assert careful.shown("u")["status"] == "Failed"
    done = careful.post(path, {"reason": "seen too"}, second)
    assert (done.status_code, done.json()["resolution"]) == (200, "accept")
    assert careful.shown("u")["status"] == "Approved"
