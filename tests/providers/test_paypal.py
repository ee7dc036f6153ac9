"""PayPal: the checksum, only pinned certificates, each transmission once, what belongs to what."""

import json
import zlib
from typing import Any

import pytest

from tests.cases import each
from tests.providers.pinned import another, pinned
from tillbell.model.callbacks import ForwardNotice, Notice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.kit.cases import samples
from tillbell.providers.paypal import CERTIFICATE_URL, PROVIDER

AT = 1_772_359_200_000_000
YEAR = 365 * 86_400_000_000
WEBHOOK = "1JE4291016473214C"


def setup(**config: Any) -> SourceSetup:
    return SourceSetup((WEBHOOK,), {**pinned(), **config})


def posted() -> Incoming:
    case = samples("paypal")["approved"].case._replace(at=AT)
    return PROVIDER.sign(case, setup(), "https://hooks.example/x")


def trust(incoming: Incoming, of: SourceSetup) -> Trust | None:
    return PROVIDER.verify(incoming, of).trust


def told(event: str, **resource: Any) -> Notice:
    body = json.dumps({"id": "WH-1", "event_type": event, "resource": resource}).encode()
    (notice,) = PROVIDER.parse(Incoming("POST", "/", (), body, AT), setup()).notices
    return notice


def test_the_checksum_is_the_published_one() -> None:
    assert zlib.crc32(b'{"id":"WH-1"}') == 838965618


def test_any_of_the_pinned_certificates_proves_it() -> None:
    both = another()["certificate"] + pinned()["certificate"]
    assert trust(posted(), setup()) is Trust.SIGNED
    assert trust(posted(), setup(certificate=both)) is Trust.SIGNED


@pytest.mark.parametrize("certificate", ["", "no PEM", None, 7])
def test_without_a_certificate_the_owner_is_told_which_to_pin(certificate: Any) -> None:
    verdict = PROVIDER.verify(posted(), setup(certificate=certificate))
    assert verdict.trust is None
    assert "config.certificate" in verdict.why


def test_another_certificate_or_webhook_proves_nothing() -> None:
    assert trust(posted(), setup(certificate=another()["certificate"])) is None
    assert trust(posted(), SourceSetup(("another",), pinned())) is None


@pytest.mark.parametrize("shift", [-2 * YEAR, 11 * YEAR])
def test_a_certificate_out_of_its_time_proves_nothing(shift: int) -> None:
    assert trust(posted()._replace(received_at=AT + shift), setup()) is None


@each(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/x",
        "https://api.paypal.com.evil.example/x",
        "https://evil.example/api.paypal.com",
        "https://api.paypal.com@evil.example/x",
        "https://api.paypal.com:8443/x",
        "https://[",
        "",
    ],
)
def test_a_certificate_of_elsewhere_is_refused(url: str) -> None:
    incoming = posted()
    headers = tuple((n, url if n == CERTIFICATE_URL else v) for n, v in incoming.headers)
    assert trust(incoming._replace(headers=headers), setup()) is None


def test_another_body_with_the_same_checksum_is_the_same_transmission() -> None:
    first = PROVIDER.parse(posted(), setup()).dedupe_key
    other = posted()._replace(body=b'{"id":"WH-2","event_type":"AN.EVENT","resource":{}}')
    assert PROVIDER.parse(other, setup()).dedupe_key == first == "evt_simulated"


def test_it_cannot_be_simulated_without_a_key() -> None:
    with pytest.raises(ValueError, match="simulatorKey"):
        PROVIDER.sign(SimulationCase({}), SourceSetup((WEBHOOK,)), "https://hooks.example/x")


def test_a_refund_belongs_to_the_capture_above_it() -> None:
    links = [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/CAP"}]
    notice = told("PAYMENT.CAPTURE.REFUNDED", id="REF", custom_id="ORD-1", links=links)

    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.psp_transaction_id) == (TransactionKind.REFUND, "REF")
    assert notice.references == References(("ORD-1",), ("CAP", "REF"))


def test_an_order_does_not_take_the_place_of_its_capture() -> None:
    notice = told("CHECKOUT.ORDER.APPROVED", id="ORDER", purchase_units=[{"custom_id": "c"}])

    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.psp_transaction_id) == (TransactionStatus.PENDING, None)
    assert notice.references == References(("c",), ("ORDER",))


@each("field", ["custom_id", "invoice_id"])
def test_one_configured_field_is_the_order(field: str) -> None:
    fields = {"custom_id": "custom", "invoice_id": "invoice"}
    body = {"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C", **fields}}
    incoming = Incoming("POST", "/", (), json.dumps(body).encode(), AT)
    (notice,) = PROVIDER.parse(incoming, setup(reference=field)).notices

    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == (fields[field],)


@each(
    ("code", "status", "is_closing"),
    [
        ("RESOLVED_BUYER_FAVOUR", TransactionStatus.APPROVED, False),
        ("RESOLVED_SELLER_FAVOUR", TransactionStatus.CANCELLED, True),
        ("RESOLVED_WITH_PAYOUT", TransactionStatus.CANCELLED, True),
        ("CANCELED_BY_BUYER", TransactionStatus.CANCELLED, True),
        ("DENIED", TransactionStatus.CANCELLED, True),
        ("NONE", TransactionStatus.CANCELLED, True),
        ("ACCEPTED", None, False),  # how much, and for whom, is not said
        ("OF_TOMORROW", None, False),
    ],
)
def test_a_dispute_counts_as_it_is_resolved(
    code: str, status: TransactionStatus | None, is_closing: bool
) -> None:
    notice = told(
        "CUSTOMER.DISPUTE.RESOLVED", dispute_id="PP-D-1", dispute_outcome={"outcome_code": code}
    )
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.CHARGEBACK, status)
    assert notice.is_closing is is_closing


def test_other_events_are_passed_on() -> None:
    notice = told("BILLING.SUBSCRIPTION.ACTIVATED", id="I-1")
    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == "paypal.billing.subscription.activated"


@pytest.mark.parametrize("event", ["", "x", "A", "A.B C", "A." + "B" * 200])
def test_an_event_that_is_none_of_theirs_is_unreadable(event: str) -> None:
    with pytest.raises(Unreadable):
        told(event, id="x")
