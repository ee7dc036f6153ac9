"""KOPA: nothing is proven unless its owner has found out how; a browser only asks to look."""

from typing import Any

import msgspec
import pytest

from tests.cases import each
from tillbell.clock import SECOND
from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit.base import (
    Incoming,
    IntakeStatus,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kopa import PROVIDER

PATH = "/api/webhooks/kopa"
FIELDS = {
    "OrderId": "KOPA-1001-7f3a",
    "TransStatus": "Approved",
    "TransDate": 1772359200,
    "TansId": "26060Xy1234",
    "TransNumCode": "00",
    "TransErrorCode": "",
    "ErrMsg": "",
}
SIGNED = {"signatureHeader": "X-Kopa-Hmac", "signatureKey": "demo-hmac-key"}
PAGES = {"successUrl": "https://shop.example/ok", "errorUrl": "https://shop.example/no"}


def posted(**changed: Any) -> Incoming:
    body = msgspec.json.encode({**FIELDS, **changed})
    return Incoming("POST", PATH, (("content-type", "application/json"),), body, 0)


def opened(query: str) -> Incoming:
    return Incoming("GET", f"{PATH}?{query}", (), b"", 0)


def heard(config: dict[str, Any] | None = None, **changed: Any) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(**changed), SourceSetup((), config or {})).notices
    assert isinstance(notice, TransactionNotice)
    return notice


def test_what_nobody_can_prove_is_taken_and_trusted_with_nothing() -> None:
    assert PROVIDER.verify(posted(), SourceSetup()).trust is Trust.NONE


def test_a_signature_counts_once_its_owner_has_said_where_it_is() -> None:
    setup = SourceSetup((), SIGNED)
    made = PROVIDER.sign(SimulationCase(FIELDS), setup, f"https://hooks.example{PATH}")
    keyless = SourceSetup((), {"signatureHeader": "X-Kopa-Hmac"})

    assert PROVIDER.verify(made, setup).trust is Trust.SIGNED
    assert PROVIDER.verify(made._replace(body=made.body + b" "), setup).trust is None
    assert PROVIDER.verify(posted(), setup).trust is None
    assert PROVIDER.verify(made, keyless).trust is None


@each(
    ("changed", "status", "substate"),
    [
        ({}, TransactionStatus.APPROVED, None),
        ({"trantype": "Auth"}, TransactionStatus.APPROVED, None),
        ({"trantype": "PreAuth"}, TransactionStatus.PENDING, "authorized"),
        ({"trantype": "PostAuth"}, TransactionStatus.APPROVED, None),
        ({"TransStatus": "DECLINED"}, TransactionStatus.DECLINED, None),
        ({"TransStatus": "Error"}, TransactionStatus.FAILED, None),
        ({"TransStatus": None, "event": "authorized"}, TransactionStatus.PENDING, "authorized"),
        ({"TransStatus": None, "event": "captured"}, TransactionStatus.APPROVED, None),
        ({"TransStatus": None, "status": "payment_failed"}, TransactionStatus.FAILED, None),
        ({"TransStatus": "Settled"}, None, None),
    ],
)
def test_the_table_of_words(
    changed: dict[str, Any], status: TransactionStatus | None, substate: str | None
) -> None:
    notice = heard(**changed)

    assert (notice.status, notice.substate, notice.is_hint) == (status, substate, False)


def test_a_reservation_is_final_where_its_owner_says_so() -> None:
    assert (
        heard({"authorizationIsFinal": True}, trantype="PreAuth").status
        is TransactionStatus.APPROVED
    )


@pytest.mark.parametrize("name", ["TansId", "TransId"])
def test_the_id_is_read_with_and_without_the_typing_error(name: str) -> None:
    changed: dict[str, Any] = {"TansId": None, name: "26060Xy1234"}
    notice = heard(**changed)

    assert notice.psp_transaction_id == "26060Xy1234"
    assert notice.references.ours == ("KOPA-1001-7f3a",)
    assert notice.occurred_at == 1_772_359_200 * SECOND


def test_an_event_has_its_own_key_only_where_it_is_proven() -> None:
    proven = PROVIDER.parse(posted(), SourceSetup((), SIGNED)).dedupe_key

    assert proven == "KOPA-1001-7f3a|26060Xy1234|Approved"
    assert PROVIDER.parse(posted(), SourceSetup()).dedupe_key is None


@pytest.mark.parametrize("missing", ["OrderId", "TransStatus"])
def test_what_names_no_order_or_state_is_unreadable(missing: str) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(**{missing: ""}), SourceSetup())


@pytest.mark.parametrize(
    ("result", "page"),
    [
        ("AUTHORISED", "https://shop.example/ok"),
        ("CANCELLED", "https://shop.example/no"),
        ("REFUSED", "https://shop.example/no"),
        ("?", "https://shop.example/no"),
    ],
)
def test_a_browser_that_returns_proves_nothing_and_is_sent_on(result: str, page: str) -> None:
    incoming = opened(f"authResult={result}&OrderId=ORD-1")
    setup = SourceSetup((), {**SIGNED, **PAGES})
    parsed = PROVIDER.parse(incoming, setup)
    (notice,) = parsed.notices
    answer = PROVIDER.answer(incoming, setup, IntakeStatus.STORED)

    assert PROVIDER.verify(incoming, setup).trust is Trust.NONE
    assert isinstance(notice, TransactionNotice)
    assert (notice.status, notice.is_hint, notice.if_silent) == (None, True, None)
    assert parsed.dedupe_key == ""
    assert (answer.status, dict(answer.headers)["location"]) == (303, page)


def test_a_browser_that_names_no_order_is_only_noted() -> None:
    (notice,) = PROVIDER.parse(opened("authResult=AUTHORISED"), SourceSetup()).notices

    assert isinstance(notice, NoteNotice)


def test_the_server_is_told_ok() -> None:
    assert PROVIDER.answer(posted(), SourceSetup(), IntakeStatus.STORED)[:2] == (200, b"OK")
    assert PROVIDER.answer(posted(), SourceSetup(), IntakeStatus.REFUSED).status == 401
