"""Mollie: a classic webhook only asks; an event is signed, under two secrets while they change."""

import pytest

from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, SourceSetup, Unreadable
from tillbell.providers.mollie import PROVIDER

SETUP = SourceSetup(("mollie-demo-secret",))
RIGHT = "c9f48f5d5f38d786e5041c88480aba7bfe4ab0046dbbc22d49dd6311ebc1f470"


def posted(body: bytes, *signatures: str) -> Incoming:
    headers = tuple(("x-mollie-signature", one) for one in signatures)
    return Incoming("POST", "/", headers, body, 0)


@pytest.mark.parametrize(
    "signatures", [("sha256=" + RIGHT,), (RIGHT,), ("sha256=" + "0" * 64, "sha256=" + RIGHT)]
)
def test_an_event_is_proven_by_one_right_signature(signatures: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(b'{"id":1001}', *signatures), SETUP).trust is Trust.SIGNED


@pytest.mark.parametrize("signatures", [(), ("",), ("sha256=" + "0" * 64,), ("0" * 64, "1", RIGHT)])
def test_an_event_without_one_is_refused(signatures: tuple[str, ...]) -> None:
    assert PROVIDER.verify(posted(b'{"id":1001}', *signatures), SETUP).trust is None


def test_a_classic_webhook_only_makes_us_ask() -> None:
    incoming = posted(b"id=tr_1")
    parsed = PROVIDER.parse(incoming, SETUP)
    (notice,) = parsed.notices

    assert PROVIDER.verify(incoming, SETUP).trust is Trust.NONE
    assert isinstance(notice, TransactionNotice)
    assert notice.is_hint
    assert notice.status is None
    assert parsed.dedupe_key == "", "the same id means each change"


def test_an_event_of_no_payment_is_only_kept() -> None:
    body = b'{"id":"whe_1","type":"sales-invoice.paid","entityId":"inv_1"}'
    assert isinstance(PROVIDER.parse(posted(body), SETUP).notices[0], NoteNotice)


@pytest.mark.parametrize("body", [b"{}", b'{"id":1001}', b'{"resource":"profile","id":"pfl_1"}'])
def test_signed_json_about_nothing_we_know_is_kept(body: bytes) -> None:
    assert isinstance(PROVIDER.parse(posted(body), SETUP).notices[0], NoteNotice)


def test_an_event_without_its_refund_asks_about_the_payment_in_its_link() -> None:
    body = (
        b'{"resource":"event","id":"event_1","type":"refund.refunded","entityId":"re_1","_links":'
        b'{"entity":{"href":"https://api.mollie.com/v2/payments/tr_1/refunds/re_1"}}}'
    )
    (notice,) = PROVIDER.parse(posted(body), SETUP).notices

    assert isinstance(notice, TransactionNotice)
    assert (notice.psp_transaction_id, notice.is_hint) == ("tr_1", True)


def test_a_form_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(b"payment=tr_1"), SETUP)
