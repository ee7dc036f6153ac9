"""PAYONE: a key that is only a password, an old encoding, and an exact answer."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cases import each
from tillbell.clock import SECOND
from tillbell.model.callbacks import NoteNotice, ProviderAmount, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit.base import Incoming, IntakeStatus, SimulationCase, SourceSetup
from tillbell.providers.payone import PROVIDER

KEY = "6f8016b30b325c9171a1f071c0113a44"
KEYED = SourceSetup(("portal-key-demo",))
FIELDS = {
    "key": KEY,
    "txaction": "paid",
    "txid": "120654321",
    "reference": "ORD-1001",
    "sequencenumber": "1",
    "price": "49.90",
    "currency": "EUR",
    "mode": "test",
    "portalid": "2000001",
    "aid": "30001",
    "txtime": "1772359200",
    "cardpan": "411111xxxxxx1111",
}
EVENT = b'{"eventId":"e-1","eventDetails":{"type":"authorized","transactionReference":"ORD-1001"}}'
EVENT_SIGNATURE = "G5LLQ0SOshPam6QNo2i1UtDdBSr4IElGP0cOyjX31e0="


def posted(encoding: str = "utf-8", **changed: str) -> Incoming:
    body = urlencode({**FIELDS, **changed}, encoding=encoding).encode()
    return Incoming("POST", "/api/webhooks/payone", (), body, 0, peer="213.178.72.196")


def event(signature: str = EVENT_SIGNATURE, **headers: str) -> Incoming:
    named = {"x-gcs-signature": signature, **headers}
    return Incoming("POST", "/api/webhooks/payone", tuple(named.items()), EVENT, 0)


def heard(config: dict[str, Any] | None = None, **changed: str) -> TransactionNotice:
    (notice,) = PROVIDER.parse(posted(**changed), SourceSetup((), config or {})).notices
    assert isinstance(notice, TransactionNotice)
    return notice


@pytest.mark.parametrize("key", [KEY, KEY.upper()])
def test_the_right_key_proves_the_sender_but_not_the_content(key: str) -> None:
    assert PROVIDER.verify(posted(key=key), KEYED).trust is Trust.SECRET


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "00", "portal-key-demo", "é" * 10_000])
def test_a_wrong_key_is_refused(key: str) -> None:
    verdict = PROVIDER.verify(posted(key=key), KEYED)

    assert verdict.trust is None
    assert KEY not in verdict.why


@pytest.mark.parametrize("secrets", [(), ("",), ("portal-key-demo\n",)])
def test_without_the_portal_key_nothing_is_taken(secrets: tuple[str, ...]) -> None:
    empty = "d41d8cd98f00b204e9800998ecf8427e"  # MD5 of nothing

    assert PROVIDER.verify(posted(), SourceSetup(secrets)).trust is None
    assert PROVIDER.verify(posted(key=empty), SourceSetup(secrets)).trust is None


@pytest.mark.parametrize(
    ("config", "is_taken"),
    [
        ({"paymentMode": "test", "portalId": "2000001", "accountId": "30001"}, True),
        ({"paymentMode": "live"}, False),
        ({"portalId": "2000002"}, False),
        ({"accountId": "3"}, False),
        ({"checkAddress": True}, True),
    ],
)
def test_account_mode_and_address_are_looked_at_where_they_are_set(
    config: dict[str, Any], is_taken: bool
) -> None:
    verdict = PROVIDER.verify(posted(), SourceSetup(("portal-key-demo",), config))

    assert (verdict.trust is Trust.SECRET) is is_taken


def test_another_address_is_refused_only_where_its_owner_wants_it() -> None:
    elsewhere = posted()._replace(peer="203.0.113.9")
    strict = SourceSetup(("portal-key-demo",), {"checkAddress": True})

    assert PROVIDER.verify(elsewhere, KEYED).trust is Trust.SECRET
    assert PROVIDER.verify(elsewhere, strict).trust is None


@each(
    ("action", "status", "substate"),
    [
        ("appointed", TransactionStatus.PENDING, "authorized"),
        ("capture", TransactionStatus.PENDING, "settling"),
        ("paid", TransactionStatus.APPROVED, None),
        ("underpaid", TransactionStatus.ON_HOLD, None),
        ("cancelation", TransactionStatus.CANCELLED, None),
        ("failed", TransactionStatus.FAILED, None),
    ],
)
def test_the_table_of_actions(action: str, status: TransactionStatus, substate: str | None) -> None:
    notice = heard(txaction=action)

    assert (notice.status, notice.substate, notice.kind) == (
        status,
        substate,
        TransactionKind.PAYMENT,
    )


def test_an_authorization_is_final_where_its_owner_says_so() -> None:
    assert (
        heard({"authorizationIsFinal": True}, txaction="appointed").status
        is TransactionStatus.APPROVED
    )


@pytest.mark.parametrize("action", ["invoice", "reminder", "vauthorization", "vsettlement"])
def test_other_actions_are_only_noted(action: str) -> None:
    (notice,) = PROVIDER.parse(posted(txaction=action), KEYED).notices

    assert isinstance(notice, NoteNotice)


@pytest.mark.parametrize("action", ["refund", "debit"])
def test_a_refund_without_an_amount_is_never_guessed(action: str) -> None:
    notice = heard(txaction=action, sequencenumber="2", receivable="40.00")

    assert (notice.kind, notice.amount) == (TransactionKind.REFUND, None)
    assert notice.is_hint
    assert notice.psp_transaction_id == "120654321-2"
    assert notice.references == (("ORD-1001",), ("120654321",))
    assert notice.details["receivable"] == "40.00"


def test_a_payment_is_read_whole_and_its_card_only_in_part() -> None:
    notice = heard()

    assert notice.amount == ProviderAmount("49.90", "EUR")
    assert (notice.occurred_at, notice.sequence) == (1_772_359_200 * SECOND, 1)
    assert notice.details == {"cardBin": "411111", "cardLastFour": "1111"}
    assert PROVIDER.parse(posted(), KEYED).dedupe_key is None


@pytest.mark.parametrize("action", ["transfer", "overpaid", "of tomorrow"])
def test_an_action_in_no_table_is_not_guessed(action: str) -> None:
    assert heard(txaction=action).status is None


@each(
    ("action", "receivable", "balance", "amount"),
    [
        ("paid", "60.00", "0.00", "60.00"),
        ("paid", "49.90", "-10.10", "60.00"),
        ("underpaid", "49.90", "9.90", "40.00"),
        ("paid", "", "0.00", "49.90"),
        ("paid", "many", "0.00", "49.90"),
        ("paid", "NaN", "0.00", "49.90"),
        ("capture", "60.00", "60.00", "49.90"),
        ("appointed", "0.00", "0.00", "49.90"),
    ],
)
def test_what_was_paid_is_what_is_booked_without_what_is_open(
    action: str, receivable: str, balance: str, amount: str
) -> None:
    notice = heard(txaction=action, receivable=receivable, balance=balance)
    assert notice.amount == ProviderAmount(amount, "EUR")


def test_what_is_pending_is_not_authorised_yet() -> None:
    pending = heard(txaction="appointed", transaction_status="pending")
    assert (pending.status, pending.substate) == (TransactionStatus.PENDING, None)
    assert heard(txaction="appointed", transaction_status="completed").substate == "authorized"


def test_a_payment_that_failed_leaves_the_payer_another_one() -> None:
    assert heard(txaction="failed").ends_attempt
    assert not heard(txaction="cancelation").ends_attempt


@each(("mode", "is_test"), [("test", True), ("live", False), ("", None), ("play", None)])
def test_the_mode_marks_test_money(mode: str, is_test: bool | None) -> None:
    assert heard(mode=mode).is_test is is_test


def test_the_reference_is_one_configured_field() -> None:
    assert heard(param="P-1").references.ours == ("ORD-1001",)
    assert heard({"reference": "param"}, param="P-1").references.ours == ("P-1",)


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_names_in_either_encoding_do_not_hinder(encoding: str) -> None:
    incoming = posted(encoding, firstname="Jürgen")

    assert PROVIDER.verify(incoming, KEYED).trust is Trust.SECRET
    assert len(PROVIDER.parse(incoming, KEYED).notices) == 1


def test_a_field_that_stands_twice_is_refused() -> None:
    twice = posted()._replace(body=posted().body + b"&txaction=paid")

    assert "twice" in PROVIDER.verify(twice, KEYED).why


def test_it_is_told_tsok_and_nothing_else() -> None:
    answer = PROVIDER.answer(posted(), KEYED, IntakeStatus.STORED)

    assert (answer.status, answer.body) == (200, b"TSOK")
    assert answer.content_type.startswith("text/plain")


def test_an_event_of_the_newer_platform_is_proven_and_noted() -> None:
    setup = SourceSetup(("gcs-demo-secret",))

    assert PROVIDER.verify(event(), setup).trust is Trust.SIGNED
    assert PROVIDER.verify(event(EVENT_SIGNATURE.rstrip("=")), setup).trust is None
    parsed = PROVIDER.parse(event(), setup)
    assert isinstance(parsed.notices[0], NoteNotice)
    assert parsed.dedupe_key == "e-1"


def test_an_event_under_another_key_id_is_refused() -> None:
    setup = SourceSetup(("gcs-demo-secret",), {"keyId": "k-1"})

    assert PROVIDER.verify(event(**{"x-gcs-keyid": "k-2"}), setup).trust is None
    assert PROVIDER.verify(event(**{"x-gcs-keyid": "k-1"}), setup).trust is Trust.SIGNED


def test_a_simulated_event_carries_the_signature_of_the_vector() -> None:
    fields = {
        "eventId": "e-1",
        "eventDetails": {"type": "authorized", "transactionReference": "ORD-1001"},
    }
    made = PROVIDER.sign(
        SimulationCase(fields), SourceSetup(("gcs-demo-secret",)), "https://h.example/x"
    )

    assert made.header("x-gcs-signature") == EVENT_SIGNATURE
