"""What people do to transactions over the API: with a reason, on record, and only what is legal."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.money.teller import APPROVED, CANCELLED, FAILED, PENDING, REJECTED, linked, news
from tests.web.site import Site
from tests.web.till import PAY_OUT, Till
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
def till(site: Site) -> Till:
    return Till(site)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ── hold, release, approve, reject, cancel ───────────────────────────────────────────────────────


@pytest.mark.parametrize("action", sorted(STATUSES))
def test_an_act_moves_the_transaction_and_is_on_record(till: Till, action: str) -> None:
    made = till.begin(**PAY_OUT, uid="u", reserve=True)
    done = till.act("u", action, reason="as the customer asked")

    assert done.status_code == 200
    shown = done.json()
    assert (shown["status"], shown["sequence"]) == (STATUSES[action], 2)
    assert shown["reason"] == "as the customer asked"
    step = till.shown("u")["transitions"][-1]
    (entry,) = till.get("audit", target=made["id"])["data"]
    assert (entry["action"], entry["reason"]) == (f"transaction.{action}", step["reason"])
    assert entry["actor"] == step["actor"]
    ended = action in ("reject", "cancel")
    assert till.moved("u") == [("reserve", "100.00"), ("release", "100.00")][: 1 + ended]


def test_what_was_held_is_released(till: Till) -> None:
    till.begin(uid="u")
    assert till.act("u", "hold").json()["status"] == "On Hold"
    assert till.act("u", "release").json()["status"] == "Pending"
    assert till.shown("u")["sequence"] == 3


@pytest.mark.parametrize(("direction", "status", "illegal"), ILLEGAL)
def test_an_illegal_act_changes_nothing(
    till: Till, direction: Direction, status: TransactionStatus, illegal: list[str]
) -> None:
    made = till.begin(uid="u", direction=direction.value)
    if status is not PENDING:
        till.tell(news("u", status))
    before = till.shown("u")
    for action in illegal:
        refused = till.act("u", action)
        assert refusal(refused) == (409, "illegal_transition")
        detail = refused.json()["detail"]
        assert status.value in detail or "Only a pay-out" in detail
    assert till.shown("u") == before
    assert till.audited(made["id"]) == []


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "r" * 1001}])
@pytest.mark.parametrize("action", ["hold", "cancel", "reverse", "resend"])
def test_nothing_is_done_without_a_reason(till: Till, action: str, body: dict[str, str]) -> None:
    made = till.begin()
    assert till.post(f"transaction/{made['id']}/{action}", body).status_code == 422
    assert till.shown(made["id"])["sequence"] == 1
    assert till.audited(made["id"]) == []


def test_of_many_acts_at_once_only_legal_ones_happen(till: Till) -> None:
    till.begin(**PAY_OUT, uid="u", reserve=True)
    acts = ["approve", "reject", "cancel"] * 8
    with ThreadPoolExecutor(len(acts)) as pool:
        statuses = Counter(one.status_code for one in pool.map(lambda a: till.act("u", a), acts))
    shown = till.shown("u")
    assert set(statuses) == {200, 409}
    assert statuses[200] == shown["sequence"] - 1
    assert [one["sequence"] for one in shown["transitions"]] == [*range(1, shown["sequence"] + 1)]
    assert [kind for kind, _ in till.moved("u")].count("release") <= 1


def test_an_act_that_comes_again_under_its_idempotency_key_is_done_once(till: Till) -> None:
    made = till.begin(uid="u")
    path = f"{till.path}/transaction/u/hold"
    headers = {"idempotency-key": "k"}
    answers = [till.http.post(path, json={"reason": "r"}, headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert till.audited(made["id"]) == [("transaction.hold", "r")]


def test_nothing_begins_or_moves_while_the_gateway_takes_nothing(site: Site, till: Till) -> None:
    till.begin(uid="u")
    try:
        # Any other one would be taken back by the next look at the disk.
        site.gateway.publisher.refusal = Draining("No room.")
        assert till.post("transaction", PAY_OUT).status_code == 503
        assert till.act("u", "hold").status_code == 503
    finally:
        site.gateway.publisher.refusal = None
    assert till.act("u", "hold").status_code == 200


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────


def test_a_conflict_is_shown_with_what_it_claims(till: Till) -> None:
    conflict = till.contradicted()
    assert (conflict["status"], conflict["current"]) == ("Approved", "Failed")
    assert (conflict["amount"], conflict["currency"]) == ("100.00", "EUR")
    assert conflict["resolution"] is None
    assert till.shown("u")["conflicts"] == [conflict]
    assert till.get("conflict", transaction="u")["data"] == [conflict]
    assert till.get(f"conflict/{conflict['id']}") == conflict
    assert till.get("conflict", transaction=conflict["transactionId"])["data"] == [conflict]
    assert till.get("conflict", transaction="other")["data"] == []
    assert till.moved("u") == []


def test_keeping_closes_a_conflict_and_moves_nothing(till: Till) -> None:
    conflict = till.contradicted()
    done = till.post(f"conflict/{conflict['id']}/keep", {"reason": "refunded elsewhere"})
    assert done.status_code == 200
    kept = done.json()
    assert (kept["resolution"], kept["resolutionReason"]) == ("keep", "refunded elsewhere")
    assert kept["resolvedBy"] is not None
    assert till.shown("u")["status"] == "Failed"
    assert till.moved("u") == []
    assert till.get("conflict", open="true")["data"] == []
    assert till.get("conflict")["data"] == [kept]
    assert till.audited(conflict["id"]) == [("conflict.keep", "refunded elsewhere")]


def test_accepting_makes_it_true_and_says_what_it_supersedes(till: Till) -> None:
    conflict = till.contradicted()
    done = till.post(f"conflict/{conflict['id']}/accept", {"reason": "the bank says so"})
    assert (done.status_code, done.json()["resolution"]) == (200, "accept")
    shown = till.shown("u")
    assert (shown["status"], shown["transitions"][-1]["supersedes"]) == ("Approved", 2)
    assert till.moved("u") == [("credit", "100.00")]
    told = till.received(shown["transitions"][-1]["messageId"])
    assert told[0]["data"]["previousStatus"] == "Failed"


def test_accepting_that_a_payment_failed_reverses_it(till: Till) -> None:
    conflict = till.contradicted(APPROVED, CANCELLED)
    assert till.post(f"conflict/{conflict['id']}/accept", {"reason": "r"}).status_code == 200
    shown = till.shown("u")
    assert shown["status"] == "Approved"
    assert [(one["type"], one["amount"]) for one in shown["children"]] == [("reversal", "100.00")]
    assert till.moved(shown["children"][0]["id"]) == [("debit", "100.00")]


def test_what_was_reversed_already_is_not_reversed_by_accepting(till: Till) -> None:
    conflict = till.contradicted(APPROVED, CANCELLED)
    till.act("u", "reverse")
    assert till.post(f"conflict/{conflict['id']}/accept", {"reason": "r"}).status_code == 200
    assert [one["amount"] for one in till.shown("u")["children"]] == ["100.00"]


def test_a_conflict_is_resolved_once(till: Till) -> None:
    conflict = till.contradicted()
    paths = [f"conflict/{conflict['id']}/{choice}" for choice in ("keep", "accept") * 10]
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: till.post(path, {"reason": "r"}), paths))
    assert Counter(one.status_code for one in answers) == {200: 1, 404: len(paths) - 1}
    assert len(till.audited(conflict["id"])) == 1


def test_a_conflict_of_another_application_does_not_exist(site: Site, till: Till) -> None:
    conflict = till.contradicted()
    other = Till(site)
    assert other.get("conflict")["data"] == []
    refused = other.post(f"conflict/{conflict['id']}/keep", {"reason": "r"})
    assert refused.status_code == 404
    assert other.http.get(f"{other.path}/conflict/{conflict['id']}").status_code == 404
    assert len(till.get("conflict", open="true")["data"]) == 1


# ── reverse ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("direction", "kind", "effect"),
    [("pay_in", "reversal", "debit"), ("pay_out", "return", "credit")],
)
def test_a_reversal_is_a_transaction_of_its_own(
    till: Till, direction: str, kind: str, effect: str
) -> None:
    made = till.begin(uid="u", direction=direction)
    till.tell(news("u", APPROVED))
    done = till.act("u", "reverse", amount="30.00", reason="the bank took it back")
    assert done.status_code == 200
    child = done.json()
    assert (child["type"], child["status"], child["amount"]) == (kind, "Approved", "30.00")
    assert (child["parentId"], child["uid"]) == (made["id"], None)
    assert child["direction"] != direction
    assert till.moved(child["id"]) == [(effect, "30.00")]
    parent = till.shown("u")
    assert (parent["status"], parent["sequence"]) == ("Approved", 2)
    assert [one["id"] for one in parent["children"]] == [child["id"]]
    assert till.audited(made["id"]) == [("transaction.reverse", "the bank took it back")]


def test_no_more_is_reversed_than_is_left(till: Till) -> None:
    till.begin(uid="u")
    assert refusal(till.act("u", "reverse")) == (409, "illegal_transition")
    till.tell(news("u", APPROVED))
    till.tell(linked("u", TransactionKind.REFUND, "R", amount="20.00"))
    assert till.act("u", "reverse", amount="80.01").status_code == 422
    assert till.act("u", "reverse", amount="50.00").status_code == 200
    assert till.act("u", "reverse").json()["amount"] == "30.00"
    refused = till.act("u", "reverse")
    assert refusal(refused) == (409, "illegal_transition")
    assert refused.json()["detail"] == "Nothing is left of it to reverse."


def test_reversals_at_once_do_not_exceed_what_was_paid(till: Till) -> None:
    till.begin(uid="u")
    till.tell(news("u", APPROVED))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: till.act("u", "reverse", amount="30.00"), range(12)))
    assert Counter(one.status_code for one in answers) == {200: 3, 422: 9}
    assert len(till.shown("u")["children"]) == 3


@pytest.mark.parametrize("amount", [30.0, "0", "-1.00", "1.001", "1,00", "100.01"])
def test_what_is_no_amount_to_reverse_is_refused(till: Till, amount: Any) -> None:
    till.begin(uid="u")
    till.tell(news("u", APPROVED))
    assert till.act("u", "reverse", amount=amount).status_code == 422
    assert till.shown("u")["children"] == []


# ── resend ───────────────────────────────────────────────────────────────────────────────────────


def test_the_latest_step_is_told_again_with_the_same_id_and_bytes(till: Till) -> None:
    made = till.begin(uid="u")
    till.tell(news("u", APPROVED))
    latest = till.shown("u")["transitions"][-1]["messageId"]
    till.received(latest)
    done = till.act("u", "resend", reason="they lost it")
    assert done.status_code == 200
    assert done.json() == {
        "messageId": latest,
        "eventType": "transaction.approved",
        "endpointIds": [till.endpoint["id"]],
    }
    first, again = till.received(latest, 2)
    assert first == again
    assert till.shown("u")["sequence"] == 2
    assert till.audited(made["id"]) == [("transaction.resend", "they lost it")]


def test_a_resend_reaches_an_endpoint_that_was_made_later(till: Till, site: Site) -> None:
    till.begin(uid="u")
    message_id = till.shown("u")["transitions"][-1]["messageId"]
    till.received(message_id)
    late = till.made("endpoint", {"url": site.receiver.url(f"/late/{till.app_id}")})
    assert late["id"] in till.act("u", "resend").json()["endpointIds"]
    site.wait_for_attempts(message_id, 3)
    (arrival,) = site.receiver.to(f"/late/{till.app_id}")
    assert arrival.header("webhook-id") == message_id


def test_a_resend_that_nobody_hears_is_refused(till: Till, site: Site) -> None:
    made = till.begin(uid="u")
    site.http.delete(f"{till.path}/endpoint/{till.endpoint['id']}")
    assert refusal(till.act("u", "resend")) == (409, "no_endpoint")
    assert till.audited(made["id"]) == []


def test_what_is_no_longer_kept_is_not_sent_again(till: Till, site: Site) -> None:
    till.begin(uid="u")
    message_id = till.shown("u")["transitions"][-1]["messageId"]
    till.received(message_id)
    assert site.http.delete(f"{till.path}/msg/{message_id}/content").status_code == 204
    assert refusal(till.act("u", "resend")) == (409, "gone")


# ── audit, parcels, addresses ────────────────────────────────────────────────────────────────────


def test_the_audit_log_tells_who_did_what_in_pages(site: Site, till: Till) -> None:
    till.begin(uid="u")
    with site.client(site.make_key("write")) as other:
        till.act("u", "hold")
        till.act("u", "release", http=other)
        till.act("u", "cancel")
    first = till.get("audit", limit=2)
    rest = till.get("audit", limit=2, iterator=first["iterator"])
    found = first["data"] + rest["data"]
    assert [one["action"].split(".")[1] for one in found] == ["cancel", "release", "hold"]
    assert found[0]["actor"] == found[2]["actor"] != found[1]["actor"]
    assert Till(site).get("audit")["data"] == []


def test_a_parcel_is_found_by_its_code(till: Till) -> None:
    till.tell(ShipmentNotice("TT1", "picked up", "in_transit", reference="O-1"))
    (listed,) = till.get("shipment")["data"]
    assert till.get("shipment/psp:TT1") == till.get(f"shipment/{listed['id']}") == listed
    assert (listed["status"], listed["orderId"]) == ("in_transit", "O-1")
    assert (listed["rawStatus"], listed["carrier"]) == ("picked up", "psp")
    assert till.http.get(f"{till.path}/shipment/psp:TT2").status_code == 404


def test_an_email_shows_where_it_is(till: Till) -> None:
    told = EmailNotice("E1", "sent", ("ada@example.com",), metadata={"order": "O-1"})
    till.tell(told)
    till.tell(told._replace(event="delivered"))
    (listed,) = till.get("email")["data"]
    assert till.get("email/psp:E1") == till.get(f"email/{listed['id']}") == listed
    assert (listed["status"], listed["orderId"], listed["version"]) == ("delivered", "O-1", 2)
    assert till.http.get(f"{till.path}/email/psp:E2").status_code == 404


def test_an_address_is_suppressed_until_it_is_let_go(till: Till) -> None:
    bounced = EmailNotice("E1", "bounced", ("Ada@Example.com",), bounce_type="permanent")
    till.tell(bounced)
    (listed,) = till.get("suppression")["data"]
    assert (listed["address"], listed["reason"]) == ("ada@example.com", "bounced")
    path = f"{till.path}/suppression/Ada@Example.com"
    assert till.http.get(path).json() == listed
    assert till.http.delete(path).status_code == 204
    assert till.audited(listed["id"]) == [("suppression.delete", "bounced by e-mail E1")]
    assert till.http.get(path).status_code == till.http.delete(path).status_code == 404
    till.tell(bounced._replace(email_id="E2"))
    assert till.http.get(path).status_code == 200


def test_parcels_and_addresses_of_another_application_do_not_exist(site: Site, till: Till) -> None:
    till.tell(ShipmentNotice("TT1", "x", "in_transit"))
    till.tell(EmailNotice("E1", "complained", ("a@b.example",)), trust=Trust.SIGNED)
    other = Till(site)
    for path in ("shipment/psp:TT1", "email/psp:E1", "suppression/a@b.example"):
        assert till.http.get(f"{till.path}/{path}").status_code == 200
        assert till.http.get(f"{other.path}/{path}").status_code == 404
    assert site.http.delete(f"{other.path}/suppression/a@b.example").status_code == 404


def test_a_pay_out_that_was_rejected_and_then_approved_is_critical(till: Till) -> None:
    till.begin(**PAY_OUT, uid="u", reserve=True)
    till.act("u", "reject")
    till.tell(news("u", APPROVED))
    (conflict,) = till.get("conflict", open="true")["data"]
    assert (conflict["severity"], conflict["current"]) == ("critical", REJECTED.value)
    assert till.moved("u") == [("reserve", "100.00"), ("release", "100.00")]


@pytest.mark.parametrize("told", ["amount", "settlement"])
def test_an_amount_beyond_all_bounds_is_looked_at_by_a_person(till: Till, told: str) -> None:
    till.begin(uid="u")
    huge = ProviderAmount("999999999999999999.00", "EUR")
    till.tell(news("u", APPROVED, **{told: huge}))
    (callback,) = till.get("callback")["data"]
    expected = "mismatch" if told == "amount" else "applied"
    assert callback["outcome"] == expected
    assert till.shown("u")["settlementAmount"] is None
