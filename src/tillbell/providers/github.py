"""GitHub, and senders that sign like it: events of repositories, passed on as `github.<event>`.

`X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the body>`. The event's name and the delivery's
id stand in headers, which the signature does not cover. The old SHA-1 header is refused.
Source: docs.github.com, *Validating webhook deliveries*.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from tillbell.model.callbacks import ForwardNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import (
    Confidence,
    Incoming,
    ParsedNotices,
    Provider,
    SecretRule,
    SimulationCase,
    SourceSetup,
    Unreadable,
    Verdict,
)
from tillbell.providers.kit.bodymac import BodyMac
from tillbell.providers.kit.proof import not_another_credential
from tillbell.providers.kit.reading import form, json_object, required_text, text
from tillbell.providers.kit.requests import FORM, JSON, json_body, request, usual

_PROOF = BodyMac("x-hub-signature-256", "sha256", prefix="sha256=")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")


def verify(incoming: Incoming, setup: SourceSetup) -> Verdict:
    """Compare the SHA-256 signature. The SHA-1 signature alone proves nothing."""
    verdict = _PROOF.verify(incoming, setup)
    is_old = incoming.header(_PROOF.header) is None and incoming.header("x-hub-signature")
    if verdict.trust is None and is_old:
        return Verdict(None, "Only the old SHA-1 header is there; X-Hub-Signature-256 is needed.")
    return verdict


def parse(incoming: Incoming, setup: SourceSetup) -> ParsedNotices:
    """Pass the event on; a ping is only noted. In a form, `payload` is the event."""
    del setup
    event = incoming.header("x-github-event") or ""
    if not _EVENT.fullmatch(event):
        raise Unreadable("The header x-github-event names no event.")
    key = incoming.header("x-github-delivery")
    payload = incoming.body
    if (incoming.header("content-type") or "").startswith(FORM):
        payload = required_text(form(incoming.body), "payload").encode()
    body = json_object(payload)
    if event == "ping":
        return ParsedNotices(
            (NoteNotice(f"A ping of GitHub: {(text(body, 'zen') or '')[:200]}"),), key
        )
    return ParsedNotices((ForwardNotice(f"github.{event}", payload),), key)


def sign(case: SimulationCase, setup: SourceSetup, url: str) -> Incoming:
    """Build the request as GitHub sends it; the case names the event in `x-github-event`."""
    body = json_body(case.fields)
    named = {name.lower(): value for name, value in case.headers.items()}
    kind = named.get("content-type", JSON)
    if kind == FORM:
        body = urlencode({"payload": body.decode()}).encode()
    headers = {
        "content-type": kind,
        "x-github-event": "push",
        "x-github-delivery": case.id,
        _PROOF.header: _PROOF.signature(setup.secrets[0], body),
    }
    return request(case, url, body, headers)


PROVIDER = Provider(
    name="github",
    title="GitHub",
    about="Events of repositories and organizations, passed on as they came.",
    confidence=Confidence.VERIFIED,
    best_trust=Trust.SIGNED,
    bare_trust=None,
    secret=SecretRule(
        about="GitHub → Settings → Webhooks → Secret: the text that you chose there.",
        problem=not_another_credential(ghp_="an access token", github_pat_="an access token"),
    ),
    answers="200; 401 when the signature does not match.",
    verify=verify,
    parse=parse,
    answer=usual(),
    sign=sign,
    note="Event name and delivery id stand in headers that the signature does not cover.",
)
