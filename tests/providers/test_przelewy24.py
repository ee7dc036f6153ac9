"""Przelewy24: vectors of a public library, what is covered, a payment that must be verified."""

import hashlib
import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.providers.przelewy24 import PROVIDER

# Both notifications, their keys and signs are those of the tests of mnastalski/przelewy24-php.
PAID_SETUP, REFUND_SETUP = SourceSetup(("bar",)), SourceSetup(("c4816521bf32ed54",))
PAID: dict[str, Any] = {
    "merchantId": 12345,
    "posId": 123,
    "sessionId": "0beec7",
    "amount": 1500,
    "originAmount": 1500,
    "currency": "PLN",
    "orderId": 123456789,
    "methodId": 32,
    "statement": "-".join(["p24", *(letter * 3 for letter in "XYZ")]),
    "sign": "703e946290d92230297c35d3bc8f554d4a458a4c97c9917665929c5ef5e682f7"
    "a868ac36e5dff20184c6a5302ef66c77",
}
REFUND: dict[str, Any] = {
    "orderId": 4295430336,
    "sessionId": "1e715675-a42b-4d0b-81bb-f7288915be76",
    "merchantId": 235316,
    "requestId": "dae85bdc-1b8e-45bc-99be-43c6868dcc29",
    "refundsUuid": "97920952-1d9b-4c90-9238-2b74ae0f48bb",
    "amount": 500,
    "currency": "PLN",
    "timestamp": 1697544677,
    "status": 0,
    "sign": "dad28db2e0336e595bc313e3c7282ab2ba2f265021f45b85271232901fefd4bc"
    "1329fd47aa4eb735ac818e2b82c4dc24",
}


def posted(body: dict[str, Any]) -> Incoming:
    return Incoming("POST", "/", (), json.dumps(body).encode(), 0)


@pytest.mark.parametrize(("body", "setup"), [(PAID, PAID_SETUP), (REFUND, REFUND_SETUP)])
def test_the_vectors_match(body: dict[str, Any], setup: SourceSetup) -> None:
    assert PROVIDER.verify(posted(body), setup).trust is Trust.SIGNED


@each("name", [name for name in PAID if name != "sign"])
def test_every_value_of_a_payment_is_covered(name: str) -> None:
    changed = PAID[name] + (1 if isinstance(PAID[name], int) else "x")
    assert PROVIDER.verify(posted({**PAID, name: changed}), PAID_SETUP).trust is None
    missing = {other: value for other, value in PAID.items() if other != name}
    assert PROVIDER.verify(posted(missing), PAID_SETUP).trust is None


@each("name", [name for name in REFUND if name not in ("sign", "requestId", "timestamp")])
def test_every_value_of_a_refund_that_is_read_is_covered(name: str) -> None:
    changed = REFUND[name] + (1 if isinstance(REFUND[name], int) else "x")
    assert PROVIDER.verify(posted({**REFUND, name: changed}), REFUND_SETUP).trust is None


@each(
    "changes",
    [
        {"sign": None},
        {"sign": "x"},
        {"sign": PAID["sign"][:-2]},
        {"amount": "1500"},
        {"amount": 1500.0},
        {"amount": True},
        {"sessionId": 7},
        {"refundsUuid": "1"},
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    assert PROVIDER.verify(posted({**PAID, **changes}), PAID_SETUP).trust is None


def test_letters_are_hashed_as_they_are_and_line_ends_as_php_writes_them() -> None:
    statement = "zażółć / „gęślą” \u2028"
    written = (
        '{"merchantId":12345,"posId":123,"sessionId":"0beec7","amount":1500,"originAmount":1500,'
        '"currency":"PLN","orderId":123456789,"methodId":32,'
        '"statement":"zażółć / „gęślą” \\u2028","crc":"bar"}'
    )
    sign = hashlib.sha384(written.encode()).hexdigest()
    body = {**PAID, "statement": statement, "sign": sign}
    assert PROVIDER.verify(posted(body), PAID_SETUP).trust is Trust.SIGNED


def test_that_somebody_paid_only_makes_us_ask() -> None:
    parsed = PROVIDER.parse(posted(PAID), PAID_SETUP)
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    assert notice.is_hint
    assert notice.status is None
    assert (notice.references.ours, notice.references.psp) == (("0beec7",), ("123456789",))
    assert parsed.dedupe_key == "", "it comes again until the merchant has verified it"


@pytest.mark.parametrize(
    ("word", "status"),
    [(0, TransactionStatus.APPROVED), (1, TransactionStatus.DECLINED), (2, None)],
)
def test_a_refund_belongs_to_its_payment(word: int, status: TransactionStatus | None) -> None:
    parsed = PROVIDER.parse(posted({**REFUND, "status": word}), REFUND_SETUP)
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    assert (notice.kind, notice.status) == (TransactionKind.REFUND, status)
    assert notice.amount == ProviderAmount("500", "PLN", is_minor=True)
    assert notice.psp_transaction_id == REFUND["refundsUuid"], "the request's id is not covered"
    assert notice.references.psp == ("4295430336",)
    assert notice.occurred_at is None, "the time is not covered"


def test_what_is_neither_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted({"orderId": 1}), PAID_SETUP)
