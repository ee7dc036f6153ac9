"""KOPA: card payments of Serbian shops, unsigned as far as is known.

KOPA's server posts JSON to the merchant's `resURL`, and the payer's browser comes back by a GET
with `authResult`. KOPA's own shop plugin checks no signature. It asks KOPA's API for the state
of the order, and so should the source. The payer sees `resURL`, so a token in it is no proof.
Whether the *HMAC key* of an account signs callbacks is unknown. If it does, the settings
`signature…` say where and how.

Source: miloradrajic/kopa-payment, the plugin that KOPA's documentation names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillbell.model.callbacks import NoteNotice, References, TransactionNotice
from tillbell.model.sources import Trust
from tillbell.model.transactions import TransactionStatus
from tillbell.providers.kit import networks, reading
from tillbell.providers.kit.base import (
    CallbackAnswer,
    Confidence,
    Incoming,
    IntakeStatus,
    ParsedNotices,
    Provider,
    ProviderSetting,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.browser import (
    CANCEL_URL,
    ERROR_URL,
    SUCCESS_URL,
    not_accepted,
    redirect_to_shop,
    status_word,
)
from tillbell.providers.kit.requests import JSON, json_body, request
from tillbell.providers.kit.words import (
    APPROVED,
    AUTHORIZATION_IS_FINAL,
    AUTHORIZED,
    DECLINED,
    FAILED,
    STATUSES,
    WordMeaning,
    meaning_of,
    table,
)

# The states of the plugin, and the events that shop platforms name.
WORDS = table(
    {
        "approved": APPROVED,
        "declined": DECLINED,
        "error": FAILED,
        "authorized": AUTHORIZED,
        "captured": APPROVED,
        "failed": FAILED,
        "payment authorized": AUTHORIZED,
        "payment captured": APPROVED,
        "payment failed": FAILED,
    }
)
# The last step of an order and its result. Without `Error`: the API says that also of an order that
# was already paid. A refund and a void name no amount: KOPA takes back the whole.
LOOK_UP: Mapping[str, TransactionStatus] = {
    "Auth Approved": TransactionStatus.APPROVED,
    "PreAuth Approved": TransactionStatus.PENDING,
    "PostAuth Approved": TransactionStatus.APPROVED,
    "Void Approved": TransactionStatus.CANCELLED,
    "Refund Approved": TransactionStatus.CANCELLED,
    "Auth Declined": TransactionStatus.DECLINED,
    "PreAuth Declined": TransactionStatus.DECLINED,
    "Approved": TransactionStatus.APPROVED,  # of something that answers with the result alone
    "Declined": TransactionStatus.DECLINED,
}
# Settings with the page that the payer sees next.
RETURNS: Mapping[str, tuple[str, ...]] = {
    "authorised": ("successUrl",),
    "cancelled": ("cancelUrl", "errorUrl"),
    "refused": ("errorUrl",),
}


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Check what the owner has configured: a signature, else networks, else nothing."""
    if _is_return(incoming):
        return Verdict(Trust.NONE, "A browser carried it, so nothing is proven.")
    signature = _signature(setup.config)
    if signature is None:
        return networks.verify(incoming, setup)
    return signature.verify(incoming, SourceSetup((str(setup.config.get("signatureKey") or ""),)))


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Read the result of one payment."""
    fields = _folded(incoming)
    if _is_return(incoming):
        return _parse_return(fields)
    order = reading.required_text(fields, "orderid")
    word = _word(fields)
    meaning = _meaning(word, fields, setup.config)
    # `TansId` is a typing error of KOPA.
    id_ = reading.text(fields, "tansid") or reading.text(fields, "transid")
    code = reading.text(fields, "transerrorcode") or reading.text(fields, "transnumcode")
    notice = TransactionNotice(
        References(ours=(order,)),
        raw_status=word,
        status=meaning.status if meaning else None,
        substate=meaning.substate if meaning else None,
        reason=None if meaning in (APPROVED, AUTHORIZED) else code,
        message=reading.text(fields, "errmsg"),
        psp_transaction_id=id_,
        occurred_at=reading.unix_seconds(fields.get("transdate")),
        ends_attempt=meaning in (DECLINED, FAILED),
    )
    # An unproven callback must not make a later one a duplicate, so only the same bytes repeat it.
    is_signed = _signature(setup.config) is not None
    return ParsedNotices((notice,), f"{order}|{id_ or ''}|{word}" if is_signed else None)


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Tell the server `OK`, send a browser on to the shop."""
    if not _is_return(incoming):
        if intake is IntakeStatus.STORED:
            return CallbackAnswer(200, b"OK")
        return CallbackAnswer(401 if intake is IntakeStatus.REFUSED else 400)
    if intake is not IntakeStatus.STORED:
        return not_accepted(setup.config, 400)
    result = status_word(lambda: reading.text(_folded(incoming), "authresult"))
    return redirect_to_shop(setup.config, *RETURNS.get(result.lower(), ("errorUrl",)))


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Post the fields as JSON, signed if that is configured; or come back as a browser does."""
    if case.method != "POST":
        return request(case, url, b"", {})
    body = json_body(dict(case.fields))
    headers = {"content-type": JSON}
    signature = _signature(setup.config)
    if signature is not None:
        key = str(setup.config.get("signatureKey") or "")
        headers[signature.header] = signature.signature(key, body)
    return request(case, url, body, headers)


def _is_return(incoming: Incoming) -> bool:
    return incoming.method != "POST"


def _signature(config: Mapping[str, Any]) -> BodyMac | None:
    """Return how callbacks are signed, if the source's owner has configured that."""
    header = config.get("signatureHeader")
    if not header:
        return None
    algorithm = config.get("signatureAlgorithm", "sha256")
    return BodyMac(str(header).lower(), algorithm, config.get("signatureEncoding", "hex"))


def _folded(incoming: Incoming) -> dict[str, Any]:
    """Read the fields by their lower-case names."""
    is_return = _is_return(incoming)
    fields = reading.query(incoming.target) if is_return else reading.fields(incoming)
    folded: dict[str, Any] = {name.lower(): value for name, value in fields.items()}
    if len(folded) != len(fields):
        raise Unreadable("A field stands twice, spelled differently.")
    return folded


def _word(fields: Mapping[str, Any]) -> str:
    for name in ("transstatus", "event", "status"):
        word = reading.text(fields, name)
        if word is not None:
            return word
    raise Unreadable("None of the fields 'TransStatus', 'event' and 'status' is there.")


def _meaning(word: str, fields: Mapping[str, Any], config: Mapping[str, Any]) -> WordMeaning | None:
    is_reserved = reading.fold(reading.text(fields, "trantype") or "") == "preauth"
    meaning = meaning_of(word, WORDS, config)
    return (
        meaning_of("authorized", WORDS, config) if meaning == APPROVED and is_reserved else meaning
    )


def _parse_return(fields: Mapping[str, Any]) -> ParsedNotices:
    """Read a browser's return. It only starts a look-up, and is never a duplicate."""
    result = reading.required_text(fields, "authresult")
    order = reading.text(fields, "orderid") or reading.text(fields, "oid")
    if order is None:
        return ParsedNotices(
            (NoteNotice(f"A browser returned with {result[:40]!r}, of no order."),), ""
        )
    notice = TransactionNotice(
        References(ours=(order,)),
        raw_status=f"authResult={result}",
        status=None,
        message=f"The payer's browser returned with {result}.",
        is_hint=True,
    )
    return ParsedNotices((notice,), "")


PROVIDER = Provider(
    name="kopa",
    title="KOPA",
    about="Results of card payments, and returns of the payer's browser.",
    confidence=Confidence.UNKNOWN,
    best_trust=Trust.NONE,
    bare_trust=Trust.NONE,
    secret=None,
    answers="200 with the body OK to the server; 303 to the shop's page for a browser.",
    verify=verify,
    parse=parse,
    answer=answer,
    sign=sign,
    settings=(
        SUCCESS_URL,
        CANCEL_URL,
        ERROR_URL,
        networks.NETWORKS,
        ProviderSetting(
            "signatureHeader", "The header with an HMAC of the body, should KOPA send one."
        ),
        ProviderSetting("signatureKey", "The key of that HMAC.", is_secret=True),
        ProviderSetting(
            "signatureAlgorithm",
            "The hash of that HMAC.",
            choices=("sha1", "sha256", "sha384", "sha512"),
            default="sha256",
        ),
        ProviderSetting(
            "signatureEncoding",
            "How that HMAC is written.",
            choices=("hex", "base64"),
            default="hex",
        ),
        AUTHORIZATION_IS_FINAL,
        STATUSES,
    ),
    methods=frozenset({"GET", "POST"}),
    note=(
        "How the fields are sent is known from KOPA's shop plugin; whether callbacks can be "
        "signed, and how often they are repeated, is not. Nothing they say moves money before "
        "KOPA has confirmed it at lookupUrl, or a person has. The payer sees the address, so the "
        "token in it proves nothing."
    ),
    statuses=LOOK_UP,
    authorizing=frozenset({"PreAuth Approved"}),
    lookup={"status": "/trantype /response"},
    payer_may_retry=True,
)
