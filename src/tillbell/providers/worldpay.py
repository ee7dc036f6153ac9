"""Worldpay WPG: order notifications in XML, unsigned; all it wants to read is `[OK]`.

The DOCTYPE line that the gateway writes is tolerated, its DTD never read, an entity refused.
The merchant channel can also send parameters instead of XML. What a browser carries to the
result page is no notification and no proof. Notifications come again until they are answered
`[OK]`; the journal's date has no time of day, so it puts nothing in order.

An event names an order. The journal says what happened now; the payment's last event counts
where there is no journal. A refund or chargeback has no id of its own: it is named by the
reference that the merchant gave a refund, else by its amount, and of one that moved money by the
booking day. Two refunds of one amount and day without references cannot be told from a repeat in
other bytes, so a person is asked. What moved is the journal's booking of captured or settled money:
fees are booked too, and stand first.

Sources: developer.worldpay.com/docs/wpg/manage; support.worldpay.com, examples of notifications;
inviqa/worldpay-api-client and alphagov/pay-connector, which also say what journalReference is: the
merchant's reference has the type capture or refund, other types are codes of the card scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

from tillbell.model.callbacks import ProviderAmount, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit import networks, reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SimulationCase,
    SourceSetup,
    Unreadable,
)
from tillbell.providers.kit.card import card_details, masked_number
from tillbell.providers.kit.reading import KEY_MAX, present_values
from tillbell.providers.kit.requests import FORM, request, usual
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    CANCELLED,
    DECLINED,
    FAILED,
    PENDING,
    STATUSES,
    WordMeaning,
    linked,
    meaning_of,
    statuses,
    table,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

WORDS = table(
    {
        "SHOPPER_REDIRECTED": PENDING,
        "WAITING_FOR_SHOPPER": PENDING,
        "OPEN": PENDING,
        "SENT_FOR_AUTHORISATION": PENDING,
        "AUTHORISED": AUTHORIZED,
        "CAPTURED": APPROVED,
        "SETTLED": APPROVED,
        "SETTLED_BY_MERCHANT": APPROVED,
        "REFUSED": DECLINED,
        "SHOPPER_CANCELLED": CANCELLED,
        "CANCELLED": CANCELLED,
        "EXPIRED": CANCELLED,
        "ERROR": FAILED,
        "SENT_FOR_REFUND": linked(TransactionKind.REFUND, TransactionStatus.PENDING),
        "REFUND_WEBFORM_ISSUED": linked(
            TransactionKind.REFUND, TransactionStatus.PENDING, "webform_issued"
        ),
        "REFUNDED": linked(TransactionKind.REFUND),
        "REFUNDED_BY_MERCHANT": linked(TransactionKind.REFUND),
        "REFUND_FAILED": linked(TransactionKind.REFUND, TransactionStatus.FAILED),
        "INFORMATION_REQUESTED": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING, "information_requested"
        ),
        "INFORMATION_SUPPLIED": linked(
            TransactionKind.CHARGEBACK, TransactionStatus.PENDING, "information_supplied"
        ),
        "CHARGED_BACK": linked(TransactionKind.CHARGEBACK),
        "CHARGEBACK_REVERSED": linked(TransactionKind.CHARGEBACK_REVERSAL),
    }
)


# After these the payer may try again.
_ENDS_ATTEMPT = frozenset({"REFUSED", "SHOPPER_CANCELLED", "EXPIRED", "ERROR"})


class WorldpayEvent(NamedTuple):
    """One event of one order. Amounts are the attributes of their XML element."""

    order: str
    word: str  # the journal's type, else the payment's last event
    amount: Mapping[str, str] = {}  # of the order
    moved: Mapping[str, str] = {}  # by this journal
    captured: Mapping[str, str] = {}  # by this journal, before fees
    reference: str | None = None  # the merchant's, of a capture or refund
    payment_id: str | None = None
    day: str | None = None
    method: str | None = None
    card: str | None = None  # with its middle crossed out
    reason: str | None = None


_DOCTYPE = (
    '<!DOCTYPE paymentService PUBLIC "-//WorldPay//DTD WorldPay PaymentService v1//EN" '
    '"http://dtd.worldpay.com/paymentService_v1.dtd">'
)
_EVENTS_MAX = 100
# Types of accounts in a journal, and of the references that are the merchant's.
_CAPTURED, _SETTLED, _FEES = "IN_PROCESS_CAPTURED", "SETTLED_BIBIT_NET", "_COMMISSION"
_OF_MERCHANT = ("refund", "capture", "")


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read all events of an order notification."""
    if incoming.body.lstrip()[:1] == b"<":
        events = _xml_events(incoming.body)
    else:
        events = [_parameters(incoming)]
    return ParsedNotices(tuple(_notice(event, setup.config) for event in events))


def _xml_events(body: bytes) -> list[WorldpayEvent]:
    root = reading.xml(body)
    elements = root.findall("notify/orderStatusEvent") if root.tag == "paymentService" else []
    if not elements or len(elements) > _EVENTS_MAX:
        raise Unreadable("It is no order notification: paymentService/notify/orderStatusEvent.")
    return [_xml_event(element) for element in elements]


def _xml_event(element: Element) -> WorldpayEvent:
    order = reading.required_text(element.attrib, "orderCode")
    payment, journal = element.find("payment"), element.find("journal")
    amount = payment.find("amount") if payment is not None else None
    bookings = _bookings(journal)
    code = payment.find("ISO8583ReturnCode") if payment is not None else None
    word = _attribute(journal, "journalType") or _text(payment, "lastEvent")
    if word is None:
        raise Unreadable("Neither journalType nor lastEvent is there.")
    return WorldpayEvent(
        order=order,
        word=word,
        amount=_attributes(amount),
        moved=_moved(bookings),
        captured=bookings.get(_CAPTURED, {}),
        reference=_reference(journal) or _text(payment, "reference"),
        day=_day(journal),
        method=_text(payment, "paymentMethod"),
        card=_text(payment, "cardNumber"),
        reason=_attribute(code, "code"),
    )


def _parameters(incoming: Incoming) -> WorldpayEvent:
    parameters = reading.fields(incoming)
    value, currency = (
        reading.text(parameters, "PaymentAmount"),
        reading.text(parameters, "PaymentCurrency"),
    )
    amount = {"value": value or "", "currencyCode": currency or ""}
    return WorldpayEvent(
        order=reading.required_text(parameters, "OrderCode"),
        word=reading.required_text(parameters, "PaymentStatus"),
        amount=amount if value else {},
        payment_id=reading.text(parameters, "PaymentId"),
        method=reading.text(parameters, "PaymentMethod"),
    )


def _text(element: Element | None, name: str) -> str | None:
    child = element.find(name) if element is not None else None
    return reading.text({name: child.text}, name) if child is not None else None


def _attribute(element: Element | None, name: str) -> str | None:
    return reading.text(element.attrib, name) if element is not None else None


def _attributes(element: Element | None) -> dict[str, str]:
    return dict(element.attrib) if element is not None else {}


def _bookings(journal: Element | None) -> dict[str, Mapping[str, str]]:
    """Return the amount that a journal books on each type of account, in its order."""
    entries = journal.findall("accountTx") if journal is not None else []
    amounts = [(entry.get("accountType", ""), entry.find("amount")) for entry in entries]
    return {account: dict(amount.attrib) for account, amount in amounts if amount is not None}


def _moved(bookings: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Return how much a journal moved, before fees."""
    known = (bookings[account] for account in (_CAPTURED, _SETTLED) if account in bookings)
    others = (amount for account, amount in bookings.items() if not account.endswith(_FEES))
    return next(known, next(others, {}))


def _reference(journal: Element | None) -> str | None:
    """Return the merchant's reference of a capture or refund."""
    elements = journal.findall("journalReference") if journal is not None else []
    by_type = {element.get("type", ""): element for element in elements}
    named = (_attribute(by_type.get(type_), "reference") for type_ in _OF_MERCHANT)
    return next((reference for reference in named if reference is not None), None)


def _day(journal: Element | None) -> str | None:
    date = journal.find("bookingDate/date") if journal is not None else None
    if date is None:
        return None
    return "-".join(date.get(part, "") for part in ("year", "month", "dayOfMonth"))


# ── what an event means ───────────────────────────────────────────────────────────────────────────


def _notice(event: WorldpayEvent, config: Mapping[str, Any]) -> TransactionNotice:
    """Return an event as a notice."""
    meaning = meaning_of(event.word, WORDS, config)
    kind = meaning.kind if meaning else TransactionKind.PAYMENT
    is_payment = kind is TransactionKind.PAYMENT
    own_id = event.payment_id if is_payment else _linked_id(event, kind)
    return TransactionNotice(
        References(ours=(event.order,), psp=present_values(event.payment_id)),
        raw_status=event.word,
        status=meaning.status if meaning else None,
        kind=kind,
        substate=meaning.substate if meaning else None,
        reason=event.reason,
        amount=_sum(_amount_of(event, meaning)),
        psp_transaction_id=own_id,
        ends_attempt=is_payment and event.word in _ENDS_ATTEMPT,
        capture_id=_capture_id(event) if meaning == APPROVED else None,
        movement_id=_movement_id(event, meaning),
        may_be_repeat=event.reference is None and _is_nameless(event, kind),
        details=card_details(*masked_number(event.card), method=event.method),
    )


def _amount_of(event: WorldpayEvent, meaning: WordMeaning | None) -> Mapping[str, str]:
    """Return the amount that an event is about: what it moved, else that of the order."""
    if meaning is not None and meaning.kind is not TransactionKind.PAYMENT:
        return event.moved or event.amount
    return (event.captured or event.amount) if meaning == APPROVED else event.amount


def _capture_id(event: WorldpayEvent) -> str | None:
    """Name a capture of a part; None of the whole, or of what only settles a capture."""
    value = event.captured.get("value")
    is_part = value is not None and value != event.amount.get("value")
    if not is_part or event.word != "CAPTURED":
        return None
    return (event.reference or f"{event.day}:{value}")[:KEY_MAX]


def _is_nameless(event: WorldpayEvent, kind: TransactionKind) -> bool:
    """Tell whether nothing tells an event from another one of that day and amount."""
    is_part = kind is TransactionKind.PAYMENT and _capture_id(event) is not None
    return is_part or kind is TransactionKind.REFUND


def _movement_id(event: WorldpayEvent, meaning: WordMeaning | None) -> str | None:
    """Name a movement by its booking day, where nothing else tells two apart."""
    if meaning is None or meaning.status is not TransactionStatus.APPROVED:
        return None
    has_name = meaning.kind is TransactionKind.REFUND and event.reference is not None
    return None if meaning.kind is TransactionKind.PAYMENT or has_name else event.day


def _linked_id(event: WorldpayEvent, kind: TransactionKind) -> str:
    if kind is not TransactionKind.REFUND:
        return f"{event.order}:{TransactionKind.CHARGEBACK.value}"[:KEY_MAX]
    amount = event.moved.get("value") or event.amount.get("value") or ""
    return (event.reference or f"{event.order}:{kind.value}:{amount}")[:KEY_MAX]


def _sum(amount: Mapping[str, str]) -> ProviderAmount | None:
    """Read `value`, `currencyCode` and `exponent`; a wrong exponent is left out."""
    value, currency = amount.get("value", "").strip(), amount.get("currencyCode", "").strip()
    if not value:
        return None
    digits = amount.get("exponent", "")
    exponent = int(digits) if len(digits) == 1 and digits.isascii() and digits.isdigit() else None
    return ProviderAmount(value, currency.upper() or None, is_minor=True, exponent=exponent)


# ── a notification as the gateway sends it ────────────────────────────────────────────────────────


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the notification as Worldpay sends it, unsigned.

    Fields: orderCode, lastEvent, and optionally journalType, day (2026-03-01), value,
    currencyCode, exponent, moved, reference, paymentMethod, cardNumber. With `OrderCode` they
    are sent as parameters.
    """
    del setup
    if "OrderCode" in case.fields:
        return request(case, url, urlencode(case.fields).encode(), {"content-type": FORM})
    fields = {name: str(value) for name, value in case.fields.items()}
    body = _document(fields).encode()
    return request(case, url, body, {"content-type": "text/xml; charset=utf-8"})


def _document(fields: dict[str, str]) -> str:
    last, order = fields.get("lastEvent", ""), fields.get("orderCode", "")
    method = _element("paymentMethod", fields.get("paymentMethod"))
    card = _element("cardNumber", fields.get("cardNumber"))
    amount = _amount(fields, fields.get("value"), "credit")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{_DOCTYPE}\n'
        '<paymentService version="1.4" merchantCode="DEMOSHOP"><notify>'
        f"<orderStatusEvent orderCode={quoteattr(order)}>"
        f"<payment>{method}{amount}{_element('lastEvent', last)}{card}</payment>"
        f"{_journal(fields, last)}</orderStatusEvent></notify></paymentService>\n"
    )


def _journal(fields: dict[str, str], last: str) -> str:
    year, month, day = fields.get("day", "2026-03-01").split("-")
    moved = _amount(fields, fields.get("moved"), "debit")
    account = f'<accountTx accountType="IN_PROCESS_CAPTURED">{moved}</accountTx>' if moved else ""
    reference = fields.get("reference")
    named = (
        f'<journalReference type="refund" reference={quoteattr(reference)}/>' if reference else ""
    )
    return (
        f"<journal journalType={quoteattr(fields.get('journalType', last))}><bookingDate>"
        f'<date dayOfMonth="{day}" month="{month}" year="{year}"/></bookingDate>'
        f"{account}{named}</journal>"
    )


def _amount(fields: dict[str, str], value: str | None, direction: str) -> str:
    if value is None:
        return ""
    currency, exponent = fields.get("currencyCode", "EUR"), fields.get("exponent", "2")
    return (
        f"<amount value={quoteattr(value)} currencyCode={quoteattr(currency)} "
        f'exponent={quoteattr(exponent)} debitCreditIndicator="{direction}"/>'
    )


def _element(name: str, text: str | None) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""


PROVIDER = Provider(
    name="worldpay",
    title="Worldpay WPG",
    about="Card payments: order notifications of the Worldwide Payment Gateway, in XML.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.NONE,
    bare_trust=Trust.NONE,
    secret=None,
    answers="200 [OK], or the notification comes again.",
    verify=networks.verify,
    parse=parse,
    answer=usual(CallbackAnswer(body=b"[OK]")),
    sign=sign,
    settings=(networks.NETWORKS, AUTHORIZATION_IS_FINAL, STATUSES),
    methods=frozenset({"GET", "POST"}),
    masked=("cardHolderName", "paymentTokenID", "authenticatedShopperID"),
    note=(
        "Nothing is signed: an approval is confirmed by an order inquiry at lookupUrl or by a "
        "person. With Worldpay's addresses in networks the trust is network; mutual TLS is the "
        "proxy's matter. The addresses, the repeats and the variant with parameters are not known "
        "from its maker."
    ),
    statuses=statuses(WORDS),
    payer_may_retry=True,
)
