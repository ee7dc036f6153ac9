"""Postmark: user and password, bounce types, lists of the message stream."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from tests.cases import each
from tillbell.model.callbacks import EmailNotice, ForwardNotice, NoteNotice, Notice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, SourceSetup
from tillbell.providers.postmark import PROVIDER

SECRET = "shop:correct-horse:battery"
SETUP = SourceSetup((SECRET,))


def posted(authorization: str | None = None, **body: Any) -> Incoming:
    headers = (("authorization", authorization),) if authorization is not None else ()
    return Incoming("POST", "/x", headers, json.dumps(body).encode(), 0)


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def told(**body: Any) -> Notice:
    known = {"MessageID": "m1", "Email": "ada@example.com", "Recipient": "ada@example.com"}
    (notice,) = PROVIDER.parse(posted(**{**known, **body}), SETUP).notices
    return notice


@each("scheme", ["Basic ", "basic ", "BASIC "])
def test_user_and_password_of_the_url_are_accepted(scheme: str) -> None:
    header = scheme + b64encode(SECRET.encode()).decode()
    assert PROVIDER.verify(posted(header), SETUP).trust is Trust.SECRET
    assert PROVIDER.verify(posted(header), SourceSetup(("new:one", SECRET))).trust is Trust.SECRET


@each(
    "authorization",
    [
        None,
        "",
        SECRET,
        f"Bearer {SECRET}",
        basic("shop:correct-horse"),
        basic(f"{SECRET}!"),
        basic("shop"),
        "Basic ",
        "Basic ===",
        "Bearer " + b64encode(SECRET.encode()).decode(),
    ],
)
def test_anything_else_is_refused(authorization: str | None) -> None:
    verdict = PROVIDER.verify(posted(authorization), SETUP)
    assert verdict.trust is None
    assert "correct-horse" not in verdict.why


@pytest.mark.parametrize("secret", ["", "user", "user:", ":password", " user:password"])
def test_a_secret_is_user_and_password(secret: str) -> None:
    assert PROVIDER.secret is not None
    assert PROVIDER.secret.problem(secret) is not None
    assert PROVIDER.secret.problem(SECRET) is None


@each(
    ("kind", "event", "bounce_type"),
    [
        ("HardBounce", "bounced", "permanent"),
        ("BadEmailAddress", "bounced", "permanent"),
        ("SoftBounce", "bounced", "temporary"),
        ("DnsError", "delayed", None),
        ("SpamNotification", "bounced", None),
        ("DMARCPolicy", "bounced", None),
        ("Unsubscribe", "unsubscribed", None),
        ("SMTPApiError", "failed", None),
        ("ChallengeVerification", None, None),
        ("Unheard", None, None),
    ],
)
def test_what_the_types_of_bounces_mean(
    kind: str, event: str | None, bounce_type: str | None
) -> None:
    notice = told(RecordType="Bounce", Type=kind, ID=7)
    if event is None:
        assert isinstance(notice, NoteNotice)
        assert kind in notice.text
    else:
        assert isinstance(notice, EmailNotice)
        assert (notice.event, notice.bounce_type) == (event, bounce_type)


def test_a_bounce_and_a_complaint_of_one_number_are_two_events() -> None:
    bounce = PROVIDER.parse(posted(RecordType="Bounce", ID=7, MessageID="m"), SETUP)
    complaint = PROVIDER.parse(posted(RecordType="SpamComplaint", ID=7, MessageID="m"), SETUP)
    delivery = PROVIDER.parse(posted(RecordType="Delivery", MessageID="m"), SETUP)
    assert bounce.dedupe_key != complaint.dedupe_key
    assert delivery.dedupe_key is None


def test_the_metadata_of_the_email_wins_over_the_stream() -> None:
    notice = told(RecordType="Delivery", MessageStream="outbound", Metadata={"messageStream": "x"})
    assert isinstance(notice, EmailNotice)
    assert notice.metadata == {"messageStream": "x"}


def test_a_change_of_no_email_is_passed_on() -> None:
    notice = told(RecordType="SubscriptionChange", MessageID=None, SuppressSending=True)
    assert isinstance(notice, ForwardNotice)
    assert notice.event_type == "postmark.subscription_change"
