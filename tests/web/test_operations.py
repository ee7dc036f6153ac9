"""What people do to transactions over the API: with a reason, on record, and only what is legal."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.money.payment_harness import APPROVED, CANCELLED, FAILED, PENDING, REJECTED, linked, news
from tests.web.served_gateway import ServedGateway
from tests.web.shop_client import PAY_OUT, ShopClient
from tillbell.errors import Draining
from tillbell.model.callbacks import EmailNotice, ProviderAmount, ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import Direction, TransactionKind, TransactionStatus

STATUSES = {"hold": "On Hold", "approve": "Processing", "reject": "Rejected", "cancel": "Cancelled"}
EVERY_ACT = ["hold", "release", "approve", "reject", "cancel"]
ILLEGAL = [
    (Direction.PAY_IN, PENDING, ["release", "approve", "reject"]),
    (Direction.PAY_OUT, PENDING, ["release"]),
    *((way, ended, EVERY_ACT) for way in Direction for ended in (APPROVED, FAILED)),
]


@pytest.fixture
def shop(served: ServedGateway) -> ShopClient:
    return ShopClient(served)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ── hold, release, approve, reject, cancel ───────────────────────────────────────────────────────


@pytest.mark.parametrize("action", sorted(STATUSES))
def test_an_act_moves_the_transaction_and_is_on_record(shop: ShopClient, action: str) -> None:
    made = shop.begin(**PAY_OUT, uid="u", reserve=True)
    done = shop.act("u", action, reason="as the customer asked")

    assert done.status_code == 200
    shown = done.json()
    assert (shown["status"], shown["sequence"]) == (STATUSES[action], 2)
    assert shown["reason"] == "as the customer asked"
    step = shop.shown("u")["transitions"][-1]
    (entry,) = shop.get("audit", target=made["id"])["data"]
    assert (entry["action"], entry["reason"]) == (f"transaction.{action}", step["reason"])
    assert entry["actor"] == step["actor"]
    ended = action in ("reject", "cancel")
    assert shop.moved("u") == [("reserve", "100.00"), ("release", "100.00")][: 1 + ended]


def test_what_was_held_is_released(shop: ShopClient) -> None:
    shop.begin(uid="u")
    assert shop.act("u", "hold").json()["status"] == "On Hold"
    assert shop.act("u", "release").json()["status"] == "Pending"
    assert shop.shown("u")["sequence"] == 3


@pytest.mark.parametrize(("direction", "status", "illegal"), ILLEGAL)
def test_an_illegal_act_changes_nothing(
    shop: ShopClient, direction: Direction, status: TransactionStatus, illegal: list[str]
) -> None:
    made = shop.begin(uid="u", direction=direction.value)
    if status is not PENDING:
        shop.tell(news("u", status))
    before = shop.shown("u")
    for action in illegal:
        refused = shop.act("u", action)
        assert refusal(refused) == (409, "illegal_transition")
        detail = refused.json()["detail"]
        assert status.value in detail or "Only a pay-out" in detail
    assert shop.shown("u") == before
    assert shop.audited(made["id"]) == []


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "r" * 1001}])
@pytest.mark.parametrize("action", ["hold", "cancel", "reverse", "resend"])
def test_nothing_is_done_without_a_reason(
    shop: ShopClient, action: str, body: dict[str, str]
) -> None:
    made = shop.begin()
    assert shop.post(f"transaction/{made['id']}/{action}", body).status_code == 422
    assert shop.shown(made["id"])["sequence"] == 1
    assert shop.audited(made["id"]) == []


def test_of_many_acts_at_once_only_legal_ones_happen(shop: ShopClient) -> None:
    shop.begin(**PAY_OUT, uid="u", reserve=True)
    acts = ["approve", "reject", "cancel"] * 8
    with ThreadPoolExecutor(len(acts)) as pool:
        statuses = Counter(one.status_code for one in pool.map(lambda a: shop.act("u", a), acts))
    shown = shop.shown("u")
    assert set(statuses) == {200, 409}
    assert statuses[200] == shown["sequence"] - 1
    assert [one["sequence"] for one in shown["transitions"]] == [*range(1, shown["sequence"] + 1)]
    assert [kind for kind, _ in shop.moved("u")].count("release") <= 1


def test_an_act_that_comes_again_under_its_idempotency_key_is_done_once(shop: ShopClient) -> None:
    made = shop.begin(uid="u")
    path = f"{shop.path}/transaction/u/hold"
    headers = {"idempotency-key": "k"}
    answers = [shop.http.post(path, json={"reason": "r"}, headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert shop.audited(made["id"]) == [("transaction.hold", "r")]


def test_nothing_begins_or_moves_while_the_gateway_takes_nothing(
    served: ServedGateway, shop: ShopClient
) -> None:
    shop.begin(uid="u")
    try:
        # Any other one would be taken back by the next look at the disk.
        served.gateway.publisher.refusal = Draining("No room.")
        assert shop.post("transaction", PAY_OUT).status_code == 503
        assert shop.act("u", "hold").status_code == 503
    finally:
        served.gateway.publisher.refusal = None
    assert shop.act("u", "hold").status_code == 200


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────


def test_a_conflict_is_shown_with_what_it_claims(shop: ShopClient) -> None:
    conflict = shop.contradicted()
    assert (conflict["status"], conflict["current"]) == ("Approved", "Failed")
    assert (conflict["amount"], conflict["currency"]) == ("100.00", "EUR")
    assert conflict["resolution"] is None
    assert shop.shown("u")["conflicts"] == [conflict]
    assert shop.get("conflict", transaction="u")["data"] == [conflict]
    assert shop.get(f"conflict/{conflict['id']}") == conflict
    assert shop.get("conflict", transaction=conflict["transactionId"])["data"] == [conflict]
    assert shop.get("conflict", transaction="other")["data"] == []
    assert shop.moved("u") == []


def test_keeping_closes_a_conflict_and_moves_nothing(shop: ShopClient) -> None:
    conflict = shop.contradicted()
    done = shop.post(f"conflict/{conflict['id']}/keep", {"reason": "refunded elsewhere"})
    assert done.status_code == 200
    kept = done.json()
    assert (kept["resolution"], kept["resolutionReason"]) == ("keep", "refunded elsewhere")
    assert kept["resolvedBy"] is not None
    assert shop.shown("u")["status"] == "Failed"
    assert shop.moved("u") == []
    assert shop.get("conflict", open="true")["data"] == []
    assert shop.get("conflict")["data"] == [kept]
    assert shop.audited(conflict["id"]) == [("conflict.keep", "refunded elsewhere")]


def test_accepting_makes_it_true_and_says_what_it_supersedes(shop: ShopClient) -> None:
    conflict = shop.contradicted()
    done = shop.post(f"conflict/{conflict['id']}/accept", {"reason": "the bank says so"})
    assert (done.status_code, done.json()["resolution"]) == (200, "accept")
    shown = shop.shown("u")
    assert (shown["status"], shown["transitions"][-1]["supersedes"]) == ("Approved", 2)
    assert shop.moved("u") == [("credit", "100.00")]
    told = shop.received(shown["transitions"][-1]["messageId"])
    assert told[0]["data"]["previousStatus"] == "Failed"


def test_accepting_that_a_payment_failed_reverses_it(shop: ShopClient) -> None:
    conflict = shop.contradicted(APPROVED, CANCELLED)
    assert shop.post(f"conflict/{conflict['id']}/accept", {"reason": "r"}).status_code == 200
    shown = shop.shown("u")
    assert shown["status"] == "Approved"
    assert [(one["type"], one["amount"]) for one in shown["children"]] == [("reversal", "100.00")]
    assert shop.moved(shown["children"][0]["id"]) == [("debit", "100.00")]


def test_what_was_reversed_already_is_not_reversed_by_accepting(shop: ShopClient) -> None:
    conflict = shop.contradicted(APPROVED, CANCELLED)
    shop.act("u", "reverse")
    assert shop.post(f"conflict/{conflict['id']}/accept", {"reason": "r"}).status_code == 200
    assert [one["amount"] for one in shop.shown("u")["children"]] == ["100.00"]


def test_a_conflict_is_resolved_once(shop: ShopClient) -> None:
    conflict = shop.contradicted()
    paths = [f"conflict/{conflict['id']}/{choice}" for choice in ("keep", "accept") * 10]
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: shop.post(path, {"reason": "r"}), paths))
    assert Counter(one.status_code for one in answers) == {200: 1, 409: len(paths) - 1}
    refusals = {(a.json()["code"], a.json()["detail"]) for a in answers if a.status_code == 409}
    resolved = shop.get(f"conflict/{conflict['id']}")
    by = f"{resolved['resolution']}, by {resolved['resolvedBy']}"
    assert refusals == {("decided", f"It is resolved already: {by}.")}
    assert len(shop.audited(conflict["id"])) == 1
    assert shop.post("conflict/cfl_none/keep", {"reason": "r"}).status_code == 404


def test_a_conflict_of_another_application_does_not_exist(
    served: ServedGateway, shop: ShopClient
) -> None:
    conflict = shop.contradicted()
    other = ShopClient(served)
    assert other.get("conflict")["data"] == []
    refused = other.post(f"conflict/{conflict['id']}/keep", {"reason": "r"})
    assert refused.status_code == 404
    assert other.http.get(f"{other.path}/conflict/{conflict['id']}").status_code == 404
    assert len(shop.get("conflict", open="true")["data"]) == 1


# ── reverse ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("direction", "kind", "effect"),
    [("pay_in", "reversal", "debit"), ("pay_out", "return", "credit")],
)
def test_a_reversal_is_a_transaction_of_its_own(
    shop: ShopClient, direction: str, kind: str, effect: str
) -> None:
    made = shop.begin(uid="u", direction=direction)
    shop.tell(news("u", APPROVED))
    done = shop.act("u", "reverse", amount="30.00", reason="the bank took it back")
    assert done.status_code == 200
    child = done.json()
    assert (child["type"], child["status"], child["amount"]) == (kind, "Approved", "30.00")
    assert (child["parentId"], child["uid"]) == (made["id"], None)
    assert child["direction"] != direction
    assert shop.moved(child["id"]) == [(effect, "30.00")]
    parent = shop.shown("u")
    assert (parent["status"], parent["sequence"]) == ("Approved", 2)
    assert [one["id"] for one in parent["children"]] == [child["id"]]
    assert shop.audited(made["id"]) == [("transaction.reverse", "the bank took it back")]


def test_no_more_is_reversed_than_is_left(shop: ShopClient) -> None:
    shop.begin(uid="u")
    assert refusal(shop.act("u", "reverse")) == (409, "illegal_transition")
    shop.tell(news("u", APPROVED))
    shop.tell(linked("u", TransactionKind.REFUND, "R", amount="20.00"))
    assert shop.act("u", "reverse", amount="80.01").status_code == 422
    assert shop.act("u", "reverse", amount="50.00").status_code == 200
    assert shop.act("u", "reverse").json()["amount"] == "30.00"
    refused = shop.act("u", "reverse")
    assert refusal(refused) == (409, "illegal_transition")
    assert refused.json()["detail"] == "Nothing is left of it to go back."


def test_reversals_at_once_do_not_exceed_what_was_paid(shop: ShopClient) -> None:
    shop.begin(uid="u")
    shop.tell(news("u", APPROVED))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: shop.act("u", "reverse", amount="30.00"), range(12)))
    assert Counter(one.status_code for one in answers) == {200: 3, 422: 9}
    assert len(shop.shown("u")["children"]) == 3


@pytest.mark.parametrize("amount", [30.0, "0", "-1.00", "1.001", "1,00", "100.01"])
def test_what_is_no_amount_to_reverse_is_refused(shop: ShopClient, amount: Any) -> None:
    shop.begin(uid="u")
    shop.tell(news("u", APPROVED))
    assert shop.act("u", "reverse", amount=amount).status_code == 422
    assert shop.shown("u")["children"] == []


# ── resend ───────────────────────────────────────────────────────────────────────────────────────


def test_the_latest_step_is_told_again_with_the_same_id_and_bytes(shop: ShopClient) -> None:
    made = shop.begin(uid="u")
    shop.tell(news("u", APPROVED))
    latest = shop.shown("u")["transitions"][-1]["messageId"]
    shop.received(latest)
    done = shop.act("u", "resend", reason="they lost it")
    assert done.status_code == 200
    assert done.json() == {
        "messageId": latest,
        "eventType": "transaction.approved",
        "endpointIds": [shop.endpoint["id"]],
        "skipped": {},
    }
    first, again = shop.received(latest, 2)
    assert first == again
    assert shop.shown("u")["sequence"] == 2
    assert shop.audited(made["id"]) == [("transaction.resend", "they lost it")]


def test_a_resend_reaches_an_endpoint_that_was_made_later(
    shop: ShopClient, served: ServedGateway
) -> None:
    shop.begin(uid="u")
    message_id = shop.shown("u")["transitions"][-1]["messageId"]
    shop.received(message_id)
    late = shop.made("endpoint", {"url": served.receiver.url(f"/late/{shop.app_id}")})
    assert late["id"] in shop.act("u", "resend").json()["endpointIds"]
    served.wait_for_attempts(message_id, 3)
    (arrival,) = served.receiver.to(f"/late/{shop.app_id}")
    assert arrival.header("webhook-id") == message_id


def test_a_resend_that_nobody_hears_is_refused(shop: ShopClient, served: ServedGateway) -> None:
    made = shop.begin(uid="u")
    served.http.delete(f"{shop.path}/endpoint/{shop.endpoint['id']}")
    assert refusal(shop.act("u", "resend")) == (409, "no_endpoint")
    assert shop.audited(made["id"]) == []


def test_what_is_no_longer_kept_is_not_sent_again(shop: ShopClient, served: ServedGateway) -> None:
    shop.begin(uid="u")
    message_id = shop.shown("u")["transitions"][-1]["messageId"]
    shop.received(message_id)
    assert served.http.delete(f"{shop.path}/msg/{message_id}/content").status_code == 204
    assert refusal(shop.act("u", "resend")) == (409, "gone")


# ── audit, parcels, addresses ────────────────────────────────────────────────────────────────────


def test_the_audit_log_tells_who_did_what_in_pages(served: ServedGateway, shop: ShopClient) -> None:
    shop.begin(uid="u")
    with served.client(served.make_key("write")) as other:
        shop.act("u", "hold")
        shop.act("u", "release", http=other)
        shop.act("u", "cancel")
    first = shop.get("audit", limit=2)
    rest = shop.get("audit", limit=2, iterator=first["iterator"])
    found = first["data"] + rest["data"]
    found = [one for one in found if one["action"].startswith("transaction.")]
    assert [one["action"].split(".")[1] for one in found] == ["cancel", "release", "hold"]
    assert found[0]["actor"] == found[2]["actor"] != found[1]["actor"]
    assert "transaction." not in str(ShopClient(served).get("audit")["data"])


def test_a_parcel_is_found_by_its_code(shop: ShopClient) -> None:
    shop.tell(ShipmentNotice("TT1", "picked up", "in_transit", reference="O-1"))
    (listed,) = shop.get("shipment")["data"]
    assert shop.get("shipment/psp:TT1") == shop.get(f"shipment/{listed['id']}") == listed
    assert (listed["status"], listed["orderId"]) == ("in_transit", "O-1")
    assert (listed["rawStatus"], listed["carrier"]) == ("picked up", "psp")
    assert shop.http.get(f"{shop.path}/shipment/psp:TT2").status_code == 404


def test_an_email_shows_where_it_is(shop: ShopClient) -> None:
    told = EmailNotice("E1", "sent", ("ada@example.com",), metadata={"order": "O-1"})
    shop.tell(told)
    shop.tell(told._replace(event="delivered"))
    (listed,) = shop.get("email")["data"]
    assert shop.get("email/psp:E1") == shop.get(f"email/{listed['id']}") == listed
    assert (listed["status"], listed["orderId"], listed["version"]) == ("delivered", "O-1", 2)
    assert shop.http.get(f"{shop.path}/email/psp:E2").status_code == 404


def test_an_address_is_suppressed_until_it_is_let_go(shop: ShopClient) -> None:
    bounced = EmailNotice("E1", "bounced", ("Ada@Example.com",), bounce_type="permanent")
    shop.tell(bounced)
    (listed,) = shop.get("suppression")["data"]
    assert (listed["address"], listed["reason"]) == ("ada@example.com", "bounced")
    path = f"{shop.path}/suppression/Ada@Example.com"
    assert shop.http.get(path).json() == listed
    assert shop.http.delete(path).status_code == 204
    assert shop.audited(listed["id"]) == [("suppression.delete", "bounced by e-mail E1")]
    assert shop.http.get(path).status_code == shop.http.delete(path).status_code == 404
    shop.tell(bounced._replace(email_id="E2"))
    assert shop.http.get(path).status_code == 200


def test_parcels_and_addresses_of_another_application_do_not_exist(
    served: ServedGateway, shop: ShopClient
) -> None:
    shop.tell(ShipmentNotice("TT1", "x", "in_transit"))
    shop.tell(EmailNotice("E1", "complained", ("a@b.example",)), trust=Trust.SIGNED)
    other = ShopClient(served)
    for path in ("shipment/psp:TT1", "email/psp:E1", "suppression/a@b.example"):
        assert shop.http.get(f"{shop.path}/{path}").status_code == 200
        assert shop.http.get(f"{other.path}/{path}").status_code == 404
    assert served.http.delete(f"{other.path}/suppression/a@b.example").status_code == 404


def test_a_pay_out_that_was_rejected_and_then_approved_is_critical(shop: ShopClient) -> None:
    shop.begin(**PAY_OUT, uid="u", reserve=True)
    shop.act("u", "reject")
    shop.tell(news("u", APPROVED))
    (conflict,) = shop.get("conflict", open="true")["data"]
    assert (conflict["severity"], conflict["current"]) == ("critical", REJECTED.value)
    assert shop.moved("u") == [("reserve", "100.00"), ("release", "100.00")]


@pytest.mark.parametrize("told", ["amount", "settlement"])
def test_an_amount_beyond_all_bounds_is_looked_at_by_a_person(shop: ShopClient, told: str) -> None:
    shop.begin(uid="u")
    huge = ProviderAmount("999999999999999999.00", "EUR")
    shop.tell(news("u", APPROVED, **{told: huge}))
    (callback,) = shop.get("callback")["data"]
    expected = "mismatch" if told == "amount" else "applied"
    assert callback["outcome"] == expected
    assert shop.shown("u")["settlementAmount"] is None
