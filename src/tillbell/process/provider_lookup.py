"""Provider look-up: asks a provider how a transaction stands, where its source has a look-up.

A GET through the guarded HTTP client to `lookupUrl`, with `{id}`, `{uid}`, `{pspTransactionId}`,
`{orderId}` and `{merchantReference}` filled in; with `lookupBody` a POST of that JSON, its texts
filled in likewise. The answer is JSON. `lookup` says where `status`, `amount` and `currency` are in
it (JSON pointers, RFC 6901); by default where the provider has them, else at the top. It may also
name `mode` (`test` or `live`), `isLive` or `isTest` (true or false), `authorized`, `refunded` and
`chargedBack`. The status is a word of the source's owner (`statuses`) or of the provider, or one of
our eight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from tillbell.errors import Invalid
from tillbell.http.address_policy import AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.model.callbacks import ProviderAmount
from tillbell.model.transactions import Transaction, TransactionStatus
from tillbell.providers.custom.locations import by_pointer
from tillbell.providers.kit.base import Unreadable
from tillbell.providers.kit.reading import fold, json_value
from tillbell.providers.kit.words import own_words
from tillbell.receive.source_cache import CompiledSource
from tillbell.rules.delivery.headers import check_custom_headers
from tillbell.rules.payments.transitions import status_of

TIMEOUT_S = 10.0
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LACKING = "\N{REPLACEMENT CHARACTER}"  # in place of a reference that a transaction does not have
_SEVERAL = re.compile(r" (?=/)")  # between the pointers of a status of several members
_DEFAULT_POINTERS = {"status": "/status", "amount": "/amount", "currency": "/currency"}


class LookupResult(NamedTuple):
    """How a transaction stands, as the provider says. `refunded` and `charged_back` are in all.

    `authorized` is what is reserved, if the word says that money is; `is_authorized` then.
    """

    status: TransactionStatus
    raw_status: str
    amount: ProviderAmount | None
    refunded: ProviderAmount | None = None
    charged_back: ProviderAmount | None = None
    is_authorized: bool = False
    authorized: ProviderAmount | None = None


class LookupFailure(NamedTuple):
    """The provider did not say it, and why. `is_unmapped`: it said a word that means nothing."""

    why: str
    is_unmapped: bool = False


class ProviderLookup:
    """Asks providers. If one does not answer, that is a value and no exception."""

    def __init__(self, http_client: HttpClient, policy: AddressPolicy, user_agent: str) -> None:
        self._http_client = http_client
        self._policy = policy
        self._user_agent = user_agent

    async def look_up(
        self, compiled: CompiledSource, transaction: Transaction
    ) -> LookupResult | LookupFailure:
        """Ask the source's provider how a transaction stands."""
        config = compiled.config
        template = config.get("lookupUrl")
        if not template:
            return LookupFailure("The source has no look-up: it has no `lookupUrl`.")
        url = _url(str(template), transaction)
        body = _body(config.get("lookupBody"), transaction)
        if url is None or body is None:
            return LookupFailure(
                "The look-up needs a reference that this transaction does not have."
            )
        headers = {str(k): str(v) for k, v in (config.get("lookupHeaders") or {}).items()}
        try:
            target = self._policy.check_url(url)
        except Invalid as invalid:
            return LookupFailure(f"The look-up URL is not allowed: {invalid.problems[0].msg}")
        if problems := check_custom_headers(headers):
            return LookupFailure(f"A look-up header is not allowed: {problems[0].msg}")
        lines = [
            (b"POST " if body else b"GET ") + target.path + b" HTTP/1.1",
            b"Host: " + target.host_header,
            b"User-Agent: " + self._user_agent.encode(),
            b"Accept: application/json",
            b"Accept-Encoding: identity",
            *([b"Content-Type: application/json"] if body else []),
            *(f"{name}: {value}".encode("latin-1") for name, value in headers.items()),
        ]
        head = b"\r\n".join(lines) + b"\r\n"
        reply = await self._http_client.send(target, head, body, TIMEOUT_S)
        if reply.error:
            return LookupFailure(f"The look-up was not answered: {reply.detail}")
        if reply.status != 200:
            return LookupFailure(f"The look-up was answered with {reply.status}.")
        return _read(compiled, reply.body)


def is_of_attempt(config: Mapping[str, Any]) -> bool:
    """Tell whether a look-up asks about one attempt, so that its amounts are of that one."""
    return "{pspTransactionId}" in f"{config.get('lookupUrl')} {config.get('lookupBody')}"


def _references(transaction: Transaction) -> dict[str, str | None]:
    return {
        "id": transaction.id,
        "transactionId": transaction.id,
        "uid": transaction.uid,
        "pspTransactionId": transaction.psp_transaction_id,
        "orderId": transaction.order_id,
        "merchantReference": transaction.merchant_reference,
    }


def _url(template: str, transaction: Transaction) -> str | None:
    """Fill in the references, percent-encoded; None if the transaction lacks one."""
    values = _references(transaction)
    if any(not values.get(name) for name in _PLACEHOLDER.findall(template)):
        return None
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]] or "", safe=""), template)


def _body(template: Any, transaction: Transaction) -> bytes | None:
    """Return the JSON to send, empty for none; None if the transaction lacks a reference of it."""
    if not template:
        return b""
    values = _references(transaction)

    def filled_in(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled_in(member) for name, member in value.items()}
        if isinstance(value, list):
            return [filled_in(member) for member in value]
        if not isinstance(value, str):
            return value
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]) or _LACKING, value)

    body = msgspec.json.encode(filled_in(template))
    return None if _LACKING.encode() in body else body


def _read(compiled: CompiledSource, body: bytes) -> LookupResult | LookupFailure:
    try:
        answer = json_value(body)
    except Unreadable as error:
        return LookupFailure(f"The look-up's answer cannot be read: {error}")
    pointers = lookup_pointers(compiled)
    raw_status = _word_at(answer, str(pointers["status"]))
    if raw_status is None:
        return LookupFailure(f"The look-up's answer has no status at {pointers['status']}.")
    if (other := _other_mode(compiled, answer, pointers)) is not None:
        return LookupFailure(other)
    provider_words = {fold(word): status for word, status in compiled.provider.statuses.items()}
    words = {**provider_words, **own_words(compiled.config)}
    status = words.get(fold(raw_status)) or status_of(raw_status)
    if status is None:
        why = f"The look-up says {raw_status[:100]!r}, which is not mapped."
        return LookupFailure(why, is_unmapped=True)
    read = partial(_amount_at, compiled, answer, pointers)
    return LookupResult(
        status=status,
        raw_status=raw_status,
        amount=read("amount"),
        refunded=read("refunded"),
        charged_back=read("chargedBack"),
        is_authorized=_is_authorizing(compiled, raw_status, status),
        authorized=read("authorized"),
    )


def _is_authorizing(compiled: CompiledSource, raw_status: str, status: TransactionStatus) -> bool:
    words = {fold(word) for word in compiled.provider.authorizing}
    return status is TransactionStatus.PENDING and fold(raw_status) in words


def _word_at(answer: Any, pointers: str) -> str | None:
    """Return the word of the status; of several members their words, with a space between."""
    words = [_text_at(answer, pointer) for pointer in _SEVERAL.split(pointers)]
    return None if None in words else " ".join(word for word in words if word)


def lookup_pointers(compiled: CompiledSource) -> Mapping[str, Any]:
    """Return where the members are: as the owner says, else as the provider has them."""
    own = compiled.config.get("lookup") or {}
    return {**_DEFAULT_POINTERS, **compiled.provider.lookup, **own}


def _other_mode(compiled: CompiledSource, answer: Any, pointers: Mapping[str, Any]) -> str | None:
    """Say why an answer about test money does not count, or one about live money; else None."""
    mode, said = compiled.config.get("mode", "live"), _mode_at(answer, pointers)
    if said not in ("test", "live") or mode in ("any", said):
        return None
    return f"The look-up is about {said} money, and this source takes {mode} events only."


def _mode_at(answer: Any, pointers: Mapping[str, Any]) -> str | None:
    """Return `test` or `live`, as the answer says; None if it does not."""
    for name, words in (("isLive", ("live", "test")), ("isTest", ("test", "live"))):
        mark = by_pointer(answer, str(pointers[name])) if name in pointers else None
        if isinstance(mark, bool):
            return words[0] if mark else words[1]
    return _text_at(answer, pointers["mode"]) if "mode" in pointers else None


def _text_at_or_top(answer: Any, pointers: Mapping[str, Any], name: str) -> str | None:
    """Return a member where the provider has it, else at the top: a look-up may be a relay.

    Where the provider has several places, no other one counts.
    """
    places = pointers[name]
    if not isinstance(places, list | tuple):
        places = (places, _DEFAULT_POINTERS.get(name, ""))
    texts = (_text_at(answer, pointer) for pointer in places)
    return next((text for text in texts if text), None)


def _amount_at(
    compiled: CompiledSource, answer: Any, pointers: Mapping[str, Any], name: str
) -> ProviderAmount | None:
    """Return an amount of the answer. All are in the currency of `amount`."""
    if name not in pointers:
        return None
    value = _text_at_or_top(answer, pointers, name)
    if not value:
        return None
    currency = (_text_at_or_top(answer, pointers, "currency") or "").upper()
    is_minor = bool(pointers.get("minorUnits"))
    return ProviderAmount(
        value=value,
        currency=currency or None,
        is_minor=is_minor,
        exponent=_exponent(compiled, currency) if is_minor else None,
    )


def _exponent(compiled: CompiledSource, currency: str) -> int | None:
    """Return how many decimals the provider's minor units have, where ISO 4217 differs."""
    own = compiled.config.get("exponents") or {}
    digits = own.get(currency, own.get("*"))
    return digits if digits is not None else compiled.provider.exponents.get(currency)


def _text_at(answer: Any, pointer: object) -> str | None:
    """Return the text or number at a pointer; None if there is none or it is empty."""
    value = by_pointer(answer, str(pointer))
    if value is None or isinstance(value, bool | dict | list):
        return None
    return str(value).strip() or None
