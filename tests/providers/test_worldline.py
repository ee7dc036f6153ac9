"""Worldline: the vector of its SDKs, operations of Direct, sums of Connect."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import Notice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.worldline import PROVIDER

# Key, signature and body of the tests of the SDKs of both platforms (WebhooksHelperTest).
KEY, KEY_ID = "hello+world", "dummy-key-id"
RIGHT = "2S7doBj/GnJnacIjSJzr5fxGM5xmfQyFAwxv1I53ZEk="
EVENT = {
    "apiVersion": "v1",
    "id": "8ee793f6-4553-4749-85dc-f2ef095c5ab0",
    "created": "2017-02-02T11:24:14.040+0100",
    "merchantId": "20000",
    "type": "payment.paid",
    "payment": {
        "id": "00000200000143570012",
        "paymentOutput": {
            "amountOfMoney": {"amount": 1000, "currencyCode": "EUR"},
            "references": {"paymentReference": "200001681810"},
            "paymentMethod": "bankTransfer",
            "bankTransferPaymentMethodSpecificOutput": {"paymentProductId": 11},
        },
        "status": "PAID",
        "statusOutput": {
            "isCancellable": False,
            "statusCategory": "COMPLETED",
            "statusCode": 1000,
            "statusCodeChangeDateTime": "20170202112414",
            "isAuthorized": True,
        },
    },
}
BODY = json.dumps(EVENT, indent=2).encode()
SETUP = SourceSetup((KEY,))


def posted(body: bytes, signature: str | None = RIGHT, key_id: str = KEY_ID) -> Incoming:
    signed = () if signature is None else (("x-gcs-signature", signature),)
    return Incoming("POST", "/", (("x-gcs-keyid", key_id), *signed), body, 0)


def notice(word: str, id_: str, code: int = 0, config: dict[str, Any] | None = None) -> Notice:
    name = word.partition(".")[0]
    resource = {
        "id": id_,
        f"{name}Output": {"amountOfMoney": {"amount": 500, "currencyCode": "JPY"}},
        "statusOutput": {"statusCode": code, "errors": [{"errorCode": "30511001"}]},
    }
    body = json.dumps({"id": "e1", "type": word, name: resource}).encode()
    (only,) = PROVIDER.parse(posted(body), SourceSetup((), config or {})).notices
    return only


def test_the_vector_of_the_sdks_is_proven_and_read() -> None:
    assert PROVIDER.verify(posted(BODY), SETUP).trust is Trust.SIGNED
    parsed = PROVIDER.parse(posted(BODY), SETUP)
    (only,) = parsed.notices

    assert isinstance(only, TransactionNotice)
    assert parsed.dedupe_key == EVENT["id"]
    assert only.status is TransactionStatus.APPROVED
    assert only.amount == ProviderAmount("1000", "EUR", is_minor=True, exponent=2)
    assert only.occurred_at == 1_486_031_054_040_000


@each(
    ("body", "signature", "key"),
    [
        (BODY.replace(b"11:24:14", b"11:25:14"), RIGHT, KEY),
        (BODY + b"\n", RIGHT, KEY),
        (json.dumps(EVENT).encode(), RIGHT, KEY),
        (BODY, RIGHT, "1" + KEY),
        (BODY, "1" + RIGHT, KEY),
        (BODY, RIGHT[:-1], KEY),
        (BODY, "", KEY),
        (BODY, None, KEY),
    ],
)
def test_what_the_sdks_refuse_is_refused(body: bytes, signature: str | None, key: str) -> None:
    assert PROVIDER.verify(posted(body, signature), SourceSetup((key,))).trust is None


def test_no_flipped_bit_is_accepted() -> None:
    for position in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[position // 8] ^= 1 << position % 8
        assert PROVIDER.verify(posted(bytes(flipped)), SETUP).trust is None


def test_a_source_may_name_its_key() -> None:
    named = SourceSetup((KEY,), {"keyId": KEY_ID})
    assert PROVIDER.verify(posted(BODY), named).trust is Trust.SIGNED
    assert PROVIDER.verify(posted(BODY, key_id="another"), named).trust is None
    assert PROVIDER.verify(posted(BODY, key_id="another"), SETUP).trust is Trust.SIGNED


def test_what_is_simulated_is_proven() -> None:
    setup = SourceSetup((KEY,), {"keyId": KEY_ID})
    incoming = PROVIDER.sign(SimulationCase(EVENT), setup, "https://hooks.example/x")
    assert PROVIDER.verify(incoming, setup).trust is Trust.SIGNED


def test_operations_of_direct_belong_to_one_payment() -> None:
    first = notice("payment.captured", "3136405348_1")
    second = notice("payment.captured", "3136405348_2")

    assert isinstance(first, TransactionNotice)
    assert isinstance(second, TransactionNotice)
    assert first.psp_transaction_id == second.psp_transaction_id == "3136405348"
    assert (first.capture_id, second.capture_id) == ("3136405348_1", "3136405348_2")
    assert "3136405348_0" in second.references.psp


@each(
    ("id_", "exponent"),
    [("3136405348_1", None), ("00000200000143570012", 2)],
)
def test_each_platform_counts_decimals_in_its_own_way(id_: str, exponent: int | None) -> None:
    only = notice("payment.paid", id_)

    assert isinstance(only, TransactionNotice)
    assert only.amount == ProviderAmount("500", "JPY", is_minor=True, exponent=exponent)


@each(
    ("id_", "code", "kind", "status", "ends"),
    [
        ("3136405348_0", 2, "payment", "Declined", True),
        ("00000200000143570012", 100, "payment", "Declined", True),
        ("3136405348_2", 83, "refund", "Failed", False),
        ("3136405348_2", 73, "refund", "Failed", False),
        ("3136405348_1", 63, "payment", None, False),
    ],
)
def test_a_refused_operation_refuses_no_payment(
    id_: str, code: int, kind: str, status: str | None, ends: bool
) -> None:
    only = notice("payment.rejected", id_, code)

    assert isinstance(only, TransactionNotice)
    assert only.kind is TransactionKind(kind)
    assert only.status == status
    assert only.ends_attempt is ends
    assert only.reason == "30511001"


def test_a_word_of_no_table_means_nothing_until_its_owner_says() -> None:
    unknown = notice("payment.thinking", "1_0")
    known = notice("payment.thinking", "1_0", config={"statuses": {"payment.thinking": "Pending"}})

    assert isinstance(unknown, TransactionNotice)
    assert isinstance(known, TransactionNotice)
    assert (unknown.status, known.status) == (None, TransactionStatus.PENDING)


@pytest.mark.parametrize("event", [{}, {"type": "payment.paid"}, {"type": "dispute.success"}])
def test_an_event_without_its_ids_is_unreadable(event: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(json.dumps(event).encode()), SETUP)
