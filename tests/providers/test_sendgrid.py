"""SendGrid: the vector of its own library, several keys, batches whose events count once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import each
from tests.providers.pinned import another, pinned
from tillbell.clock import SECOND, iso
from tillbell.model.callbacks import EmailNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable
from tillbell.providers.kit.cases import samples
from tillbell.providers.sendgrid import PROVIDER, SIGNATURE, TIMESTAMP

AT = 1_772_359_200 * SECOND
# Of the test of the official Python library (sendgrid-python, test/unit/test_eventwebhook.py).
VECTOR_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+"
    "2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
OTHER_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aN"
    "Dthvj+y7GjUuFDb/R1NGe1OPzpA=="
)
VECTOR_SIGNATURE = (
    "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtE"
    "ZtM="
)
VECTOR_TIME = "1600112502"
VECTOR_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"'
    b'ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kof'
    b'Sm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kof'
    b'Sm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)


def vector(**changed: Any) -> Incoming:
    time = changed.get("time", VECTOR_TIME)
    headers = ((SIGNATURE, changed.get("signature", VECTOR_SIGNATURE)), (TIMESTAMP, time))
    body = changed.get("body", VECTOR_BODY)
    return Incoming("POST", "/x", headers, body, int(VECTOR_TIME) * SECOND)


def trust(incoming: Incoming, key: str) -> Trust | None:
    return PROVIDER.verify(incoming, SourceSetup((), {"publicKey": key})).trust


def batch(*events: dict[str, Any]) -> Incoming:
    return Incoming("POST", "/x", (), json.dumps(events).encode(), AT)


def event(word: str, **changed: Any) -> dict[str, Any]:
    known = {
        "email": "ada@example.com",
        "sg_message_id": "m1.recvd-1-0",
        "timestamp": 1_772_359_200,
    }
    return {**known, "event": word, **changed}


def test_the_vector_of_the_official_library_is_accepted_and_read() -> None:
    assert trust(vector(), VECTOR_KEY) is Trust.SIGNED
    parsed = PROVIDER.parse(vector(), SourceSetup())
    (notice,) = parsed.notices
    assert isinstance(notice, EmailNotice)
    assert (notice.event, notice.email_id) == ("suppressed", "LRzXl_NHStOGhQ4kofSm_A")
    assert iso(notice.occurred_at or 0).startswith("2020-09-14T19:41:32")
    assert (
        parsed.dedupe_key
        == notice.event_key
        == "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA"
    )


@each(
    "changed",
    [
        {"body": VECTOR_BODY.strip()},
        {"body": VECTOR_BODY.replace(b"dropped", b"bounced")},
        {"time": "1600112503"},
        {"time": "timestamp"},
        {
            "signature": "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6Bp"
            "SzoQsbVRamr2nlxFDWYNH3j/0="
        },
        {"signature": "no base64"},
    ],
)
def test_the_vector_with_one_thing_changed_is_refused(changed: dict[str, Any]) -> None:
    assert trust(vector(**changed), VECTOR_KEY) is None


def test_any_of_several_keys_proves_it_in_base64_or_pem() -> None:
    lines = f"{VECTOR_KEY[:64]}\n{VECTOR_KEY[64:]}"
    pem = f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"
    for keys in (f"{OTHER_KEY}\n\n{VECTOR_KEY}", f"{OTHER_KEY}\n\n{pem}", pem, f" {VECTOR_KEY}\n"):
        assert trust(vector(), keys) is Trust.SIGNED
    assert trust(vector(), OTHER_KEY) is None


@pytest.mark.parametrize("key", ["", "no key", "AAAA", f"{VECTOR_KEY}\n\nAAAA"])
def test_what_is_no_key_is_said(key: str) -> None:
    verdict = PROVIDER.verify(vector(), SourceSetup((), {"publicKey": key}))
    assert verdict.trust is None
    assert "config.publicKey" in verdict.why


@pytest.mark.parametrize(("late_s", "is_good"), [(0, True), (86_399, True), (86_401, False)])
def test_a_signature_is_good_for_a_day(late_s: int, *, is_good: bool) -> None:
    incoming = vector()._replace(received_at=(int(VECTOR_TIME) + late_s) * SECOND)
    assert (trust(incoming, VECTOR_KEY) is not None) is is_good


def test_the_key_of_another_source_proves_nothing() -> None:
    setup = SourceSetup((), pinned("sendgrid"))
    case = samples("sendgrid")["delivered"].case._replace(at=AT)
    incoming = PROVIDER.sign(case, setup, "https://hooks.example/x")._replace(received_at=AT)
    assert PROVIDER.verify(incoming, setup).trust is Trust.SIGNED
    assert PROVIDER.verify(incoming, SourceSetup((), another("sendgrid"))).trust is None


def test_without_a_private_key_nothing_is_simulated() -> None:
    with pytest.raises(ValueError, match="simulatorKey"):
        PROVIDER.sign(SimulationCase({}), SourceSetup((), {"publicKey": VECTOR_KEY}), "/x")


def test_an_event_that_stands_twice_in_a_batch_counts_once() -> None:
    twice = event("open", sg_event_id="a")
    parsed = PROVIDER.parse(batch(twice, event("open", sg_event_id="b"), twice), SourceSetup())
    keys = [n.event_key for n in parsed.notices if isinstance(n, EmailNotice)]
    assert keys == ["a", "b"]
    assert parsed.dedupe_key is None


def test_one_odd_event_does_not_cost_the_others() -> None:
    odd = [event("delivered"), event("vanished"), event("open", sg_message_id=None)]
    body = json.dumps([*odd, 7, {}]).encode()
    notices = PROVIDER.parse(Incoming("POST", "/x", (), body, AT), SourceSetup()).notices
    assert [type(notice) for notice in notices] == [EmailNotice, *[NoteNotice] * 4]


@each(
    ("sg_message_id", "email_id"),
    [
        ("14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", "14c5d75ce93.dfd.64b469"),
        ("TkQ2d1rS6hU.recvd-5c7d9f6b8-q2w4e-1-67F1A2B3-1E.0", "TkQ2d1rS6hU"),
        ("TkQ2d1rS6hU", "TkQ2d1rS6hU"),
    ],
)
def test_the_email_is_named_as_when_it_was_sent(sg_message_id: str, email_id: str) -> None:
    delivered = event("delivered", sg_message_id=sg_message_id)
    (notice,) = PROVIDER.parse(batch(delivered), SourceSetup()).notices
    assert isinstance(notice, EmailNotice)
    assert notice.email_id == email_id


@each("body", [b"[]", b"{}", b'{"event":"open"}'])
def test_what_is_no_batch_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(Incoming("POST", "/x", (), body, AT), SourceSetup())
