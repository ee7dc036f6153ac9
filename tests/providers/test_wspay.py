"""WSPay: the signature of Monri's plugin, how little it covers, what happened last."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, SourceSetup
from tillbell.providers.wspay import PROVIDER

# Shop, key and fields of the tests of MonriPayments/woocommerce-monri; sha512sum of their text.
SETUP = SourceSetup(("secret_xyz",))
BODY: dict[str, Any] = {
    "ShopID": "shop_123",
    "ActionSuccess": "1",
    "ApprovalCode": "123456",
    "WsPayOrderId": "ORD-100",
    "Signature": "793c40abfd111fb79da9321fdb89ecfb007f07cbde1ae0f3e17ef79e51a40f8b"
    "8a94f7368bffc43847ecee9d9f14f0fdbf6c7ad23a288e523c37c64069160066",
}


def posted(body: dict[str, Any]) -> Incoming:
    return Incoming("POST", "/", (), json.dumps(body).encode(), 0)


def test_the_signature_of_the_plugin_matches() -> None:
    verdict = PROVIDER.verify(posted(BODY), SETUP)
    assert verdict.trust is Trust.PARTIALLY_SIGNED, "never more: see the next test"


def test_action_amount_and_reference_are_not_covered() -> None:
    body = {**BODY, "Completed": "1", "Amount": "1,00", "ShoppingCartID": "another"}
    assert PROVIDER.verify(posted(body), SETUP).trust is Trust.PARTIALLY_SIGNED


@each(
    "changes",
    [
        {"ShopID": "shop_124"},
        {"ActionSuccess": "0"},
        {"ActionSuccess": "11"},
        {"ActionSuccess": None},
        {"ApprovalCode": "123457"},
        {"WsPayOrderId": "ORD-101"},
        {"Signature": None},
        {"Signature": "x"},
        {"ActionSuccess": "", "ApprovalCode": "1123456"},
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    assert PROVIDER.verify(posted({**BODY, **changes}), SETUP).trust is None


def read(config: dict[str, Any] | None = None, **changes: Any) -> TransactionNotice:
    body = {**BODY, "ShoppingCartID": "C-1", "Amount": "1500,50", **changes}
    parsed = PROVIDER.parse(posted(body), SourceSetup(config=config or {}))
    assert parsed.dedupe_key is None, "what was done is not signed"
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    assert notice.references.ours == ("C-1",)
    assert notice.amount == ProviderAmount("1500.50")
    return notice


@pytest.mark.parametrize(
    ("flags", "status", "substate"),
    [
        (("Authorized",), TransactionStatus.PENDING, "authorized"),
        (("Authorized", "Completed"), TransactionStatus.APPROVED, None),
        (("Authorized", "Voided"), TransactionStatus.CANCELLED, None),
        ((), None, None),
    ],
)
def test_the_latest_of_the_flags_counts(
    flags: tuple[str, ...], status: TransactionStatus | None, substate: str | None
) -> None:
    done: dict[str, Any] = dict.fromkeys(flags, "1")
    notice = read(**done)
    assert (notice.kind, notice.status) == (TransactionKind.PAYMENT, status)
    assert notice.substate == substate
    assert notice.psp_transaction_id == "ORD-100"


def test_a_refund_is_known_by_its_amount() -> None:
    notice = read(Authorized="1", Completed="1", Refunded="1")
    assert (notice.kind, notice.status) == (TransactionKind.REFUND, TransactionStatus.APPROVED)
    assert notice.psp_transaction_id == "ORD-100:refund:1500.50"


def test_an_action_that_was_not_done_means_nothing() -> None:
    assert read(Completed="1", ActionSuccess="0").status is None


def test_what_is_reserved_is_approved_if_that_is_final() -> None:
    notice = read({"authorizationIsFinal": True}, Authorized="1")
    assert notice.status is TransactionStatus.APPROVED
