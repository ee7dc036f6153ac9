"""DHL: the token in a header of the owner's choice, subscriptions, times, returns, references."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.clock import iso
from tillbell.model.callbacks import NoteNotice, ShipmentNotice
from tillbell.model.sources import Trust
from tillbell.providers.dhl import PROVIDER
from tillbell.providers.kit.base import Incoming, SourceSetup

SETUP = SourceSetup(("token-of-the-shop",))


def posted(*headers: tuple[str, str], **body: Any) -> Incoming:
    return Incoming("POST", "/x", headers, json.dumps(body).encode(), 0)


def told(setup: SourceSetup = SETUP, status: Any = None, **shipment: Any) -> ShipmentNotice:
    known = {"id": "JD1", "status": {"statusCode": "transit"} if status is None else status}
    body = {"scope": "subscription.push", "shipments": [{**known, **shipment}]}
    (notice,) = PROVIDER.parse(posted(**body), setup).notices
    assert isinstance(notice, ShipmentNotice)
    return notice


def test_the_token_stands_in_the_header_that_the_owner_chose() -> None:
    chosen = SourceSetup(SETUP.secrets, {"tokenHeader": "X-Shop-Token"})
    default = posted(("x-dhl-token", "token-of-the-shop"))
    other = posted(("x-shop-token", "token-of-the-shop"))
    assert PROVIDER.verify(default, SETUP).trust is Trust.SECRET
    assert PROVIDER.verify(other, chosen).trust is Trust.SECRET
    assert PROVIDER.verify(default, chosen).trust is None
    assert PROVIDER.verify(other, SETUP).trust is None


@each("token", ["", "token-of-the-shoq", "token-of-the-shop ", "é"])
def test_another_token_is_refused(token: str) -> None:
    verdict = PROVIDER.verify(posted(("x-dhl-token", token)), SETUP)
    assert verdict.trust is None
    assert "token-of-the-shop" not in verdict.why


def test_a_new_subscription_says_how_to_activate_it() -> None:
    body = {"scope": "subscription.validate", "self": "https://api-eu.dhl.com/s/1", "secret": "s3"}
    (notice,) = PROVIDER.parse(posted(**body), SETUP).notices
    assert isinstance(notice, NoteNotice)
    assert "https://api-eu.dhl.com/s/1" in notice.text
    assert "s3" in notice.text


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        ("2026-05-01T10:43:00+02:00", "2026-05-01T08:43:00"),
        ("2026-05-01T08:43:00Z", "2026-05-01T08:43:00"),
        ("2026-05-01T10:43:00", None),
        ("2026-05-01", None),
        ("soon", None),
        (None, None),
    ],
)
def test_only_a_time_with_an_offset_is_believed(timestamp: str | None, at: str | None) -> None:
    occurred_at = told(status={"statusCode": "transit", "timestamp": timestamp}).occurred_at
    assert (iso(occurred_at)[:19] if occurred_at is not None else None) == at


@each(
    ("code", "return_flag", "status"),
    [
        ("Delivered", False, "delivered"),
        ("delivered", True, "returned"),
        ("transit", True, "in_transit"),
        ("unknown", False, None),
        ("teleported", False, None),
        (None, False, None),
    ],
)
def test_what_the_codes_mean(code: str | None, return_flag: bool, status: str | None) -> None:
    assert told(status={"statusCode": code}, returnFlag=return_flag).status == status


def test_the_owner_says_which_reference_is_the_orders() -> None:
    references = [
        {"type": "housebill", "number": "H1"},
        {"type": "ecommerce-number", "number": "E1"},
        {"type": "customer-reference", "number": "O1"},
    ]
    details = {"references": references}
    ecommerce = SourceSetup(SETUP.secrets, {"reference": "ecommerce-number"})
    assert told(details=details).reference == "O1"
    assert told(ecommerce, details=details).reference == "E1"
    assert told(details={"references": references[:1]}).reference is None


def test_a_message_about_no_parcel_is_noted() -> None:
    body = {"scope": "subscription.push", "shipments": []}
    (notice,) = PROVIDER.parse(posted(**body), SETUP).notices
    assert isinstance(notice, NoteNotice)
