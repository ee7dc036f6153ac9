"""AllSecure Exchange, a white label of IXOPAY: signed server callbacks, unsigned browser returns.

The merchant registers one address four times, distinguished by `requestEvent`. `callback` is a
server's POST, JSON or on old connectors XML, signed over method, body hash, content type, date
and target. `success`, `cancel` and `error` are GETs of the payer's browser: anybody can make
them, so they only start a look-up. A return that says cancelled or failed ends the payment only
if no callback comes.

    message   = method ⏎ hash of the body ⏎ content type ⏎ date ⏎ target
    signature = base64( HMAC-SHA512( shared secret, message ) )

In `X-Signature`; on old connectors in `Authorization: Gateway <key>:<signature>`, with one more
line end before the target. The hash is SHA-512 in hex, MD5 on old set-ups.

Sources: allsecure-pay/exchange-php-client; documentation.ixopay.com (callbacks, and additional
security with a published example).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tillbell.clock import Micros, from_datetime, to_datetime
from tillbell.model.callbacks import NoteNotice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionKind, TransactionStatus
from tillbell.providers.kit import reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.browser import (
    CANCEL_URL,
    ERROR_URL,
    SUCCESS_URL,
    not_accepted,
    redirect_to_shop,
    status_word,
)
from tillbell.providers.kit.card import card_details
from tillbell.providers.kit.proof import (
    NO_SECRET,
    TOLERANCE_MAX_S,
    clock_problem,
    digest,
    from_base64,
    is_one_of,
    key_bytes,
    mac,
    secret_problem,
    verify_with_secrets,
)
from tillbell.providers.kit.requests import json_body, request
from tillbell.providers.kit.words import AUTHORIZATION_IS_FINAL

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CONTENT_TYPE = "application/json; charset=utf-8"
MAX_AGE_S = 300
_SCHEMES = ("gateway", "exchange")
LINKED: Mapping[str, TransactionKind] = {
    "REFUND": TransactionKind.REFUND,
    "CHARGEBACK": TransactionKind.CHARGEBACK,
    "CHARGEBACK-REVERSAL": TransactionKind.CHARGEBACK_REVERSAL,
}
# What OK means for each type of transaction, and how far the money is.
SUCCEEDED: Mapping[str, tuple[TransactionStatus, str | None]] = {
    "DEBIT": (TransactionStatus.APPROVED, None),
    "CAPTURE": (TransactionStatus.APPROVED, None),
    "PREAUTHORIZE": (TransactionStatus.PENDING, "authorized"),
    "VOID": (TransactionStatus.CANCELLED, None),
    "PAYOUT": (TransactionStatus.APPROVED, None),
    **dict.fromkeys(LINKED, (TransactionStatus.APPROVED, None)),
}
_CANCELLED = ("2002", "2005", "2012")  # by the payer, expired, cancelled
_DECLINED = ("2003", "2004", *(str(code) for code in range(2006, 2022)))
ERRORS: Mapping[str, TransactionStatus] = {
    **dict.fromkeys(_DECLINED, TransactionStatus.DECLINED),
    **dict.fromkeys(_CANCELLED, TransactionStatus.CANCELLED),
}
# What a look-up says. SUCCESS is left out: it may be an authorization or a charge.
LOOK_UP: Mapping[str, TransactionStatus] = {
    "PENDING": TransactionStatus.PENDING,
    "REDIRECT": TransactionStatus.PENDING,
    "CANCELLED": TransactionStatus.CANCELLED,
    "ERROR": TransactionStatus.FAILED,
}
# They act on an authorization. If they fail, the authorization stays as it was.
_STEPS = frozenset({"CAPTURE", "VOID"})
_BEGINNINGS = frozenset({"DEBIT", "PREAUTHORIZE", "PAYOUT"})
_REGISTRATIONS = frozenset({"REGISTER", "DEREGISTER"})
# What a browser's return becomes if no callback of the payment comes within the grace time.
RETURNS: Mapping[str, TransactionStatus | None] = {
    "callback": None,
    "success": None,
    "cancel": TransactionStatus.CANCELLED,
    "error": TransactionStatus.FAILED,
}
_TODAY = {
    "referenceId": "uuid",
    "transactionId": "merchantTransactionId",
    "originalReferenceId": "originalUuid",
    "originalTransactionId": "originalMerchantTransactionId",
    "chargebackReferenceId": "chargebackUuid",
}
_LEVELS = 4  # callback / returnData / creditcardData / type


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of a server's callback. A return of a browser has none."""
    if is_return(incoming):
        return Verdict(Trust.NONE, "A browser carried it, so nothing is proven.")
    if not any(setup.secrets):
        return NO_SECRET
    claimed = _header_signature(incoming)
    if claimed is None:
        return Verdict(None, "There is no X-Signature, and no old Authorization with one.")
    algorithms = ["sha512", "md5"] if setup.config.get("allowMd5BodyHash") else ["sha512"]
    for algorithm in algorithms:
        for signed in _possible_messages(incoming, algorithm, claimed):
            verdict = _compared(setup, claimed, signed)
            if verdict.trust is not None:
                return _in_time(verdict, signed.date, incoming.received_at, setup.config)
    return _refusal(incoming, setup, claimed)


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read a server's callback, or a return of the payer's browser."""
    if is_return(incoming):
        return _parse_return(incoming)
    fields = _fields(incoming)
    uuid = reading.required_text(fields, "uuid")
    kind = reading.required_text(fields, "transactionType").upper().replace("_", "-")
    result = reading.required_text(fields, "result").upper()
    key = f"{uuid}|{kind}|{result}"
    if kind in _REGISTRATIONS:
        done = "registered" if kind == "REGISTER" else "removed"
        return ParsedNotices((NoteNotice(f"Payment method {done}: {result}."),), key)
    status, substate = _status(result, kind, fields, setup.config)
    code = reading.text(fields, "code")
    notice = TransactionNotice(
        _references(incoming, fields, kind),
        raw_status=" ".join(part for part in (result, kind, code) if part),
        status=status,
        kind=LINKED.get(kind, TransactionKind.PAYMENT),
        substate=substate,
        reason=code or reading.text(_dispute(fields, kind), "reason"),
        message=reading.text(fields, "message") or reading.text(fields, "adapterMessage"),
        amount=reading.provider_amount(fields, "amount", "currency"),
        psp_transaction_id=None if kind in _STEPS else uuid,
        psp_reference=reading.text(fields, "purchaseId"),
        details=_details(fields),
        capture_id=uuid if kind == "CAPTURE" and status is TransactionStatus.APPROVED else None,
    )
    return ParsedNotices((notice,), key)


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Tell the gateway `OK`, send a browser on to the shop."""
    if is_return(incoming):
        return _answer_browser(incoming, setup, intake)
    if intake is IntakeStatus.STORED:
        return CallbackAnswer(200, b"OK")
    return CallbackAnswer(401 if intake is IntakeStatus.REFUSED else 400)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the fields as JSON, signed; or open the address as a browser does."""
    if case.method != "POST":
        return request(case, url, b"", {})
    date = format_datetime(to_datetime(case.at).replace(microsecond=0), usegmt=True)
    headers = {"content-type": CONTENT_TYPE, "date": date}
    unsigned = request(case, url, json_body(dict(case.fields)), headers)
    sent = dict(unsigned.headers)
    covered = message(unsigned, "sha512", sent["content-type"], sent["date"])
    signed = signature(setup.secrets[0], covered) if setup.secrets else ""
    return unsigned._replace(headers=(*unsigned.headers, ("x-signature", signed)))


def is_return(incoming: Incoming) -> bool:
    """Tell whether the payer's browser carried it."""
    return incoming.method != "POST"


# ── the signature ─────────────────────────────────────────────────────────────────────────────────


class _HeaderSignature(NamedTuple):
    """A signature of the request, and whether it is of the old kind."""

    signature: bytes
    is_legacy: bool


class _SignedMessage(NamedTuple):
    """A message that the signature may cover, and the date in it."""

    message: bytes
    date: str


def signature(secret: str, covered: bytes) -> str:
    """Write the signature of a message."""
    return base64.b64encode(mac("sha512", key_bytes(secret), covered)).decode()


def message(incoming: Incoming, algorithm: str, content_type: str, date: str) -> bytes:
    """Write the message that is signed, in its present form."""
    hashed = digest(algorithm, incoming.body).hex()
    lines = (incoming.method, hashed, content_type, date, incoming.target)
    return "\n".join(lines).encode("latin-1", "replace")


def _header_signature(incoming: Incoming) -> _HeaderSignature | None:
    current = incoming.header("x-signature")
    if current is not None:
        claimed = from_base64(current)
        return _HeaderSignature(claimed, is_legacy=False) if claimed else None
    for name in ("authorization", "x-authorization"):
        scheme, _, credentials = (incoming.header(name) or "").partition(" ")
        claimed = from_base64(credentials.rpartition(":")[2])
        if scheme.lower() in _SCHEMES and claimed:
            return _HeaderSignature(claimed, is_legacy=True)
    return None


def _possible_messages(
    incoming: Incoming, algorithm: str, claimed: _HeaderSignature
) -> Iterator[_SignedMessage]:
    """Go through the dates and content types that the signature may cover: proxies change them."""
    dates = [incoming.header(name) for name in ("x-date", "date")]
    types = dict.fromkeys((incoming.header("content-type") or "", CONTENT_TYPE))
    for date in dict.fromkeys(date for date in dates if date is not None):
        for content_type in types:
            covered = message(incoming, algorithm, content_type, date)
            if claimed.is_legacy:
                before, _, target = covered.rpartition(b"\n")
                covered = before + b"\n\n" + target
            yield _SignedMessage(covered, date)


def _compared(setup: SourceSetup, claimed: _HeaderSignature, signed: _SignedMessage) -> Verdict:
    def is_right(secret: str) -> bool:
        return is_one_of([claimed.signature], [mac("sha512", key_bytes(secret), signed.message)])

    return verify_with_secrets(setup.secrets, is_right, "The signature")


def _refusal(incoming: Incoming, setup: SourceSetup, claimed: _HeaderSignature) -> Verdict:
    """Name the likely cause where it is cheap to find."""
    plain = Verdict(None, "The signature does not match. Check the source's secret.")
    verdicts = [
        _compared(setup, claimed, signed)
        for signed in _possible_messages(incoming, "sha512", claimed)
    ]
    if not verdicts:
        return Verdict(None, "The header Date, which is signed, is missing or stands twice.")
    if not setup.config.get("allowMd5BodyHash"):
        old = _possible_messages(incoming, "md5", claimed)
        if any(_compared(setup, claimed, signed).trust is not None for signed in old):
            why = "It is signed over the body's MD5, as old set-ups do; see allowMd5BodyHash."
            return Verdict(None, why)
    return next((verdict for verdict in verdicts if "space" in verdict.why), plain)


def _in_time(verdict: Verdict, date: str, now: Micros, config: Mapping[str, Any]) -> Verdict:
    """Check the signed date. One that is too old is reported, or refused if the owner sets that."""
    limit_s = config.get("maxAge", MAX_AGE_S)
    problem = clock_problem(_http_date(date), now, limit_s)
    if problem is None:
        return verdict
    if config.get("maxAgeMode") == "refuse":
        return Verdict(None, problem)
    return verdict._replace(why=f"{verdict.why} {problem} This is only reported.")


@lru_cache(maxsize=64)  # of a second all callbacks have the same date
def _http_date(date: str) -> Micros | None:
    """Read an HTTP date (RFC 9110 5.6.7); None if it is none."""
    try:
        return from_datetime(parsedate_to_datetime(date))
    except (ValueError, TypeError, OverflowError):
        return None


# ── the server's callback ─────────────────────────────────────────────────────────────────────────


def _fields(incoming: Incoming) -> dict[str, Any]:
    """Read JSON, or the old XML as the JSON that it stands for."""
    if incoming.body.lstrip()[:1] == b"<":
        return legacy_fields(reading.xml(incoming.body))
    return reading.json_object(incoming.body)


def _status(
    result: str, kind: str, fields: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[TransactionStatus | None, str | None]:
    if kind not in SUCCEEDED:
        return None, None
    if result == "OK":
        if kind == "PREAUTHORIZE" and config.get(AUTHORIZATION_IS_FINAL.name):
            return TransactionStatus.APPROVED, None
        return SUCCEEDED[kind]
    if result not in ("PENDING", "ERROR", "INVALID_REQUEST"):
        return None, None
    if kind in _STEPS:
        return TransactionStatus.PENDING, "authorized"
    if result == "PENDING":
        return (
            TransactionStatus.PROCESSING if kind == "PAYOUT" else TransactionStatus.PENDING
        ), None
    return ERRORS.get(reading.text(fields, "code") or "", TransactionStatus.FAILED), None


def _our_references(
    own_id: str | None, order: str | None, original: str | None, *, is_begun: bool
) -> tuple[str, ...]:
    """Return the merchant's references: of an attempt its own and the order's, else the order's."""
    if is_begun:
        return reading.present_values(own_id, order)
    return reading.present_values(order or original or own_id)


def _references(incoming: Incoming, fields: Mapping[str, Any], kind: str) -> References:
    """Name the payment; a refund or chargeback names the ids of its payment.

    The target is signed, so its `orderId` counts. It goes before the own reference of a refund or
    capture, which is another one. A purchase's id ends in the id of its first transaction.
    """
    order = reading.query(incoming.target).get("orderId")
    purchase = (reading.text(fields, "purchaseId") or "").partition("-")[2]
    dispute = _dispute(fields, kind)
    original = reading.text(dispute, "originalMerchantTransactionId")
    is_begun = kind in _BEGINNINGS  # it has the reference of the payment itself
    own_id = reading.text(fields, "merchantTransactionId")
    return References(
        ours=_our_references(own_id, order, original, is_begun=is_begun),
        psp=reading.present_values(reading.text(dispute, "originalUuid"), purchase),
    )


def _dispute(fields: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    name = "chargebackReversalData" if kind == "CHARGEBACK-REVERSAL" else "chargebackData"
    return reading.object_member(fields, name)


def _details(fields: Mapping[str, Any]) -> dict[str, Any]:
    card = reading.object_member(fields, "returnData")
    return card_details(
        reading.text(card, "firstSixDigits"),
        reading.text(card, "lastFourDigits"),
        brand=reading.text(card, "binBrand"),
        method=reading.text(fields, "paymentMethod"),
    )


# ── the old XML ───────────────────────────────────────────────────────────────────────────────────


def legacy_fields(root: Element) -> dict[str, Any]:
    """Return the old XML under the names that JSON has now; `Unreadable` if it is no callback."""
    if _name(root) != "callback":
        raise Unreadable("The XML is no callback.")
    fields = _members(root, _LEVELS)
    errors = fields.pop("errors", None)
    error = errors.get("error") if isinstance(errors, dict) else None
    card = fields.get("returnData")
    if isinstance(card, dict) and isinstance(card.get("creditcardData"), dict):
        fields["returnData"] = card["creditcardData"]
    return {**(error if isinstance(error, dict) else {}), **fields}


def _members(element: Element, levels: int) -> dict[str, Any]:
    """Read an element's children. Only the first error counts; no other name may stand twice."""
    members: dict[str, Any] = {}
    for child in element:
        name = _name(child)
        name = _TODAY.get(name, name)
        if name in ("error", "extraData") and name in members:
            continue
        if name in members:
            raise Unreadable(f"The element {name[:40]} stands twice.")
        members[name] = _members(child, levels - 1) if len(child) and levels else child.text
    return members


def _name(element: Element) -> str:
    """Return the name without its namespace."""
    return str(element.tag).rpartition("}")[2]


# ── the browser ───────────────────────────────────────────────────────────────────────────────────


def _parse_return(incoming: Incoming) -> ParsedNotices:
    """Read a return. It is never a duplicate: anybody could send one first."""
    query = reading.query(incoming.target)
    event = reading.required_text(query, "requestEvent")
    if event not in RETURNS:
        return ParsedNotices(
            (NoteNotice(f"A browser returned with the unknown event {event[:40]!r}."),), ""
        )
    notice = TransactionNotice(
        References(ours=(reading.required_text(query, "orderId"),)),
        raw_status=f"requestEvent={event}",
        status=None,
        message=f"The payer's browser returned with {event}.",
        is_hint=True,
        if_silent=RETURNS[event],
    )
    return ParsedNotices((notice,), "")


def _answer_browser(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    if intake is not IntakeStatus.STORED:
        return not_accepted(setup.config, 400)
    event = status_word(lambda: reading.query(incoming.target).get("requestEvent"))
    names = {"success": ("successUrl",), "cancel": ("cancelUrl", "errorUrl")}
    return redirect_to_shop(setup.config, *names.get(event, ("errorUrl",)))


PROVIDER = Provider(
    name="allsecure",
    title="AllSecure Exchange",
    about="Signed server callbacks of card payments, and returns of the payer's browser.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule("The connector's shared secret.", problem=secret_problem),
    answers="200 with the body OK to the gateway; 303 to the shop's page for a browser.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(
        SUCCESS_URL,
        CANCEL_URL,
        ERROR_URL,
        AUTHORIZATION_IS_FINAL,
        ProviderSetting(
            "allowMd5BodyHash",
            "Take signatures over the body's MD5, as old set-ups of the gateway make them.",
            "boolean",
            default=False,
        ),
        ProviderSetting(
            "maxAge",
            "How many seconds old the signed date may be.",
            "integer",
            minimum=1,
            maximum=TOLERANCE_MAX_S,
            default=MAX_AGE_S,
        ),
        ProviderSetting(
            "maxAgeMode",
            "Whether a date that is too old is only reported, or refused.",
            choices=("report", "refuse"),
            default="report",
        ),
    ),
    methods=frozenset({"GET", "POST"}),
    masked=(
        "cardHolder",
        "firstName",
        "lastName",
        "fingerprint",
        "binDigits",
        "iban",
        "phoneNumber",
        "accountOwner",
        "customer",
        "customerData",
        "customerProfileData",
        "walletOwner",
        "authorization",
        "x-authorization",
    ),
    note=(
        "A GET proves nothing, whatever it says: anybody can open such an address. Whether the "
        "gateway renews the signed date on its retries is not documented, so too old a date is "
        "only reported unless maxAgeMode is refuse. A look-up that says SUCCESS approves nothing: "
        "the gateway calls an authorization so too."
    ),
    statuses=LOOK_UP,
)
