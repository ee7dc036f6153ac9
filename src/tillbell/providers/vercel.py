"""Vercel's drains: batches of Web Analytics and of Speed Insights, one adapter each.

A batch is a JSON array, a single object, or one object a line, whatever its content type says.
`x-vercel-signature` is the hex HMAC-SHA1 of the body (SHA-1 is Vercel's choice; as the hash of
an HMAC it is not broken, RFC 6194 section 3.3). There is no time and no event id, so items are
identified by their hash. Source: vercel.com/docs/drains.

How Vercel verifies who owns an endpoint (`x-vercel-verify`) is known from integrators, not from
its documentation: with a token set, every answer carries it, and a GET, or a POST without
signature that carries that token, is answered 200 and not read.

Web Analytics: times are numbers of milliseconds; ids have 64 bits, more than a JavaScript number
holds, so they go on as text. Speed Insights: times are ISO texts; a value is milliseconds, only
CLS has no unit. Sources: vercel.com/docs/drains/reference/analytics and …/speed-insights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from tillbell.clock import iso
from tillbell.model.callbacks import AnalyticsNotice, NoteNotice, Notice
from tillbell.model.sources import Trust
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
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.proof import same_text, secret_problem
from tillbell.providers.kit.reading import iso_time, json_value, plain_json, text, unix_millis
from tillbell.providers.kit.requests import JSON, json_body, request

VERIFY = "x-vercel-verify"
_PROOF = BodyMac("x-vercel-signature", "sha1")
_STATUSES = {IntakeStatus.STORED: 200, IntakeStatus.REFUSED: 403, IntakeStatus.MALFORMED: 400}
_ITEMS_MAX = 10_000
_SCHEMA_MAX = 60
EVENTS = {"pageview": "pageview", "event": "custom_event"}
# Members that are kept beside a vital because they say where it was slow, and why.
_VITAL_PROPERTIES = ("route", "connectionSpeed", "attribution", "vercelEnvironment", "deploymentId")

Item = dict[str, Any]
Read = Callable[[Item], AnalyticsNotice]


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the signature of the body. A verification of the endpoint has none."""
    if _is_verification(incoming, setup):
        return Verdict(Trust.NONE, "Vercel verifies who owns the endpoint.")
    return _PROOF.verify(incoming, setup)


def _parser(schema: str, read: Read) -> Callable[[Incoming, SourceSetup], ParsedNotices]:
    """Return a `parse` that reads the items of one schema, whatever its version."""

    def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
        if _is_verification(incoming, setup):
            return ParsedNotices((NoteNotice("Vercel verified who owns the endpoint."),), "")
        items = _items(incoming.body)
        known = [item for item in items if _schema(item).startswith(schema)]
        others = {_schema(item) for item in items} - {_schema(item) for item in known}
        return ParsedNotices((*map(read, known), *_left_out(others)))

    return parse


def answer(incoming: Incoming, setup: SourceSetup, intake: IntakeStatus) -> CallbackAnswer:
    """Answer 200, or 403 without proof, with the drain's token if one is set."""
    del incoming
    token = _token(setup)
    headers = ((VERIFY, token),) if token else ()
    return CallbackAnswer(_STATUSES[intake], headers=headers)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build a batch of one item, as a JSON array."""
    if case.method != "POST":
        return request(case, url, b"", {})
    body = json_body([case.fields])
    signature = _PROOF.signature(setup.secrets[0], body)
    return request(case, url, body, {"content-type": JSON, _PROOF.header: signature})


def _drain_provider(
    name: str, title: str, about: str, parse: Callable[[Incoming, SourceSetup], ParsedNotices]
) -> Provider:
    """Return the adapter of one drain."""
    return Provider(
        name=name,
        title=title,
        about=about,
        confidence=Confidence.VERIFIED,
        best_trust=Trust.SIGNED,
        bare_trust=None,
        secret=SecretRule(
            about="Vercel → Settings → Drains → the drain → Signature verification secret.",
            problem=secret_problem,
        ),
        answers="200; 403 when the signature does not match.",
        verify=verify,
        parse=parse,
        answer=answer,
        sign=sign,
        settings=(
            ProviderSetting(
                "verifyToken",
                "The x-vercel-verify value that Vercel shows for the drain; sent on all answers.",
            ),
        ),
        methods=frozenset({"POST", "GET"}),
        is_bulk=True,
        note="Whether these drains ask for x-vercel-verify, and when they send again, is not "
        "documented.",
    )


def _token(setup: SourceSetup) -> str:
    token = setup.config.get("verifyToken")
    return token if isinstance(token, str) else ""


def _is_verification(incoming: Incoming, setup: SourceSetup) -> bool:
    token = _token(setup)
    if not token or incoming.header(_PROOF.header) is not None:
        return False
    return incoming.method in ("GET", "HEAD") or same_text(incoming.header(VERIFY), token)


# ── a batch ───────────────────────────────────────────────────────────────────────────────────────


def _items(body: bytes) -> list[Item]:
    items = _documents(body)
    if len(items) > _ITEMS_MAX:
        raise Unreadable(f"The batch has more than {_ITEMS_MAX} items.")
    if not all(isinstance(item, dict) for item in items):
        raise Unreadable("An item of the batch is not a JSON object.")
    return items


def _documents(body: bytes) -> list[Any]:
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.strip()[-1:] == b"}" for line in lines):
        return [json_value(line) for line in lines]
    document = json_value(body)
    return document if isinstance(document, list) else [document]


def _schema(item: Item) -> str:
    return text(item, "schema") or ""


def _left_out(schemas: Iterable[str]) -> tuple[Notice, ...]:
    named = ", ".join(sorted(schema[:_SCHEMA_MAX] or "none" for schema in schemas))
    return (NoteNotice(f"Items of other schemas are left out: {named[:300]}."),) if named else ()


def _item_key(item: Item) -> str:
    """Return the hash of an item: the same however its members are ordered and spaced."""
    # A Decimal becomes text with all its digits.
    written = json.dumps(item, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(written.encode()).hexdigest()


def _common(item: Item) -> dict[str, Any]:
    """Return the members that items of both drains have, in the catalogue's shape."""
    return {
        "origin": text(item, "origin"),
        "path": text(item, "path"),
        "referrer": text(item, "referrer"),
        "country": text(item, "country"),
        "deviceType": text(item, "deviceType"),
        "sessionId": text(item, "sessionId"),
        "deviceId": text(item, "deviceId"),
    }


def _properties(value: Any) -> dict[str, Any]:
    """Return a page's own properties as an object. They come as an object or as JSON in a text."""
    if isinstance(value, str) and value.strip():
        try:
            value = json_value(value.encode())
        except (Unreadable, UnicodeEncodeError):  # no JSON: kept as text
            return {"value": plain_json(value)}
    if isinstance(value, dict):
        members: dict[str, Any] = plain_json(value)
        return members
    return {} if value is None or value == "" else {"value": plain_json(value)}


# ── the two drains ───────────────────────────────────────────────────────────────────────────────


def _analytics_event(item: Item) -> AnalyticsNotice:
    at = unix_millis(item.get("timestamp"))
    name = text(item, "eventName")
    # An unknown type counts as a custom event of that name.
    type_ = text(item, "eventType")
    event = EVENTS.get(type_ or "", "custom_event")
    data = {
        "name": name or (None if type_ in EVENTS else type_),
        "value": None,
        **_common(item),
        "properties": _properties(item.get("eventData", item.get("data"))),
        "occurredAt": None if at is None else iso(at),
    }
    return AnalyticsNotice(event, data, _item_key(item))


def _web_vital(item: Item) -> AnalyticsNotice:
    at = iso_time(item.get("timestamp"))
    value = plain_json(item.get("value"))
    properties = {name: item[name] for name in _VITAL_PROPERTIES if item.get(name) is not None}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    data: dict[str, Any] = {
        "name": text(item, "metricType"),
        "value": value if is_number else None,
        **_common(item),
        "properties": plain_json(properties),
        "occurredAt": None if at is None else iso(at),
    }
    return AnalyticsNotice("web_vital", data, _item_key(item))


ANALYTICS = _drain_provider(
    "vercel-analytics",
    "Vercel Web Analytics",
    "Pages that were seen and events that they reported, in batches.",
    _parser("vercel.analytics.", _analytics_event),
)
SPEED_INSIGHTS = _drain_provider(
    "vercel-speed-insights",
    "Vercel Speed Insights",
    "How fast pages were for their visitors, in batches.",
    _parser("vercel.speed_insights.", _web_vital),
)
