"""Which qualifiers each list takes, and what their values mean."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from tillbell.catalog.money_shapes import SUBSCRIPTION_STATES
from tillbell.model.audit import ActorKind
from tillbell.model.callbacks import Outcome
from tillbell.model.endpoints import EndpointStatus
from tillbell.model.messages import FAILURES, DeliveryState, Result, Trigger
from tillbell.model.sources import Trust
from tillbell.model.transactions import Direction, TransactionKind, TransactionStatus
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.orders import PAYMENT_STATES, STATES

PENDING_OUTCOME = "pending"  # of a callback that is not processed yet


class ValueKind(StrEnum):
    """How the values of a qualifier are written."""

    TEXT = "text"  # exactly this
    PATTERN = "pattern"  # exactly this, or with `*` at its end what begins so
    WORD = "word"  # one of a closed list
    CODE = "code"  # 503, 5xx, none, >=500
    NUMBER = "number"  # 3, >=3
    DURATION = "duration"  # >=500ms, <2s
    AMOUNT = "amount"  # 149.99, >=100
    CURRENCY = "currency"
    TIME = "time"  # 24h ago, or 2026-11-30T12:00Z
    PAYLOAD = "payload"


class NameOf(StrEnum):
    """Configured things that a value may name by id, uid or name."""

    APPLICATION = "application"
    ENDPOINT = "endpoint"
    SOURCE = "source"
    EVENT_TYPE = "event type"
    PROVIDER = "provider"


class Qualifier(NamedTuple):
    """A qualifier of a list."""

    kind: ValueKind
    field: str
    text: str  # what it is about, for people
    words: Mapping[str, tuple[str, ...]] = {}  # by word: the stored values that it stands for
    names: NameOf | None = None


def _words(*words: str) -> dict[str, tuple[str, ...]]:
    return {word: (word,) for word in words}


def _text(field: str, text: str) -> Qualifier:
    return Qualifier(ValueKind.TEXT, field, text)


def _word(field: str, text: str, words: Mapping[str, tuple[str, ...]]) -> Qualifier:
    return Qualifier(ValueKind.WORD, field, text, words)


_APP = Qualifier(ValueKind.TEXT, "app", "id or uid of the application", names=NameOf.APPLICATION)
_ENDPOINT = Qualifier(
    ValueKind.TEXT, "endpoint", "id or uid of the endpoint", names=NameOf.ENDPOINT
)
_SOURCE = Qualifier(
    ValueKind.TEXT, "source", "id, uid, name or provider of the source", names=NameOf.SOURCE
)
_TYPE = Qualifier(
    ValueKind.PATTERN,
    "type",
    "event type; `order.*`: all that begin so",
    names=NameOf.EVENT_TYPE,
)
_PROVIDER = Qualifier(ValueKind.TEXT, "provider", "name of the provider", names=NameOf.PROVIDER)
_CODE = Qualifier(ValueKind.CODE, "code", "status code: 503, 5xx, none, >=500")
_AMOUNT = Qualifier(ValueKind.AMOUNT, "amount", "amount in whole units: 149.99, >=100, <5")
_CURRENCY = Qualifier(ValueKind.CURRENCY, "currency", "code of the currency: EUR")
_TIMES = {
    "since": Qualifier(ValueKind.TIME, "since", "from then on: 24h, 7d, 2026-11-30T12:00Z"),
    "until": Qualifier(ValueKind.TIME, "until", "before then: 1h, 2026-11-30"),
}
_DATA = {"data.": Qualifier(ValueKind.PAYLOAD, "data", "what stands at a path of the payload")}
_OF_RECORD = {
    "id": _text("id", "our id of the record"),
    "uid": _text("uid", "the shop's id of the record"),
    "source": _SOURCE,
}
_EMAIL = Qualifier(ValueKind.PATTERN, "email", "e-mail address; `ada@*`: all that begin so")
_CHANGED = {
    "since": _TIMES["since"]._replace(text="changed from then on: 24h, 7d, 2026-11-30T12:00Z"),
    "until": _TIMES["until"]._replace(text="last changed before then: 1h, 2026-11-30"),
    "data.": Qualifier(ValueKind.PAYLOAD, "data", "what stands at a path of the record"),
}
_MESSAGE = {
    "type": _TYPE,
    "channel": _text("channel", "channel of the message"),
    "tag": _text("tag", "tag of the message"),
    "order": _text("order", "order key of the message"),
    "event": _text("event", "the publisher's own id of the message"),
    "app": _APP,
}
_TRIGGER = _word("trigger", "why it was sent: by the schedule or by hand", _words(*Trigger))
_FAILED = tuple(result for result in Result if result is not Result.ACCEPTED)


def _folded(word: str) -> str:
    return word.lower().replace(" ", "_").replace("-", "_")


_STATUSES = {_folded(status): (status.value,) for status in TransactionStatus}

QUALIFIERS: Mapping[FilterList, Mapping[str, Qualifier]] = {
    FilterList.MESSAGE: {"id": _text("id", "id of the message"), **_MESSAGE, **_TIMES, **_DATA},
    FilterList.DELIVERY: {
        "id": _text("id", "id of the delivery"),
        "message": _text("message", "id of the message"),
        "endpoint": _ENDPOINT,
        "status": _word("status", "how it stands", _words(*DeliveryState)),
        "code": _CODE._replace(text="status code of its last attempt: 503, 5xx, none"),
        "attempts": Qualifier(ValueKind.NUMBER, "attempts", "how many attempts have begun: >=3"),
        "trigger": _TRIGGER,
        **_MESSAGE,
        **_TIMES,
        **_DATA,
    },
    FilterList.ATTEMPT: {
        "id": _text("id", "id of the attempt"),
        "message": _text("message", "id of the message"),
        "delivery": _text("delivery", "id of the delivery"),
        "endpoint": _ENDPOINT,
        "status": _word(
            "result",
            "whether it was accepted",
            {"succeeded": (Result.ACCEPTED,), "failed": _FAILED},
        ),
        "result": _word("result", "how it ended", _words(*Result)),
        "code": _CODE,
        "error": _word("error", "class of failure", _words(*FAILURES)),
        "number": Qualifier(ValueKind.NUMBER, "number", "its number in the delivery: 1, >=3"),
        "duration": Qualifier(ValueKind.DURATION, "duration", "how long it took: >=500ms, <2s"),
        "trigger": _TRIGGER,
        "url": Qualifier(ValueKind.PATTERN, "url", "where it was sent; `https://a.example/*`"),
        **_MESSAGE,
        **_TIMES,
        **_DATA,
    },
    FilterList.CALLBACK: {
        "id": _text("id", "id of the callback"),
        "source": _SOURCE,
        "provider": _PROVIDER,
        "status": _word("status", "how it ended", _words(*Outcome, PENDING_OUTCOME)),
        "verdict": _word("verdict", "whether it was verified", _words("accepted", "refused")),
        "trust": _word(
            "trust",
            "how well it proves its sender",
            {trust.word: (str(trust.value),) for trust in Trust},
        ),
        "transaction": _text("transaction", "id of the transaction"),
        "app": _APP,
        **_TIMES,
    },
    FilterList.CONFLICT: {
        "id": _text("id", "id of the conflict"),
        "status": _word("status", "whether a person has decided", _words("open", "resolved")),
        "decision": _word("decision", "what was decided", _words("keep", "accept")),
        "kind": _word(
            "kind",
            "what is wrong",
            _words(
                "contradiction",
                "mismatch",
                "unconfirmed",
                "unconfirmed_linked",
                "ambiguous",
                "stuck",
            ),
        ),
        "severity": _word("severity", "how urgent it is", _words("normal", "high", "critical")),
        "transaction": _text("transaction", "id of the transaction"),
        "callback": _text("callback", "id of the callback that brought the news"),
        "claims": _word("claims", "status that the news claims", _STATUSES),
        "amount": _AMOUNT,
        "currency": _CURRENCY,
        "app": _APP,
        **_TIMES,
    },
    FilterList.TRANSACTION: {
        "id": _text("id", "id of the transaction"),
        "uid": _text("uid", "your own id of the transaction"),
        "status": _word("status", "how it stands", _STATUSES),
        "direction": _word("direction", "which way money moves", _words(*Direction)),
        "kind": _word("kind", "what it is", _words(*TransactionKind)),
        "order": _text("order", "order number"),
        "reference": _text("reference", "uid, order number, merchant's or provider's reference"),
        "user": _text("user", "id of the user"),
        "source": _SOURCE,
        "provider": _PROVIDER,
        "parent": _text("parent", "id of the payment that it is linked to"),
        "amount": _AMOUNT,
        "currency": _CURRENCY,
        "app": _APP,
        **_TIMES,
    },
    FilterList.ENDPOINT: {
        "id": _text("id", "id of the endpoint"),
        "uid": _text("uid", "your own id of the endpoint"),
        "status": _word("status", "whether it is sent to", _words(*EndpointStatus)),
        "health": _word("health", "whether its last attempts failed", _words("ok", "failing")),
        "profile": _text("profile", "name of its profile"),
        "channel": _text("channel", "channel that it is limited to"),
        "takes": Qualifier(
            ValueKind.TEXT, "takes", "event type that it would get", names=NameOf.EVENT_TYPE
        ),
        "url": Qualifier(ValueKind.PATTERN, "url", "its URL; `https://a.example/*`"),
        "app": _APP,
        **_TIMES,
    },
    FilterList.AUDIT: {
        "id": _text("id", "id of the entry"),
        "action": Qualifier(
            ValueKind.PATTERN, "action", "what was done: endpoint.update; `endpoint.*`"
        ),
        "target": _text("target", "id of what it was done to"),
        "actor": _text("actor", "id of the person or key"),
        "name": Qualifier(ValueKind.PATTERN, "name", "name of the key, or e-mail of the person"),
        "kind": _word("kind", "what kind of actor did it", _words(*ActorKind)),
        "address": Qualifier(ValueKind.PATTERN, "address", "address that it came from; `10.0.*`"),
        "request": _text("request", "id of the request"),
        "app": _APP,
        **_TIMES,
    },
    FilterList.ORDER: {
        **_OF_RECORD,
        "number": _text("number", "number that the customer sees"),
        "status": _word("status", "where it stands", _words(*STATES)),
        "payment": _word("payment", "how it is paid", _words(*PAYMENT_STATES)),
        "customer": _text("customer", "the shop's id of the customer"),
        "email": _EMAIL,
        "currency": _CURRENCY,
        "gateway": _text("gateway", "how it was paid"),
        **_CHANGED,
    },
    FilterList.PRODUCT: {
        **_OF_RECORD,
        "sku": _text("sku", "stock keeping unit"),
        "name": Qualifier(ValueKind.PATTERN, "name", "name; `Course*`: all that begin so"),
        "stock": Qualifier(ValueKind.NUMBER, "stock", "how many are left: 0, <=5"),
        "currency": _CURRENCY,
        **_CHANGED,
    },
    FilterList.CUSTOMER: {
        **_OF_RECORD,
        "name": Qualifier(ValueKind.PATTERN, "name", "name; `Ada*`: all that begin so"),
        "email": _EMAIL,
        "tag": _text("tag", "label of the shop"),
        "consent": _word("consent", "whether they may be written to", _words("given", "none")),
        **_CHANGED,
    },
    FilterList.SUBSCRIPTION: {
        **_OF_RECORD,
        "status": _word("status", "where it stands", _words(*SUBSCRIPTION_STATES)),
        "plan": _text("plan", "what was subscribed to"),
        "customer": _text("customer", "the shop's id of the customer"),
        "email": _EMAIL,
        "order": _text("order", "the order that began or renewed it"),
        "currency": _CURRENCY,
        **_CHANGED,
    },
    FilterList.SHIPMENT: {
        **_OF_RECORD,
        "status": _text("status", "how it stands"),
        "carrier": _text("carrier", "who brings it"),
        "number": _text("number", "tracking number"),
        "order": _text("order", "the order that it brings"),
        "since": _CHANGED["since"],
        "until": _CHANGED["until"],
    },
}


def qualifier_of(list_: FilterList, name: str) -> Qualifier | None:
    """Return a qualifier of a list; None if the list does not take it."""
    return QUALIFIERS[list_].get("data." if name.startswith("data.") else name)


def folded_word(qualifier: Qualifier, text: str) -> str | None:
    """Return the word of a closed list that a value means: `On Hold` is `on_hold`."""
    folded = _folded(text)
    return next((word for word in qualifier.words if _folded(word) == folded), None)
