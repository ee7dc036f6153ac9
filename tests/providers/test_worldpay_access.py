"""Access Worldpay: a hex key, several signatures, events."""

from typing import Any

import msgspec
import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, IntakeStatus, SourceSetup
from tillbell.providers.worldpay_access import PROVIDER, secret_problem

SECRET = "00112233445566778899aabbccddeeff"
KEYED = SourceSetup((SECRET,))
BODY = b'{"eventId":"e-1","eventDetails":{"type":"authorized","transactionReference":"ORD-1001"}}'
SIGNATURE = "30e4616d2e2986eae63175788ae37470000971b4223b1bd53964d67adfe06ddf"


def posted(signature: str, body: bytes = BODY) -> Incoming:
    return Incoming("POST", "/", (("event-signature", signature),), body, 0)


def heard(config: dict[str, Any] | None = None, **details: Any) -> TransactionNotice:
    told = {"transactionReference": "ORD-1001", "type": "settled", **details}
    body = msgspec.json.encode({"eventId": "e-1", "eventDetails": told})
    (notice,) = PROVIDER.parse(posted("", body), SourceSetup(config=config or {})).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize(
    "header",
    [
        f"1/SHA256/{SIGNATURE}",
        f"1/SHA256/{SIGNATURE.upper()}",
        f"1/SHA256/{'00' * 32}, 2/SHA256/{SIGNATURE}",
        f"1/SHA256/{SIGNATURE},2/SHA256/{'00' * 32}",
        SIGNATURE,
    ],
)
def test_one_right_signature_is_enough(header: str) -> None:
    assert PROVIDER.verify(posted(header), KEYED).trust is Trust.SIGNED


@each(
    "header",
    ["", "1/SHA256/", "1/SHA256/xyz", f"1/SHA1/{SIGNATURE}", f"1/SHA256/{SIGNATURE[:-2]}", "/,/"],
)
def test_no_right_signature_is_refused(header: str) -> None:
    assert PROVIDER.verify(posted(header), KEYED).trust is None


@pytest.mark.parametrize("secret", ["", "not hex", "0", "é"])
def test_a_secret_that_is_no_hex_proves_nothing(secret: str) -> None:
    assert PROVIDER.verify(posted(f"1/SHA256/{SIGNATURE}"), SourceSetup((secret,))).trust is None
    assert secret_problem(secret) is not None
    assert secret_problem(SECRET) is None


def test_a_changed_byte_is_noticed_and_a_second_secret_tried() -> None:
    assert PROVIDER.verify(posted(f"1/SHA256/{SIGNATURE}", BODY + b" "), KEYED).trust is None
    rotated = SourceSetup(("ffff", SECRET))
    assert PROVIDER.verify(posted(f"1/SHA256/{SIGNATURE}"), rotated).trust is Trust.SIGNED


def test_a_refund_and_a_chargeback_are_not_the_payment() -> None:
    amount = {"value": 1500, "currencyCode": "eur"}
    refund = heard(type="refunded", reference="RET-7", amount=amount)
    assert (refund.kind, refund.psp_reference) == (TransactionKind.REFUND, "RET-7")
    without = heard(type="refunded", amount=amount)
    assert refund.psp_transaction_id == without.psp_transaction_id == "ORD-1001:refund:1500"
    assert refund.movement_id == "e-1"
    assert refund.amount == ProviderAmount("1500", "EUR", is_minor=True)
    chargeback = heard(type="settled", classification="chargeback")
    assert (chargeback.kind, chargeback.status) == (TransactionKind.CHARGEBACK, None)


def test_an_authorization_is_final_where_its_owner_says_so() -> None:
    assert heard(type="authorized").substate == "authorized"
    assert (
        heard({"authorizationIsFinal": True}, type="authorized").status
        is TransactionStatus.APPROVED
    )


def test_what_cannot_be_read_is_acknowledged_so_that_the_rest_comes() -> None:
    assert PROVIDER.answer(posted(""), KEYED, IntakeStatus.MALFORMED).status == 200
    assert PROVIDER.answer(posted(""), KEYED, IntakeStatus.REFUSED).status == 401
