"""The official Python SDK, unmodified: messages, attempts, and sending again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from svix.api import (
    EventExampleIn,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageIn,
    MessageListOptions,
    RecoverIn,
    ReplayIn,
    Svix,
)
from svix.api.message import MessageGetOptions
from svix.api.message_attempt import MessageAttemptListAttemptedMessagesOptions
from svix.exceptions import HttpError
from svix.models import (
    BulkReplayIn,
    MessagePrecheckIn,
    MessageStatus,
    StatusCodeClass,
)

from tests.web.sdk import PAYLOAD, listening, order
from tests.web.served_gateway import ServedGateway
from tillbell.testing.behaviours import flaky

pytestmark = pytest.mark.sqlite_first


def test_a_message_is_published_listed_filtered_and_expunged(svix: Svix, app_id: str) -> None:
    first = svix.message.create(app_id, order(event_id="evt-1", channels=["east"], tags=["x"]))
    refund = MessageIn(event_type="order.refunded", payload={"n": 1})
    second = svix.message.create(app_id, refund)
    assert svix.message.get(app_id, "evt-1") == svix.message.get(app_id, first.id)
    shown = svix.message.get(app_id, first.id, MessageGetOptions(with_content=True))
    assert shown.payload == PAYLOAD

    def listed(**options: object) -> list[str]:
        return [m.id for m in svix.message.list(app_id, MessageListOptions(**options)).data]  # type: ignore[arg-type]

    assert listed() == [second.id, first.id]
    assert listed(channel="east") == listed(tag="x") == [first.id]
    assert listed(event_types=["order.refunded", "order.created"]) == [second.id]
    assert listed(before=first.timestamp - timedelta(seconds=1)) == []
    assert listed(after=first.timestamp - timedelta(seconds=1)) == [second.id, first.id]
    full = svix.message.list(app_id, MessageListOptions(with_content=True)).data
    assert [m.payload for m in full] == [{"n": 1}, PAYLOAD]

    svix.message.expunge_content(app_id, first.id)
    shown = svix.message.get(app_id, first.id, MessageGetOptions(with_content=True))
    assert shown.payload == {"expired": True}


def test_an_event_id_is_used_once(svix: Svix, app_id: str) -> None:
    svix.message.create(app_id, order(event_id="evt-1"))
    with pytest.raises(HttpError) as refusal:
        svix.message.create(app_id, order(event_id="evt-1"))
    assert refusal.value.status_code == 409


def test_precheck_says_whether_anybody_listens(served: ServedGateway, app_id: str) -> None:
    ask = MessagePrecheckIn(event_type="order.paid")
    assert not served.svix.message.precheck(app_id, ask).active
    listening(served, app_id, event_types=["order.*"])
    assert served.svix.message.precheck(app_id, ask).active


def test_attempts_are_listed_shown_and_filtered(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    good, bad = listening(served, app_id, "/ok"), listening(served, app_id, "/status/500")
    sent = svix.message.create(app_id, order())
    served.wait_for_attempts(sent.id, 2)

    def by_msg(**options: object) -> list[str]:
        wanted = MessageAttemptListByMsgOptions(**options)  # type: ignore[arg-type]
        found = svix.message_attempt.list_by_msg(app_id, sent.id, wanted)
        return [attempt.endpoint_id for attempt in found.data]

    assert sorted(by_msg()) == sorted([good, bad])
    assert by_msg(status=MessageStatus.SUCCESS) == by_msg(endpoint_id=good) == [good]
    assert by_msg(status=MessageStatus.FAIL) == [bad]
    assert by_msg(status_code_class=StatusCodeClass.CODE5XX) == [bad]
    assert by_msg(status=MessageStatus.PENDING) == by_msg(event_types=["order.created"]) == []

    options = MessageAttemptListByEndpointOptions(with_msg=True)
    (attempt,) = svix.message_attempt.list_by_endpoint(app_id, bad, options).data
    assert (attempt.response_status_code, attempt.status) == (500, MessageStatus.FAIL)
    assert attempt.msg is not None
    assert attempt.msg.payload == PAYLOAD
    assert svix.message_attempt.get(app_id, sent.id, attempt.id).url == served.receiver.url(
        "/status/500"
    )
    svix.message_attempt.expunge_content(app_id, sent.id, attempt.id)
    assert svix.message_attempt.get(app_id, sent.id, attempt.id).response == "EXPUNGED"
    destinations = svix.message_attempt.list_attempted_destinations(app_id, sent.id).data
    standing = {one.id: one.status for one in destinations}
    assert standing == {good: MessageStatus.SUCCESS, bad: MessageStatus.SENDING}
    assert all(one.next_attempt for one in destinations if one.id == bad)
    wanted = MessageAttemptListAttemptedMessagesOptions(with_content=True)
    (shown,) = svix.message_attempt.list_attempted_messages(app_id, good, wanted).data
    assert (shown.id, shown.payload, shown.status) == (sent.id, PAYLOAD, MessageStatus.SUCCESS)


def test_pages_of_a_messages_attempts_stay_while_more_are_made(
    served: ServedGateway, app_id: str
) -> None:
    """Also if two endpoints' attempts begin in the same moment."""
    endpoints = [listening(served, app_id, f"/page{number}") for number in range(3)]
    message = served.svix.message.create(app_id, order()).id
    served.wait_for_attempts(message, 3)
    path = f"/app/{app_id}/attempt/msg/{message}"
    every = served.http.get(path).json()["data"]
    shown, query = [], {"limit": "1"}
    for endpoint in endpoints:
        page = served.http.get(path, params=query).json()
        shown += page["data"]
        query["iterator"] = page["iterator"]
        served.svix.message_attempt.resend(app_id, message, endpoint)
        served.wait_for_attempts(message, 3 + len(shown))
    assert page["done"]
    assert shown == every
    back = served.http.get(path, params={"iterator": f"-{query['iterator']}"}).json()["data"]
    assert back == served.http.get(path).json()["data"][:-1]


class AttemptList:
    """The attempts at one endpoint. Old messages have the newest ones."""

    def __init__(self, served: ServedGateway, app_id: str) -> None:
        self.served, self.app_id = served, app_id
        self.endpoint = listening(served, app_id, "/latest")
        self.path = f"/app/{app_id}/attempt/endpoint/{self.endpoint}"
        self.sent = [served.svix.message.create(app_id, order()).id for _ in range(3)]
        for message in self.sent:
            served.wait_for_attempts(message)
        for message in (self.sent[1], self.sent[0]):
            self.resend(message)

    def resend(self, message: str) -> None:
        """Send a message for the second time."""
        self.served.svix.message_attempt.resend(self.app_id, message, self.endpoint)
        self.served.wait_for_attempts(message, 2)

    def listed(self, **query: object) -> dict[str, Any]:
        """Ask for a page."""
        answer = self.served.http.get(self.path, params=query)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


def test_the_latest_attempt_comes_first_whatever_its_message(
    served: ServedGateway, app_id: str
) -> None:
    attempts = AttemptList(served, app_id)
    listed, sent = attempts.listed, attempts.sent
    every = listed()["data"]
    times = [attempt["timestamp"] for attempt in every]
    assert times == sorted(times, reverse=True)
    assert [attempt["msgId"] for attempt in every[:2]] == [sent[0], sent[1]]
    assert [attempt["id"] for attempt in listed(limit=1)["data"]] == [every[0]["id"]]
    pages, page = [], listed(limit=2)
    while True:
        pages += page["data"]
        if page["done"]:
            break
        page = listed(limit=2, iterator=page["iterator"])
    assert pages == every
    back = listed(limit=2, iterator=page["prevIterator"])
    assert back["data"] == every[2:4]
    third = times[2]
    assert listed(after=third)["data"] == every[:3]
    assert listed(before=third)["data"] == every[3:]
    for wrong in ("atmpt_none", sent[0]):
        refused = served.http.get(attempts.path, params={"iterator": wrong})
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"] == ["query", "iterator"]


def test_an_attempt_that_comes_meanwhile_moves_no_page(served: ServedGateway, app_id: str) -> None:
    attempts = AttemptList(served, app_id)
    listed = attempts.listed
    every = listed()["data"]
    first = listed(limit=2, before=every[0]["timestamp"])
    attempts.resend(attempts.sent[2])
    assert first["data"] == every[1:3]
    older = listed(limit=2, iterator=first["iterator"])
    assert older["data"] == every[3:]
    newer = listed(limit=9, iterator=first["prevIterator"])["data"]
    assert newer[1:] == every[:1]
    assert newer[0]["msgId"] == attempts.sent[2]
    third = every[2]["timestamp"]
    back = listed(limit=9, iterator=older["prevIterator"], after=third)["data"]
    assert back == [newer[0], *every[:3]]


def test_a_message_is_resent_with_the_same_id(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    endpoint = listening(served, app_id, "/resent")
    sent = svix.message.create(app_id, order())
    served.wait_for_attempts(sent.id)
    svix.message_attempt.resend(app_id, sent.id, endpoint)
    served.wait_for_attempts(sent.id, 2)
    ids = {arrival.header("webhook-id") for arrival in served.receiver.to("/resent")}
    assert ids == {sent.id}
    attempts = svix.message_attempt.list_by_msg(app_id, sent.id).data
    assert [attempt.trigger_type for attempt in attempts] == [1, 0]


def test_failed_messages_are_recovered_and_counted(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    served.receiver.on("/mended", flaky(500, 200))
    endpoint = listening(served, app_id, "/mended")
    served.http.patch(f"/app/{app_id}/endpoint/{endpoint}", json={"retrySchedule": []})
    sent = svix.message.create(app_id, order())
    served.wait_for_attempts(sent.id)
    stats = svix.endpoint.get_stats(app_id, endpoint)
    assert (stats.fail, stats.success) == (1, 0)
    task = svix.endpoint.recover(app_id, endpoint, RecoverIn(since=sent.timestamp))
    served.wait_for_attempts(sent.id, 2)
    served.wait_for_task(task.id)
    done = svix.background_task.get(task.id)
    assert (done.status, done.task, done.data["count"]) == ("finished", "endpoint.recover", 1)
    assert task.id in {one.id for one in svix.background_task.list().data}
    stats = svix.endpoint.get_stats(app_id, endpoint)
    assert (stats.fail, stats.success) == (0, 1)
    ended = svix.endpoint.get_attempt_stats(app_id, endpoint)
    assert (ended.fail, ended.success, ended.canceled) == (0, 1, 0)


def test_all_payloads_are_expunged_by_a_task(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    sent = [svix.message.create(app_id, order()) for _ in range(3)]
    task = svix.message.expunge_all_contents(app_id)
    served.wait_for_task(task.id)
    done = svix.background_task.get(task.id)
    assert (done.status, done.task) == ("finished", "application.purge_content")
    assert done.data["count"] >= len(sent)
    later = svix.message.create(app_id, order())
    wanted = MessageGetOptions(with_content=True)
    shown = [svix.message.get(app_id, one.id, wanted).payload for one in [*sent, later]]
    assert shown == [*[{"expired": True}] * 3, PAYLOAD]


def test_missing_messages_are_replayed(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    sent = svix.message.create(app_id, order())
    endpoint = listening(served, app_id, "/late")
    svix.endpoint.replay_missing(app_id, endpoint, ReplayIn(since=sent.timestamp))
    served.wait_for_attempts(sent.id)
    assert len(served.receiver.to("/late")) == 1
    body = BulkReplayIn(since=sent.timestamp, event_types=["order.paid"])
    svix.endpoint.bulk_replay(app_id, endpoint, body)
    served.wait_for_attempts(sent.id, 2)


def test_an_example_goes_to_one_endpoint_only(served: ServedGateway, app_id: str) -> None:
    svix = served.svix
    endpoint = listening(served, app_id, "/example", event_types=["order.paid"])
    listening(served, app_id, "/not-example")
    body = EventExampleIn(event_type="subscription.renewed")
    sent = svix.endpoint.send_example(app_id, endpoint, body)
    served.wait_for_attempts(sent.id)
    assert sent.payload["type"] == "subscription.renewed"
    assert len(served.receiver.to("/example")) == 1
    assert served.receiver.to("/not-example") == []
