"""Trust Payments: a hash inside the form, old sites, and fields nobody asked for."""

from typing import Any
from urllib.parse import urlencode

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup
from tillbell.providers.kit.sortedhash import sorted_hash
from tillbell.providers.trustpayments import PROVIDER

KEYED = SourceSetup(("PASSWORD",))
FIELDS = {
    "baseamount": "4990",
    "currencyiso3a": "EUR",
    "errorcode": "0",
    "orderreference": "ORD-1001",
    "paymenttypedescription": "VISA",
    "requestreference": "R-55",
    "settlestatus": "0",
    "sitereference": "test_shop1",
    "transactionreference": "57-9-1001",
}
HASH = "dd20ceda90ca67cddd613b6e5b38fa75eb03991c9d4110f31a1009ff656e4679"
UNSIGNED = {"notificationreference": "9-77", "responsesitesecurity": HASH}


def posted(**changed: str | None) -> Incoming:
    found = {**FIELDS, **UNSIGNED, **changed}
    body = urlencode({name: value for name, value in found.items() if value is not None})
    return Incoming("POST", "/api/webhooks/trustpayments", (), body.encode(), 0)


def with_config(**config: Any) -> SourceSetup:
    return SourceSetup(KEYED.secrets, config)


def heard(setup: SourceSetup = KEYED, **changed: str | None) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(**changed), setup).notices
    assert isinstance(notice, TransactionNotice)
    return notice


def test_the_published_string() -> None:
    values = {"a": "0", "b": "OrderVISA", "c": "", "d": "RR5", "e": "550test_site123452-44-66"}
    assert sorted_hash("sha256", values, "PASSWORD", ()).hex() == (
        "1a8b45c137c1d1df8ce6ff923421043f879a85a181e9c0d96a8904211af8b0b0"
    )


def test_the_hash_leaves_out_itself_the_notifications_own_reference_and_blanks() -> None:
    for more in ({}, {"notificationreference": "other"}, {"authcode": ""}):
        assert PROVIDER.verify(posted(**more), KEYED).trust is Trust.SIGNED


@each("name", sorted(FIELDS))
def test_every_field_is_covered(name: str) -> None:
    assert PROVIDER.verify(posted(**{name: "x"}), KEYED).trust is None
    assert PROVIDER.verify(posted(**{name: None}), KEYED).trust is None


def test_a_space_at_the_end_of_a_value_counts() -> None:
    assert PROVIDER.verify(posted(orderreference="ORD-1001 "), KEYED).trust is None
    fields = {**FIELDS, "orderreference": "ORD-1001 "}
    signed = sorted_hash("sha256", fields, "PASSWORD", ()).hex()
    incoming = posted(orderreference="ORD-1001 ", responsesitesecurity=signed)
    assert PROVIDER.verify(incoming, KEYED).trust is Trust.SIGNED


def test_an_old_site_that_hashes_with_md5_is_named() -> None:
    old = posted(responsesitesecurity=sorted_hash("md5", FIELDS, "PASSWORD", ()).hex())
    refused = PROVIDER.verify(old, KEYED)
    assert refused.trust is None
    assert "MD5" in refused.why
    assert PROVIDER.verify(old, with_config(algorithm="md5")).trust is Trust.SIGNED
    assert PROVIDER.verify(posted(), with_config(algorithm="md5")).trust is None


def test_a_part_of_a_value_moved_to_a_field_nobody_asked_for_is_refused_where_they_are_listed() -> (
    None
):
    declined = {**FIELDS, "errorcode": "70000"}
    signed = sorted_hash("sha256", declined, "PASSWORD", ()).hex()
    forged = posted(dummy="7000", errorcode="0", responsesitesecurity=signed)
    verdict = PROVIDER.verify(forged, with_config(fields=list(FIELDS)))
    assert verdict.trust is None
    assert "dummy" in verdict.why
    honest = posted(errorcode="70000", responsesitesecurity=signed)
    assert PROVIDER.verify(honest, with_config(fields=list(FIELDS))).trust is Trust.SIGNED


@each(
    ("code", "settlement", "status"),
    [
        ("0", "0", TransactionStatus.APPROVED),
        ("0", "1", TransactionStatus.APPROVED),
        ("0", "10", TransactionStatus.APPROVED),
        ("0", "100", TransactionStatus.APPROVED),
        ("0", "2", TransactionStatus.ON_HOLD),
        ("0", "3", TransactionStatus.CANCELLED),
        ("0", "7", None),
        ("0", None, None),
        ("70000", "3", TransactionStatus.DECLINED),
        ("70000", "100", TransactionStatus.DECLINED),
        ("30000", "0", TransactionStatus.FAILED),
        ("60010", None, TransactionStatus.PENDING),
        ("60034", "3", TransactionStatus.PENDING),
        ("79000", None, TransactionStatus.PENDING),
        ("99999", None, TransactionStatus.PENDING),
        ("60500", None, TransactionStatus.ON_HOLD),
        ("71000", "3", TransactionStatus.DECLINED),
        ("12345", "3", None),
        ("none", "0", None),
    ],
)
def test_the_error_goes_before_the_settlement(
    code: str, settlement: str | None, status: TransactionStatus | None
) -> None:
    assert heard(errorcode=code, settlestatus=settlement).status is status


def test_a_site_that_only_authorizes_is_paid_when_it_is_settled() -> None:
    setup = with_config(authorizationIsFinal=False)
    waiting, settled = heard(setup), heard(setup, settlestatus="100")
    assert (waiting.status, waiting.substate) == (TransactionStatus.PENDING, "authorized")
    assert settled.status is TransactionStatus.APPROVED


def test_a_refund_names_its_payment_and_another_type_is_not_guessed() -> None:
    refund = heard(
        requesttypedescription="REFUND",
        baseamount="1500",
        transactionreference="57-9-1004",
        parenttransactionreference="57-9-1001",
    )
    assert (refund.kind, refund.psp_transaction_id) == (TransactionKind.REFUND, "57-9-1004")
    assert refund.references == (("ORD-1001",), ("57-9-1001",))
    assert refund.amount == ProviderAmount("1500", "EUR", is_minor=True)
    assert heard(requesttypedescription="TRANSACTIONUPDATE").status is None


def test_a_request_that_moves_no_money_is_noted() -> None:
    (notice,) = PROVIDER.parse(posted(requesttypedescription="ACCOUNTCHECK"), KEYED).notices
    assert isinstance(notice, NoteNotice)


def test_a_refused_attempt_leaves_the_payer_another_one() -> None:
    assert heard(errorcode="70000", settlestatus="3").ends_attempt
    assert not heard(settlestatus="3").ends_attempt
    assert not heard(errorcode="79000").ends_attempt
    assert not heard(errorcode="70000", requesttypedescription="REFUND").ends_attempt


def test_a_payment_that_repeats_another_one_is_not_that_other_one() -> None:
    repeated = heard(parenttransactionreference="57-9-0900")
    assert repeated.references.psp == ("57-9-1001",)


def test_what_is_settled_counts_where_it_is_told() -> None:
    settled = heard(settlestatus="100", settlebaseamount="3000")
    assert settled.amount == ProviderAmount("3000", "EUR", is_minor=True)
    assert heard(settlestatus="2", settlebaseamount="3000").amount == ProviderAmount(
        "4990", "EUR", is_minor=True
    )


def test_the_reference_is_one_configured_field() -> None:
    assert heard(customfield1="C-1").references.ours == ("ORD-1001",)
    custom = heard(with_config(reference="customfield1"), customfield1="C-1")
    assert custom.references.ours == ("C-1",)


def test_the_unsigned_number_of_a_notification_does_not_make_it_a_repeat() -> None:
    assert PROVIDER.parse(posted(), KEYED).dedupe_key is None


def test_a_look_up_that_answers_zero_is_not_believed() -> None:
    assert "0" not in PROVIDER.statuses
    assert PROVIDER.statuses["100"] is TransactionStatus.APPROVED
    assert PROVIDER.statuses["70000"] is TransactionStatus.DECLINED
