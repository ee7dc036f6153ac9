"""Neosurf: a hash without separators."""

from typing import Any
from urllib.parse import urlencode

import msgspec

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup
from tillbell.providers.kit.cases import samples
from tillbell.providers.neosurf import PROVIDER

KEYED = SourceSetup(("neo-demo-secret",))
CASE = dict(samples("neosurf")["approved"].case.fields)
VECTOR = {**CASE, "subMerchantId": "shop.example"}
HASH = (
    "2ead7295d71208ba9f1220af205f641582586440569809475c25d91ec0f10fb1"
    "a568b01b54c18cd613b5c9edcd50372e1c11a41a4f5be9a84caeb57dee941dd9"
)


def posted(**changed: str) -> Incoming:
    body = urlencode({**VECTOR, "hash": HASH, **changed}).encode()
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    return Incoming("POST", "/api/webhooks/neosurf", headers, body, 0)


def heard(setup: SourceSetup = KEYED, **changed: str) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(**changed), setup).notices
    assert isinstance(notice, TransactionNotice)
    return notice


def test_the_hash_over_all_values_matches_in_either_case() -> None:
    for written in (HASH, HASH.upper()):
        verdict = PROVIDER.verify(posted(hash=written), KEYED)
        assert verdict.trust is Trust.PARTIALLY_SIGNED


def test_a_field_that_was_added_on_the_way_is_left_out() -> None:
    assert PROVIDER.verify(posted(utm_source="x"), KEYED).trust is Trust.PARTIALLY_SIGNED


FIELDS = """
    amount created currency errorCode errorMessage merchantId merchantTransactionId
    methodChargedAmount methodCurrency methodExpiry methodId methodLabel methodName
    status subMerchantId transaction3d transactionId
"""


@each("name", FIELDS.split())
def test_every_field_is_covered(name: str) -> None:
    assert PROVIDER.verify(posted(**{name: "changed"}), KEYED).trust is None


def test_json_is_taken_too() -> None:
    body = msgspec.json.encode({**VECTOR, "amount": 2500, "transaction3d": None, "hash": HASH})
    headers = (("content-type", "application/json"),)
    incoming = Incoming("POST", "/", headers, body, 0)
    assert PROVIDER.verify(incoming, KEYED).trust is Trust.PARTIALLY_SIGNED
    nested = Incoming("POST", "/", headers, b'{"hash":"00","amount":[1]}', 0)
    assert PROVIDER.verify(nested, KEYED).trust is None


def test_the_border_between_two_fields_is_not_proven_so_it_is_not_signed() -> None:
    moved = {"amount": "25002", "created": VECTOR["created"][1:]}
    verdict = PROVIDER.verify(posted(**moved), KEYED)
    assert verdict.trust is Trust.PARTIALLY_SIGNED
    assert heard(**moved).amount == ProviderAmount(
        "25002", "EUR", is_minor=True
    )  # the record disagrees


@each(
    ("changed", "status"),
    [
        ({}, TransactionStatus.APPROVED),
        ({"status": "OK"}, TransactionStatus.APPROVED),
        ({"errorCode": "113"}, TransactionStatus.FAILED),
        ({"status": "ko", "errorCode": "113"}, TransactionStatus.DECLINED),
        ({"status": "pending"}, TransactionStatus.PENDING),
        ({"status": "refunded"}, None),
    ],
)
def test_nothing_with_an_error_is_paid(
    changed: dict[str, Any], status: TransactionStatus | None
) -> None:
    assert heard(**changed).status is status


def test_an_owners_word_replaces_what_was_concluded() -> None:
    own: dict[str, Any] = {"statuses": {"ko": "Failed", "done": "Approved"}}
    setup = SourceSetup(KEYED.secrets, own)
    assert heard(setup, status="ko").status is TransactionStatus.FAILED
    assert heard(setup, status="done").status is TransactionStatus.APPROVED
    assert heard(setup, status="done", errorCode="9").status is TransactionStatus.FAILED
