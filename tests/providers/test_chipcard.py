"""Chipcard: what its hash covers and what it does not, and what `00` means."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.chipcard import PROVIDER
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Incoming,
    IntakeStatus,
    SimulationCase,
    SourceSetup,
)

URL = "https://hooks.example/api/webhooks/chipcard"
FIELDS = {
    "merchantPaymentId": "ORD-1001",
    "sessionToken": "TOK123",
    "customerId": "CUST-7",
    "responseCode": "00",
    "responseMsg": "Approved",
    "pgTranId": "PG-778899",
    "pgTranRefId": "REF-5511",
    "cardBin": "42424242",
    "panLast4": "4242",
    "amount": "49.90",
    "currency": "EUR",
    "random": "a1b2c3",
}
HASH = (
    "daf3fc0b68ec41c0c7d84e6e1aa2b10b1bf8aba6af1bf28860dfabe7ad05246b"
    "d328bdea5c2f630be8206b2212da4ad3ed8b3b9ae2c5b02d3880856a404009c1"
)
HASH_WITHOUT_CUSTOMER = (
    "8ae3a6cb235767babe32c22258b132ea35bb3f74bc9c6bf83d0061a70e2219fd"
    "aac16e8147c7b89c275b673ef29bda6ec08bbc0d0ad8447a58ed35b31f906849"
)
KEYED = SourceSetup(("s3cr3t",))
FINAL = {"mode": "callback-is-final"}


def posted(**fields: str) -> Incoming:
    body = urlencode({name: value for name, value in fields.items() if value is not None})
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    return Incoming("POST", "/api/webhooks/chipcard", headers, body.encode(), 0)


def heard(setup: SourceSetup = KEYED, **changed: Any) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(**{**FIELDS, **changed}), setup).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize(("customer", "hash_"), [("CUST-7", HASH), ("", HASH_WITHOUT_CUSTOMER)])
def test_the_hash_over_five_fields_is_taken_in_either_case(customer: str, hash_: str) -> None:
    for written in (hash_, hash_.upper()):
        verdict = PROVIDER.verify(
            posted(**{**FIELDS, "customerId": customer, "sdSha512": written}), KEYED
        )
        assert verdict.trust is Trust.PARTIALLY_SIGNED


@pytest.mark.parametrize("name", ["merchantPaymentId", "sessionToken", "responseCode", "random"])
def test_a_covered_field_that_is_changed_is_refused(name: str) -> None:
    edited = {**FIELDS, name: "01", "sdSha512": HASH}

    assert PROVIDER.verify(posted(**edited), KEYED).trust is None


def test_the_amount_can_be_changed_so_the_hash_alone_is_not_a_whole_signature() -> None:
    edited = {**FIELDS, "amount": "1.00", "sdSha512": HASH}

    assert PROVIDER.verify(posted(**edited), KEYED).trust is Trust.PARTIALLY_SIGNED


def test_fields_that_could_be_cut_otherwise_are_refused() -> None:
    moved = {**FIELDS, "customerId": "CUST-7|TOK123", "sessionToken": "00", "sdSha512": HASH}

    assert "separator" in PROVIDER.verify(posted(**moved), KEYED).why


def test_the_deprecated_hash_proves_nothing() -> None:
    assert PROVIDER.verify(posted(**FIELDS, SD_SHA512=HASH), KEYED).trust is None


def test_an_empty_secret_is_refused_and_none_is_trusted_with_nothing() -> None:
    assert PROVIDER.verify(posted(**FIELDS), SourceSetup(("",))).trust is None
    assert PROVIDER.verify(posted(**FIELDS), SourceSetup()).trust is Trust.NONE


def test_a_secret_with_a_line_end_is_named_as_the_cause() -> None:
    verdict = PROVIDER.verify(posted(**FIELDS, sdSha512=HASH), SourceSetup(("s3cr3t\n",)))

    assert verdict.trust is None
    assert "line end" in verdict.why


def test_by_default_00_means_authenticated_and_only_a_look_up_can_approve() -> None:
    notice = heard()

    assert (notice.status, notice.substate, notice.is_hint) == (None, "authenticated", True)


@each(
    ("changed", "status", "substate"),
    [
        ({}, TransactionStatus.APPROVED, None),
        ({"transactionType": "PREAUTH"}, TransactionStatus.PENDING, "authorized"),
        ({"pgTranId": "", "auth3DToken": "3DS-1"}, None, "authenticated"),
        ({"responseCode": "01"}, TransactionStatus.ON_HOLD, None),
        ({"responseCode": "98"}, TransactionStatus.FAILED, None),
        ({"responseCode": "99"}, TransactionStatus.DECLINED, None),
        ({"responseCode": "51", "pgTranErrorCode": "51"}, TransactionStatus.DECLINED, None),
        ({"responseCode": "0"}, TransactionStatus.FAILED, None),
    ],
)
def test_codes_where_the_callback_is_final(
    changed: dict[str, str], status: TransactionStatus | None, substate: str | None
) -> None:
    notice = heard(SourceSetup(("s3cr3t",), FINAL), **changed)

    assert (notice.status, notice.substate) == (status, substate)


def test_a_payment_is_read_whole_and_its_card_only_in_part() -> None:
    notice = heard()

    assert notice.references.ours == ("ORD-1001",)
    assert notice.amount == ProviderAmount("49.90", "EUR")
    assert (notice.psp_transaction_id, notice.psp_reference) == ("PG-778899", "REF-5511")
    assert notice.details == {"cardBin": "424242", "cardLastFour": "4242"}


def test_field_names_in_another_case_are_read_and_twice_is_refused() -> None:
    lowered = {name.lower(): value for name, value in FIELDS.items()}

    assert PROVIDER.verify(posted(**lowered, SDSHA512=HASH), KEYED).trust is not None
    assert "twice" in PROVIDER.verify(posted(**FIELDS, AMOUNT="1", sdSha512=HASH), KEYED).why


def test_no_token_is_in_the_dedupe_key() -> None:
    without_id = {**FIELDS, "pgTranId": ""}

    assert PROVIDER.parse(posted(**FIELDS), KEYED).dedupe_key == "ORD-1001|PG-778899|00"
    assert "TOK123" not in (PROVIDER.parse(posted(**without_id), KEYED).dedupe_key or "")
    # What nobody has proven must not take the place of what is to come.
    assert PROVIDER.parse(posted(**FIELDS), SourceSetup()).dedupe_key is None


def test_the_payer_ends_on_the_page_for_success_or_error() -> None:
    pages = SourceSetup(
        (), {"successUrl": "https://shop.example/ok?a=1&b=2", "errorUrl": "https://e/x"}
    )

    good = PROVIDER.answer(posted(**FIELDS), pages, IntakeStatus.STORED)
    bad = PROVIDER.answer(posted(**{**FIELDS, "responseCode": "99"}), pages, IntakeStatus.STORED)
    refused = PROVIDER.answer(posted(**FIELDS), pages, IntakeStatus.REFUSED)

    assert (good.status, _location(good)) == (303, "https://shop.example/ok?a=1&b=2")
    assert b'href="https://shop.example/ok?a=1&amp;b=2"' in good.body
    assert (bad.status, _location(bad)) == (303, "https://e/x")
    assert (refused.status, _location(refused)) == (401, None)


def test_without_pages_the_payer_gets_a_small_one_that_repeats_nothing() -> None:
    shown = PROVIDER.answer(
        posted(**{**FIELDS, "responseMsg": "<script>"}), SourceSetup(), IntakeStatus.STORED
    )

    assert shown.status == 200
    assert b"<script>" not in shown.body


def test_what_is_signed_for_a_simulation_is_what_the_vector_says() -> None:
    made = PROVIDER.sign(SimulationCase(FIELDS), KEYED, URL)

    assert HASH.encode() in made.body


def _location(answer: CallbackAnswer) -> str | None:
    return dict(answer.headers).get("location")
