"""Confirm: ask a provider how a transaction stands, at the look-up its source names.

A GET through the guarded sender to `lookupUrl`, in which `{id}`, `{uid}`, `{pspTransactionId}`,
`{orderId}` and `{merchantReference}` are filled in. The answer is JSON; `lookup` says where
`status`, `amount` and `currency` stand in it (JSON pointers, RFC 6901), by default at the top.
A status is a word of the source's owner (`statuses`), of the provider, or one of our eight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

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
_SLOT = re.compile(r"\{(\w+)\}")
_DEFAULTS = {"status": "/status", "amount": "/amount", "currency": "/currency"}


class LookupResult(NamedTuple):
    """What the provider says of a transaction."""

    status: TransactionStatus
    raw_status: str
    amount: ProviderAmount | None


class LookupFailure(NamedTuple):
    """The provider did not say, and why."""

    why: str


class ProviderLookup:
    """Asks. A provider that does not answer is a value."""

    def __init__(self, sender: HttpClient, policy: AddressPolicy, user_agent: str) -> None:
        self._http_client = sender
        self._policy = policy
        self._user_agent = user_agent

    async def look_up(
        self, live: CompiledSource, found: Transaction
    ) -> LookupResult | LookupFailure:
        """Ask the source's provider how a transaction stands."""
        template = live.config.get("lookupUrl")
        if not template:
            return LookupFailure("The source has no look-up.")
        url = _filled(str(template), found)
        if url is None:
            return LookupFailure(
                "The look-up needs a reference that this transaction does not have."
            )
        headers = {str(k): str(v) for k, v in (live.config.get("lookupHeaders") or {}).items()}
        try:
            target = self._policy.check_url(url)
        except Invalid as refusal:
            return LookupFailure(f"The look-up may not be asked: {refusal.problems[0].msg}")
        if problems := check_custom_headers(headers):
            return LookupFailure(f"A header of the look-up may not be sent: {problems[0].msg}")
        lines = [
            b"GET " + target.path + b" HTTP/1.1",
            b"Host: " + target.host_header,
            b"User-Agent: " + self._user_agent.encode(),
            b"Accept: application/json",
            b"Accept-Encoding: identity",
            *(f"{name}: {value}".encode("latin-1") for name, value in headers.items()),
        ]
        reply = await self._http_client.send(target, b"\r\n".join(lines) + b"\r\n", b"", TIMEOUT_S)
        if reply.error:
            return LookupFailure(f"The look-up was not answered: {reply.detail}")
        if reply.status != 200:
            return LookupFailure(f"The look-up was answered with {reply.status}.")
        return _read(live, reply.body)


def _filled(template: str, found: Transaction) -> str | None:
    """Fill the references in, each percent-encoded; None if one is missing."""
    values = {
        "id": found.id,
        "transactionId": found.id,
        "uid": found.uid,
        "pspTransactionId": found.psp_transaction_id,
        "orderId": found.order_id,
        "merchantReference": found.merchant_reference,
    }
    if any(not values.get(name) for name in _SLOT.findall(template)):
        return None
    return _SLOT.sub(lambda slot: quote(values[slot[1]] or "", safe=""), template)


def _read(live: CompiledSource, body: bytes) -> LookupResult | LookupFailure:
    try:
        answer = json_value(body)
    except Unreadable as error:
        return LookupFailure(f"The look-up's answer cannot be read: {error}")
    where: Mapping[str, Any] = {**_DEFAULTS, **(live.config.get("lookup") or {})}
    raw = _text(by_pointer(answer, str(where["status"])))
    if raw is None:
        return LookupFailure(f"The look-up's answer has no status at {where['status']}.")
    table = {fold(word): status for word, status in live.provider.statuses.items()}
    words = {**table, **own_words(live.config)}
    status = words.get(fold(raw)) or status_of(raw)
    if status is None:
        return LookupFailure(f"The look-up says {raw[:100]!r}, which is in no table.")
    amount, currency = (
        _text(by_pointer(answer, str(where[name]))) for name in ("amount", "currency")
    )
    is_minor = bool(where.get("minorUnits"))
    told = (
        ProviderAmount(amount, currency.upper() if currency else None, is_minor) if amount else None
    )
    return LookupResult(status, raw, told)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool | dict | list):
        return None
    return str(value).strip() or None
