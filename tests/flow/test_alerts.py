"""Alerts by e-mail: once, in time, and with nothing in them that a payload could misuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.gateway_harness import START, GatewayHarness
from tests.mail_server import MailServer
from tillbell.clock import HOUR, MINUTE, SECOND
from tillbell.errors import Invalid, NotFound, StoreUnavailable
from tillbell.model.alerts import AlertKind, AlertQueue, AlertSubscription
from tillbell.rules.alerts import after_quiet_hours, due_at
from tillbell.testing import ManualClock

ADA = "ada@shop.example"


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.fixture
async def alerting(tmp_path: Path, mail: MailServer) -> AsyncIterator[GatewayHarness]:
    async with GatewayHarness(tmp_path, ManualClock(START), **mail.settings) as harness:
        yield harness


async def subscribe(harness: GatewayHarness, **fields: Any) -> AlertSubscription:
    return await harness.gateway.alerts.create({"email": ADA, **fields})


async def round_after(harness: GatewayHarness, seconds: float = 10) -> None:
    """Let time pass and make one round of alerts."""
    harness.manual_clock.advance(seconds)
    await harness.gateway.alert_sender.run()


async def queue_of(harness: GatewayHarness, subscription: AlertSubscription) -> AlertQueue:
    return (await harness.gateway.alerts.queues())[subscription.id]


async def test_a_new_order_is_told_once(alerting: GatewayHarness, mail: MailServer) -> None:
    subscription = await subscribe(alerting, event_types=("order.created",))
    hostile = (
        b'{"type": "order.created", "data": {"number": "7\\r\\nBcc: eve@evil.example\\r\\n\\r\\nx",'
        b' "amount": "49.5", "currency": "EUR",'
        b' "customer": {"name": "J\\u00fcrgen \\ud83d\\ude00"}}}'
    )
    await alerting.publish(hostile, "order.created")
    await alerting.publish(b'{"a": 1}', "order.paid")
    for _ in range(3):
        await round_after(alerting)
    (sent,) = mail.mails
    assert mail.recipients == [f"RCPT TO:<{ADA}>"] or mail.recipients == [f"rcpt TO:<{ADA}>"]
    assert sent["Subject"] == "[Tillbell] Order 7 Bcc: eve@evil.example x is new"
    assert (sent["Bcc"], sent["To"], sent["From"]) == (None, ADA, "tillbell@shop.example")
    assert sent["Message-ID"] == f"<{subscription.id}.0@shop.example>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert "Amount: 49.50 EUR" in sent.get_content()
    assert "Jürgen 😀" in sent.get_content()
    assert (await queue_of(alerting, subscription)).lines == ()


async def test_a_digest_collects_and_a_rate_holds_back(
    alerting: GatewayHarness, mail: MailServer
) -> None:
    await subscribe(alerting, event_types=("order.created",), digest_minutes=5, hourly_max=1)
    for _ in range(60):
        await alerting.publish(b'{"number": "1"}', "order.created")
    await round_after(alerting)
    assert mail.mails == []
    await round_after(alerting, 300)
    assert mail.subjects() == ["[Tillbell] Order 1 is new (and 59 more)"]
    assert "… and 10 more." in mail.mails[0].get_content()
    await alerting.publish(b'{"number": "2"}', "order.created")
    await round_after(alerting, 600)
    assert len(mail.mails) == 1
    await round_after(alerting, 3_600)
    assert mail.subjects()[1:] == ["[Tillbell] Order 2 is new"]


async def test_failing_mail_is_shown_and_tried_again(
    alerting: GatewayHarness, mail: MailServer
) -> None:
    subscription = await subscribe(alerting, event_types=("order.created",))
    mail.refusal = b"450 mailbox is busy"
    await alerting.publish(b"{}", "order.created")
    await round_after(alerting)
    failed = await queue_of(alerting, subscription)
    assert failed.last_error == "The mail server answered 450 mailbox is busy"
    assert (failed.failures, len(failed.lines)) == (1, 1)
    assert "mailbox is busy" in (await alerting.gateway.alert_sender.test(subscription) or "")
    await round_after(alerting)
    assert (await queue_of(alerting, subscription)).failures == 1, "it waits a minute"
    mail.refusal = None
    await round_after(alerting, 60)
    assert len(mail.mails) == 1
    assert (await queue_of(alerting, subscription)).last_error == ""
    assert await alerting.gateway.alert_sender.test(subscription) is None
    assert alerting.gateway.meters.mails == {"taken": 1, "failed": 1}


async def test_a_mail_holds_a_link_that_stops_it(tmp_path: Path, mail: MailServer) -> None:
    settings = {**mail.settings, "public_url": "https://hooks.shop.example"}
    async with GatewayHarness(tmp_path, ManualClock(START), **settings) as harness:
        alerts, subscription = harness.gateway.alerts, await subscribe(harness, kinds=("disk",))
        assert await harness.gateway.alert_sender.test(subscription) is None
        (raw,), (sent,) = mail.raw, mail.mails
        url = str(sent["List-Unsubscribe"]).strip("<>")
        assert f"List-Unsubscribe: <{url}>\r\n".encode() in raw, "in one line, as it is"
        assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert url in sent.get_content()
        address, id_, token = url.rsplit("/", 2)
        assert (address, id_) == ("https://hooks.shop.example/unsubscribe", subscription.id)
        assert await alerts.of_link(id_, token) == subscription
        other = await subscribe(harness, kinds=("disk",))
        for wrong in ((other.id, token), (id_, token[:-2]), (id_, "x"), ("alt_0", token)):
            with pytest.raises(NotFound):
                await alerts.of_link(*wrong)
        await alerts.unsubscribe(subscription)
        stopped = await alerts.get(id_)
        assert (stopped.paused, stopped.unsubscribed_at) == (True, START)
        assert not (await alerts.get(other.id)).paused
        again = await alerts.patch(id_, {"paused": False})
        assert (again.paused, again.unsubscribed_at) == (False, None)
        await alerts.patch(id_, {"email": "grace@shop.example"})
        with pytest.raises(NotFound):
            await alerts.of_link(id_, token)


async def test_what_goes_wrong_here_is_told(alerting: GatewayHarness, mail: MailServer) -> None:
    sender = alerting.gateway.alert_sender
    kinds = (AlertKind.ENDPOINT, AlertKind.DISK, AlertKind.DATABASE, AlertKind.PAYOUT)
    await subscribe(alerting, kinds=kinds)
    other = await alerting.gateway.alerts.create({"email": ADA, "kinds": kinds, "app_id": "app_2"})
    await alerting.gateway.alerts.patch(other.id, {"kinds": (AlertKind.ENDPOINT,)})
    endpoint = await alerting.endpoint("/status/410")
    await alerting.publish()
    await alerting.next_ended()
    await alerting.publish(b'{"uid": "P1", "direction": "pay_out"}', "transaction.failed")
    await alerting.publish(b'{"uid": "P2", "direction": "pay_in"}', "transaction.failed")
    await round_after(alerting)
    (told,) = mail.mails
    text = told.get_content()
    assert f"Endpoint {endpoint.id} is disabled" in text
    assert "Pay-out P1 has failed" in text
    assert "P2" not in text
    sender.is_disk_low = lambda: True
    await round_after(alerting)
    await round_after(alerting)
    sender.is_disk_low = lambda: False
    await round_after(alerting)
    assert mail.subjects()[1:] == [
        "[Tillbell] The disk is nearly full",
        "[Tillbell] The disk has room again",
    ]


async def test_a_database_that_is_gone_is_told_once(
    alerting: GatewayHarness, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = alerting.gateway.alert_sender
    await subscribe(alerting, kinds=(AlertKind.DATABASE,))
    await sender.run()

    async def gone(*_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(alerting.gateway.config_cache, "read_all", gone)
    for _ in range(4):
        alerting.manual_clock.advance(30)
        with pytest.raises(StoreUnavailable):
            await sender.run()
    assert mail.subjects() == ["[Tillbell] The database cannot be reached"]


async def test_two_leaders_send_one_mail(alerting: GatewayHarness, mail: MailServer) -> None:
    subscription = await subscribe(alerting, event_types=("order.created",))
    await alerting.publish(b"{}", "order.created")
    alerting.manual_clock.advance(10)
    records, now = alerting.gateway.config_cache, alerting.clock.now()
    claimed = AlertQueue(id=subscription.id, read_until=START, claimed_until=now + MINUTE)
    await records.add(claimed)
    await alerting.gateway.alert_sender.run()
    assert mail.mails == [], "another process has claimed it"
    await round_after(alerting, 120)
    assert len(mail.mails) == 1, "that one died"


@pytest.mark.sqlite_first
async def test_wrong_alerts_are_refused(alerting: GatewayHarness) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"email": "a@b\r\nBcc: c@d", "kinds": ("disk",)}, "email"),
        ({"email": "a b@c.example"}, "email"),
        ({"email": "@"}, "email"),
        ({"quiet_from": "25:00", "quiet_until": "07:00"}, "quietFrom"),
        ({"quiet_from": "22:00"}, "quietUntil"),
        ({"time_zone": "../../etc/passwd"}, "timeZone"),
        ({"time_zone": "Mars/North"}, "timeZone"),
        ({"event_types": ("no type!",)}, "eventTypes"),
        ({"event_types": ()}, "kinds"),
    ]
    for fields, member in wrong:
        with pytest.raises(Invalid) as refused:
            await subscribe(alerting, **{"event_types": ("order.paid",), **fields})
        assert member in {problem.loc[1] for problem in refused.value.problems}, fields


def test_quiet_hours_and_digest() -> None:
    night = AlertSubscription(
        id="alt_1", email=ADA, quiet_from="22:00", quiet_until="07:00", time_zone="Europe/Belgrade"
    )
    midnight = 1_767_222_000_000_000  # 2026-01-01T00:00 in Belgrade
    for hour, ends in ((21.9, None), (22, 31), (23.5, 31), (0, 7), (6.9, 7), (7, None)):
        at = int(midnight + hour * HOUR)
        expected = at if ends is None else midnight + ends * HOUR
        assert after_quiet_hours(night, at) == expected, hour
    noon = AlertSubscription(id="alt_1", email=ADA, quiet_from="12:00", quiet_until="13:00")
    assert after_quiet_hours(noon, midnight + 14 * HOUR - SECOND) == midnight + 14 * HOUR
    assert due_at(noon, AlertQueue(id="alt_1", read_until=0), midnight) is None
