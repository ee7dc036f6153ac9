"""Mercado Pago: what its library signs, what the signature covers, and that nothing is believed."""

import json
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import NoteNotice, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, ParsedNotices, SourceSetup, Unreadable
from tillbell.providers.mercadopago import PROVIDER

SETUP = SourceSetup(("your_secret_key_here",))
REQUEST_ID = "2066ca19-c6f1-498a-be75-1923005edd06"
TS = "1742505638683"
ORDER, PAYMENT = "ORD01JQ4S4KY8HWQ6NA5PXB65B3D3", "123456789"
# `WebhookSignatureValidator.validate` of mercadopago 3.6.0 (Python) accepts each for its id,
# REQUEST_ID, TS and the secret of SETUP; "" stands for a request without that value.
RIGHT = {
    (ORDER, REQUEST_ID): "fb15ae6472eb449173c556793205d77787d58f384d183bb5bc3b724c27bd103c",
    (ORDER.lower(), REQUEST_ID): "633f91233312dd391ec75fa0bea539cfc2d6c4918873305b84a96cc1c58db71c",
    (PAYMENT, REQUEST_ID): "bcd78a744ce26743f9bc19f4f9402372dcda23c7ed773161dec8508734dd02f2",
    ("", REQUEST_ID): "8a7b0cc777a8217c3bab41a50c95dc92debbc6f8448f1c967dfe10ac1cb8b894",
    (PAYMENT, ""): "a44ffda3ef9921f9a9b868c1bf04d38560eb136391dcc75cf2ef1c55e8e4ccda",
}


def posted(
    own_id: str, signature: str | None, request_id: str = REQUEST_ID, **body: Any
) -> Incoming:
    headers = [("x-request-id", request_id)] if request_id else []
    if signature is not None:
        headers.append(("x-signature", signature))
    target = f"/x?data.id={own_id}&type=payment" if own_id else "/x?type=payment"
    content = json.dumps({"type": "payment", "action": "payment.updated", **body}).encode()
    return Incoming("POST", target, tuple(headers), content, 0)


def header(own_id: str, request_id: str = REQUEST_ID, ts: str = TS) -> str:
    return f"ts={ts},v1={RIGHT[own_id, request_id]}"


@each(("own_id", "request_id"), list(RIGHT))
def test_what_the_library_accepts_is_accepted(own_id: str, request_id: str) -> None:
    incoming = posted(own_id, header(own_id, request_id), request_id)
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.PARTIALLY_SIGNED


def test_an_id_may_be_signed_in_lower_case() -> None:
    incoming = posted(ORDER, header(ORDER.lower()))
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.PARTIALLY_SIGNED
    other = posted(ORDER.lower(), header(ORDER))
    assert PROVIDER.verify(other, SETUP).trust is None


@each(
    ("own_id", "signature", "request_id"),
    [
        (PAYMENT, None, REQUEST_ID),
        (PAYMENT, "", REQUEST_ID),
        (PAYMENT, "this-is-garbage", REQUEST_ID),
        (PAYMENT, header(PAYMENT).partition(",")[2], REQUEST_ID),
        (PAYMENT, f"ts={TS}", REQUEST_ID),
        (PAYMENT, header(PAYMENT).replace("v1", "v2"), REQUEST_ID),
        (PAYMENT, header(PAYMENT, ts="1742505638684"), REQUEST_ID),
        (PAYMENT, header(PAYMENT, ts="x"), REQUEST_ID),
        (PAYMENT, f"ts={TS}," + header(PAYMENT), REQUEST_ID),
        (PAYMENT, header(PAYMENT)[:-1] + "x", REQUEST_ID),
        ("123456788", header(PAYMENT), REQUEST_ID),
        (PAYMENT, header(PAYMENT), "another"),
        (PAYMENT, header(PAYMENT), ""),
        (f"{PAYMENT};request-id:{REQUEST_ID}", header(PAYMENT), ""),
    ],
)
def test_anything_else_is_refused(own_id: str, signature: str | None, request_id: str) -> None:
    assert PROVIDER.verify(posted(own_id, signature, request_id), SETUP).trust is None


def test_a_signature_behind_another_version_is_found() -> None:
    incoming = posted(PAYMENT, header(PAYMENT) + ",v2=aaaa")
    assert PROVIDER.verify(incoming, SETUP).trust is Trust.PARTIALLY_SIGNED


def test_without_a_secret_nothing_is_proven() -> None:
    assert PROVIDER.verify(posted(PAYMENT, None), SourceSetup()).trust is Trust.NONE


def read(incoming: Incoming, **config: Any) -> TransactionNotice:
    parsed = PROVIDER.parse(incoming, SourceSetup(config=config))
    assert parsed.dedupe_key == "", "the same id means each change"
    (notice,) = parsed.notices
    assert isinstance(notice, TransactionNotice)
    return notice


def test_a_notification_only_makes_us_ask() -> None:
    notice = read(posted(PAYMENT, None, data={"id": PAYMENT}, live_mode=True))
    assert notice.is_hint
    assert notice.status is None
    assert notice.amount is None
    assert (notice.psp_transaction_id, notice.references.psp) == (PAYMENT, (PAYMENT,))
    assert notice.is_test is False


@pytest.mark.parametrize(("live", "is_test"), [(True, False), (False, True), (None, None)])
def test_test_credentials_are_marked(live: bool | None, *, is_test: bool | None) -> None:
    assert read(posted(PAYMENT, None, live_mode=live)).is_test is is_test


def test_the_url_may_name_the_order() -> None:
    incoming = posted(PAYMENT, None)
    incoming = incoming._replace(target=incoming.target + "&order=ORD-1&ref=R-1")
    assert read(incoming).references.ours == ("ORD-1",)
    assert read(incoming, reference="query.ref").references.ours == ("R-1",)
    assert read(incoming, reference="external").references.ours == ()


def parse(incoming: Incoming) -> ParsedNotices:
    return PROVIDER.parse(incoming, SourceSetup())


def test_a_body_that_names_another_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="another"):
        parse(posted(PAYMENT, None, data={"id": "1"}))
    assert read(posted(ORDER.lower(), None, data={"id": ORDER})).psp_transaction_id == ORDER


def test_a_payment_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        parse(posted("", None))


@pytest.mark.parametrize("topic", ["topic_chargebacks_wh", "merchant_order", "mp-connect"])
def test_other_topics_are_only_kept(topic: str) -> None:
    (notice,) = parse(posted("", None, type=topic)).notices
    assert isinstance(notice, NoteNotice)
