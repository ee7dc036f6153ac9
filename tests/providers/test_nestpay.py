"""NestPay: the hash as the bank's sample makes it, what it does not cover, answers."""

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup, Unreadable
from tillbell.providers.nestpay import PROVIDER

SETUP = SourceSetup(("TEST|1234\\",))
FIELDS = {
    "clientid": "600000000",
    "oid": "ORD-1",
    "amount": "49.90",
    "currency": "941",
    "Response": "Approved",
    "ProcReturnCode": "00",
    "TransId": "TR-1",
    "BillToStreet2": "b|2",
    "BillToStreet12": " b\\12 ",
    "BillToName": "Ana &amp; Co",
    "encoding": "UTF-8",
}
# Sorted by name, as the sample does: amount, BillTo…, clientid, currency, oid, ProcReturnCode, …
NATURAL = r"49.90|Ana & Co|b\|2|b\\12|600000000|941|ORD-1|00|Approved|TR-1|TEST\|1234\\"
PLAIN = r"49.90|Ana &amp; Co|b\\12|b\|2|600000000|941|ORD-1|00|Approved|TR-1|TEST\|1234\\"


def hash_of(written: str) -> str:
    return base64.b64encode(hashlib.sha512(written.encode()).digest()).decode()


def posted(fields: dict[str, str]) -> Incoming:
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    return Incoming("POST", "/", headers, urlencode(fields).encode(), 0)


@pytest.mark.parametrize("written", [NATURAL, PLAIN])
def test_the_hash_of_the_sample_matches(written: str) -> None:
    incoming = posted({**FIELDS, "HASH": hash_of(written)})
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.PARTIALLY_SIGNED
    lower = posted({**FIELDS, "hash": hash_of(written)})
    assert PROVIDER.verify(lower, SETUP).trust is Trust.PARTIALLY_SIGNED


@each(
    "changes",
    [
        {"HASH": ""},
        {"HASH": "x"},
        {"HASH": hash_of(NATURAL)[:-4]},
        {"amount": "49.91"},
        {"oid": "ORD-2"},
        {"Response": "Declined"},
        {"BillToStreet2": "b", "BillToStreet12": "2"},
        {"extra": "1"},
        {"HASH2": "1"},
    ],
)
def test_anything_else_is_refused(changes: dict[str, str]) -> None:
    incoming = posted({**FIELDS, "HASH": hash_of(NATURAL), **changes})
    assert PROVIDER.verify(incoming, SETUP).trust is None


def test_the_names_of_fields_are_not_covered() -> None:
    """Which is why nothing more than `partially-signed` is claimed."""
    renamed = {name.replace("TransId", "TransIx"): value for name, value in FIELDS.items()}
    incoming = posted({**renamed, "HASH": hash_of(NATURAL)})
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.PARTIALLY_SIGNED
    assert PROVIDER.best_trust is Trust.PARTIALLY_SIGNED


def test_a_field_that_stands_twice_is_unreadable() -> None:
    twice = posted({**FIELDS, "HASH": hash_of(NATURAL), "response": "Declined"})
    assert PROVIDER.verify(twice, SETUP).trust is None
    with pytest.raises(Unreadable):
        PROVIDER.parse(twice, SETUP)


def read(config: dict[str, Any] | None = None, **changes: str) -> TransactionNotice:
    parsed = PROVIDER.parse(posted({**FIELDS, **changes}), SourceSetup(config=config or {}))
    assert parsed.dedupe_key is None
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize(
    ("changes", "status", "substate", "ends_attempt"),
    [
        ({}, TransactionStatus.APPROVED, None, False),
        ({"TranType": "PreAuth"}, TransactionStatus.PENDING, "authorized", False),
        ({"ProcReturnCode": "05"}, None, None, False),
        ({"Response": "Declined"}, TransactionStatus.DECLINED, None, True),
        ({"Response": "Error"}, TransactionStatus.FAILED, None, True),
        ({"Response": "Odd"}, None, None, False),
    ],
)
def test_response_and_code_must_agree(
    changes: dict[str, str],
    status: TransactionStatus | None,
    substate: str | None,
    *,
    ends_attempt: bool,
) -> None:
    notice = read({}, **changes)
    assert (notice.status, notice.substate, notice.ends_attempt) == (status, substate, ends_attempt)
    assert (notice.references.ours, notice.references.psp) == (("ORD-1",), ("TR-1",))
    assert notice.amount == ProviderAmount("49.90", "RSD")


def test_a_preauthorization_is_approved_if_that_is_final() -> None:
    notice = read({"authorizationIsFinal": True}, TranType="PreAuth")
    assert notice.status is TransactionStatus.APPROVED


def test_a_currency_that_is_not_known_stays_a_number() -> None:
    assert read(currency="152").amount == ProviderAmount("49.90", "152")


def test_of_a_card_only_its_ends_are_kept() -> None:
    notice = read(maskedCreditCard="4779 10** **** 6283")
    assert notice.details == {"cardBin": "477910", "cardLastFour": "6283"}


@pytest.mark.parametrize(
    ("response", "location"),
    [("Approved", "https://shop.example/ok"), ("Declined", "https://shop.example/no")],
)
def test_a_browser_goes_back_to_the_shop(response: str, location: str) -> None:
    urls = {"successUrl": "https://shop.example/ok", "errorUrl": "https://shop.example/no"}
    incoming = posted({**FIELDS, "Response": response})
    answer = PROVIDER.answer(incoming, SourceSetup(config=urls), IntakeStatus.STORED)
    assert (answer.status, dict(answer.headers)["location"]) == (303, location)


def test_a_banks_server_is_told_approved_and_nothing_is_captured() -> None:
    setup = SourceSetup(config={"sentBy": "server"})
    stored = PROVIDER.answer(posted(FIELDS), setup, IntakeStatus.STORED)
    refused = PROVIDER.answer(posted(FIELDS), setup, IntakeStatus.REFUSED)
    assert (stored.status, stored.body) == (200, b"APPROVED")
    assert (refused.status, refused.body) == (401, b"FAILURE")
