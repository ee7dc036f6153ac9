"""Resend: what became of an e-mail, under headers that the svix library itself made."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from svix.webhooks import Webhook

from tests.walks.subscribed_shop import ProviderAccount, SubscribedShop
from tests.web.served_gateway import ServedGateway
from tillbell.providers.kit.cases import samples

pytestmark = pytest.mark.sqlite_first

ADDRESS = "ada@example.com"
EMAIL = "4c1f2a90-0000-4000-8000-000000000001"


class Mails:
    """An account at Resend, which signs with Svix's own code."""

    def __init__(self, shop: SubscribedShop) -> None:
        self.shop = shop
        self.account: ProviderAccount = shop.account(
            "resend", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        )
        self._svix = Webhook(self.account.secret)
        self._count = 0

    def post(self, case: str, msg_id: str = "", **of_mail: Any) -> httpx.Response:
        """Send a case as the next event, a second after the one before."""
        self._count += 1
        fields = samples("resend")[case].case.fields
        at = f"2026-05-01T08:43:{self._count:02}.000Z"
        body = {**fields, "created_at": at, "data": {**fields["data"], **of_mail}}
        return self.send(json.dumps(body), msg_id or f"msg_{self._count}")

    def send(self, body: str, msg_id: str, **wrong: str) -> httpx.Response:
        now = datetime.now(UTC) + timedelta(seconds=float(wrong.pop("late_s", "0")))
        headers = {
            "content-type": "application/json",
            "svix-id": msg_id,
            "svix-timestamp": str(int(now.timestamp())),
            "svix-signature": self._svix.sign(msg_id, now, body),
            **{name.replace("_", "-"): value for name, value in wrong.items()},
        }
        answer = httpx.post(self.account.url, content=body.encode(), headers=headers, verify=False)
        self.shop.served.wait_for_callbacks()
        return answer

    def status(self) -> str:
        return str(self.shop.get(f"email/resend:{EMAIL}")["status"])

    def suppressed(self) -> list[tuple[str, str]]:
        found = self.shop.get("suppression")["data"]
        return [(one["address"], one["reason"]) for one in found]


@pytest.fixture
def mails(served: ServedGateway) -> Mails:
    return Mails(SubscribedShop(served))


def test_an_email_is_sent_delivered_and_complained_of(mails: Mails) -> None:
    statuses = []
    for case in ("sent", "delivered", "opened", "clicked", "complained"):
        assert mails.post(case).status_code == 200
        statuses.append(mails.status())
    assert statuses == ["sent", "delivered", "delivered", "delivered", "complained"]
    told = mails.shop.told()
    assert [one["type"] for one in told] == [
        "email.sent",
        "email.delivered",
        "email.opened",
        "email.clicked",
        "email.complained",
    ]
    assert mails.suppressed() == [(ADDRESS, "complained")]


def test_only_a_bounce_for_good_closes_the_address(mails: Mails) -> None:
    mails.post("sent")
    mails.post("bounced-temporary")
    assert mails.suppressed() == []
    mails.post("bounced")
    assert mails.status() == "bounced"
    (bounced,) = mails.suppressed()
    assert bounced[1] == "bounced"


def test_a_suppressed_address_is_asked_for_and_let_go(mails: Mails) -> None:
    mails.post("complained")
    path = f"{mails.shop.path}/suppression/{ADDRESS}"
    assert mails.shop.http.get(path).json()["reason"] == "complained"
    assert mails.shop.http.delete(path).status_code == 204
    assert mails.shop.http.get(path).status_code == 404


def test_news_in_any_order_ends_the_same(mails: Mails) -> None:
    late = {"created_at": "2026-05-01T08:43:00.000Z"}
    mails.post("delivered")
    fields = {**samples("resend")["sent"].case.fields, **late}
    mails.send(json.dumps(fields), "msg_late")
    assert mails.status() == "delivered"


def test_an_event_that_comes_again_is_told_once(mails: Mails) -> None:
    for _ in range(3):
        assert mails.post("delivered", "msg_same").status_code == 200
    assert [one["type"] for one in mails.shop.told()] == ["email.delivered"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"svix_signature": "v1," + "A" * 43 + "="},
        {"svix_signature": ""},
        {"svix_id": "msg_other"},
        {"svix_timestamp": "1700000000"},
        {"late_s": "-301"},
        {"late_s": "303"},
    ],
)
def test_what_svix_did_not_sign_now_is_refused(mails: Mails, wrong: dict[str, str]) -> None:
    body = json.dumps(samples("resend")["complained"].case.fields)
    assert mails.send(body, "msg_1", **wrong).status_code == 401
    assert mails.shop.get("email")["data"] == []
    assert mails.suppressed() == []
    assert mails.send(body, "msg_1").status_code == 200
    assert mails.suppressed() == [(ADDRESS, "complained")]
