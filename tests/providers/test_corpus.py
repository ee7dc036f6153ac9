"""Callbacks as the providers document them, one file each: what each says, in full.

A file is `tests/corpus/<provider>/<event>.json`:

```
source      page or SDK that the facts are from
body        fields of the body, as `sign` of the adapter takes them
headers, query, method, config    where the case needs them
trust       if it proves less than the best callback of its provider
expect      every notice with all that it says; members that say nothing are left out
```
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cases import each
from tests.providers.pinned import pinned
from tests.providers.test_every_provider import AT, URL, secret_of
from tillbell.clock import iso
from tillbell.model.callbacks import (
    AnalyticsNotice,
    EmailNotice,
    ForwardNotice,
    NoteNotice,
    Notice,
    OrderNotice,
    RecordNotice,
    ShipmentNotice,
    TransactionNotice,
)
from tillbell.providers import PROVIDERS
from tillbell.providers.kit.base import SimulationCase, SourceSetup

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(CORPUS.glob("*/*.json"))


def _id(file: Path) -> str:
    return f"{file.parent.name}:{file.stem}"


@each("file", FILES, ids=_id)
def test_a_documented_callback_is_read_in_full(file: Path) -> None:
    case = json.loads(file.read_text(encoding="utf-8"))
    provider = PROVIDERS[file.parent.name]
    defaults = {s.name: s.default for s in provider.settings if s.default is not None}
    setup = SourceSetup(
        secret_of(provider), {**defaults, **pinned(provider.name), **case.get("config", {})}
    )
    simulated = SimulationCase(
        case["body"],
        case.get("method", "POST"),
        case.get("query", {}),
        case.get("headers", {}),
        at=AT,
    )
    incoming = provider.sign(simulated, setup, URL)._replace(received_at=AT)

    assert case["source"]
    verdict = provider.verify(incoming, setup)
    trust = verdict.trust.word if verdict.trust is not None else "refused"
    assert trust == case.get("trust", provider.best_trust.word), verdict.why
    assert [said(notice) for notice in provider.parse(incoming, setup).notices] == case["expect"]


def test_every_provider_has_a_corpus() -> None:
    assert {file.parent.name for file in FILES} == set(PROVIDERS)


def said(notice: Notice) -> dict[str, Any]:
    """Return what a notice says, in the words of the corpus; without empty members."""
    if isinstance(notice, ForwardNotice):
        return {"kind": "forward", "type": notice.event_type}
    if isinstance(notice, NoteNotice):
        return {"kind": "note"}
    if isinstance(notice, EmailNotice):
        return _said_of_email(notice)
    if isinstance(notice, ShipmentNotice):
        return _said_of_parcel(notice)
    if isinstance(notice, OrderNotice):
        return _said_of_order(notice)
    if isinstance(notice, RecordNotice):
        return _said_of_record(notice)
    if isinstance(notice, AnalyticsNotice):
        data = {name: value for name, value in notice.data.items() if value is not None}
        return {"kind": "analytics", "event": notice.event, "data": data}
    assert isinstance(notice, TransactionNotice), "every kind of notice is above"
    amount = notice.amount
    members = {
        "kind": notice.kind.value,
        "status": notice.status.value if notice.status is not None else None,
        "substate": notice.substate,
        "amount": amount.value if amount is not None else None,
        "currency": amount.currency if amount is not None else None,
        "exponent": amount.exponent if amount is not None else None,
        "id": notice.psp_transaction_id,
        "psp": list(notice.references.psp),
        "ours": list(notice.references.ours),
        "isHint": notice.is_hint,
        "isTest": notice.is_test,
        "endsAttempt": notice.ends_attempt,
        "captureId": notice.capture_id,
        "isPart": notice.is_part,
        "movementId": notice.movement_id,
        "sameDebitAs": notice.same_debit_as.value if notice.same_debit_as is not None else None,
        "isClosing": notice.is_closing,
    }
    shown = {name: value for name, value in members.items() if value or value == 0}
    is_marked = notice.is_test is not None
    return {n: v for n, v in shown.items() if v is not False or (n == "isTest" and is_marked)}


def _said_of_order(notice: OrderNotice) -> dict[str, Any]:
    members = {
        "kind": "order",
        "type": notice.event_type,
        "id": notice.data.get("id"),
        "status": notice.data.get("status"),
        "paymentStatus": notice.data.get("paymentStatus"),
        "isTest": notice.is_test,
    }
    return {name: value for name, value in members.items() if value is not None}


def _said_of_record(notice: RecordNotice) -> dict[str, Any]:
    names = ("id", "name", "email", "price", "sku", "stock")
    members = {name: notice.data[name] for name in names if name in notice.data}
    return {"kind": notice.kind, **members, "at": notice.occurred_at}


def _said_of_email(notice: EmailNotice) -> dict[str, Any]:
    members = {
        "kind": "email",
        "event": notice.event,
        "id": notice.email_id,
        "to": list(notice.to),
        "recipient": notice.recipient,
        "reason": notice.reason,
        "bounceType": notice.bounce_type,
        "url": notice.url,
        "metadata": notice.metadata,
        "key": notice.event_key,
    }
    return {name: value for name, value in members.items() if value}


def _said_of_parcel(notice: ShipmentNotice) -> dict[str, Any]:
    members = {
        "kind": "parcel",
        "number": notice.tracking_number,
        "rawStatus": notice.raw_status,
        "status": notice.status,
        "substate": notice.substate,
        "ours": notice.reference,
        "message": notice.message,
        "at": iso(notice.occurred_at) if notice.occurred_at is not None else None,
        "sequence": notice.sequence,
        "carrier": notice.carrier,
    }
    return {name: value for name, value in members.items() if value is not None}
