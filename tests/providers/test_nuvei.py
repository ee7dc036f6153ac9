"""Nuvei: the vector of its plugin, what the checksum covers and what it does not."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cases import each
from tillbell.model.callbacks import Notice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.nuvei import PROVIDER

# Key, fields and checksum of NuveiValidateChecksumAspectTest in Nuvei/nuvei-plugin-sap-commerce.
KEY = "THE_SECRET_KEY"
SETUP = SourceSetup((KEY,))
VECTOR = {
    "totalAmount": "115",
    "currency": "USD",
    "responseTimeStamp": "2020-03-14.16:22:34",
    "PPP_TransactionID": "3453459",
    "Status": "APPROVED",
    "productId": "NA",
    "advanceResponseChecksum": "aaa9ad16c8ed9f172dff505e4eeb8929b9c77cfed3e38127d55d42e33a70c762",
    "merchant_id": "MERCHANT_ID",
    "merchant_site_id": "SITE_ID",
}


def posted(**changes: str) -> Incoming:
    body = urlencode({**VECTOR, **changes}).encode()
    return Incoming("POST", "/", (("content-type", "application/x-www-form-urlencoded"),), body, 0)


def trust(incoming: Incoming, setup: SourceSetup = SETUP) -> Trust | None:
    return PROVIDER.verify(incoming, setup).trust


def notice(config: dict[str, Any] | None = None, **changes: str) -> Notice:
    fields = {"transactionType": "Sale", "TransactionID": "tx2", **changes}
    (only,) = PROVIDER.parse(posted(**fields), SourceSetup((), config or {})).notices
    return only


def test_the_vector_of_the_plugin_is_proven_in_part() -> None:
    assert trust(posted()) is Trust.PARTIALLY_SIGNED


def test_a_dmn_may_be_a_get() -> None:
    incoming = Incoming("GET", "/x?" + urlencode(VECTOR), (), b"", 0)
    assert trust(incoming) is Trust.PARTIALLY_SIGNED


def test_the_status_may_have_a_small_letter() -> None:
    fields = {name: value for name, value in VECTOR.items() if name != "Status"}
    body = urlencode({**fields, "status": "APPROVED"}).encode()
    assert trust(Incoming("POST", "/", (), body, 0)) is Trust.PARTIALLY_SIGNED


@each(
    ("name", "value"),
    [
        ("totalAmount", "116"),
        ("currency", "EUR"),
        ("responseTimeStamp", "2020-03-14.16:22:35"),
        ("PPP_TransactionID", "3453458"),
        ("Status", "PENDING"),
        ("productId", ""),
        ("advanceResponseChecksum", ""),
        ("advanceResponseChecksum", "x"),
        ("advanceResponseChecksum", VECTOR["advanceResponseChecksum"][:-2]),
    ],
)
def test_what_is_covered_cannot_be_changed(name: str, value: str) -> None:
    assert trust(posted(**{name: value})) is None


def test_what_is_not_covered_gives_no_full_trust() -> None:
    assert trust(posted(transactionType="Credit")) is Trust.PARTIALLY_SIGNED
    assert PROVIDER.best_trust is Trust.PARTIALLY_SIGNED


def test_another_key_or_hash_is_refused() -> None:
    assert trust(posted(), SourceSetup((KEY + "x",))) is None
    assert trust(posted(), SourceSetup((KEY,), {"algorithm": "md5"})) is None


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_what_is_simulated_is_proven(algorithm: str) -> None:
    setup = SourceSetup((KEY,), {"algorithm": algorithm})
    incoming = PROVIDER.sign(SimulationCase(VECTOR), setup, "https://hooks.example/x")
    assert trust(incoming, setup) is Trust.PARTIALLY_SIGNED


def test_each_settle_is_a_capture_of_the_authorised_transaction() -> None:
    settle = notice(transactionType="Settle", relatedTransactionId="tx1")

    assert isinstance(settle, TransactionNotice)
    assert (settle.psp_transaction_id, settle.capture_id) == ("tx1", "tx2")
    assert settle.amount == ProviderAmount("115", "USD")


def test_a_failed_settle_leaves_the_payment_open() -> None:
    settle = notice(transactionType="Settle", relatedTransactionId="tx1", Status="DECLINED")

    assert isinstance(settle, TransactionNotice)
    assert (settle.status, settle.ends_attempt) == (TransactionStatus.PENDING, False)


def test_an_error_code_is_the_reason_and_zero_is_none() -> None:
    failed = notice(Status="ERROR", ErrCode="-1100", ReasonCode="0")
    approved = notice(ErrCode="0")

    assert isinstance(failed, TransactionNotice)
    assert isinstance(approved, TransactionNotice)
    assert (failed.reason, approved.reason) == ("-1100", None)


def test_a_word_of_no_table_means_nothing_until_its_owner_says() -> None:
    unknown = notice(transactionType="Payout")
    known = notice({"statuses": {"Payout APPROVED": "Approved"}}, transactionType="Payout")

    assert isinstance(unknown, TransactionNotice)
    assert isinstance(known, TransactionNotice)
    assert (unknown.status, known.status) == (None, TransactionStatus.APPROVED)


@each("changes", [{"transactionType": ""}, {"Status": ""}, {"TransactionID": ""}])
def test_a_dmn_without_its_fields_is_unreadable(changes: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        notice(None, **changes)
