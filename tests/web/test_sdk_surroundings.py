"""The official Python SDK, unmodified: polling, operational webhooks, portal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from svix.api import (
    AppPortalAccessIn,
    Svix,
)
from svix.api.message_poller import (
    MessagePollerConsumerPollOptions,
    MessagePollerPollOptions,
)
from svix.exceptions import HttpError
from svix.models import (
    ApplicationTokenExpireIn,
    AppPortalCapability,
    OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
    PollingEndpointConsumerSeekIn,
)

from tests.web.sdk import listening, order
from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first


@pytest.mark.sqlite  # where processes share a database a poller is two seconds behind
def test_messages_are_polled_in_order_and_a_consumer_keeps_its_place(
    served: ServedGateway, app_id: str
) -> None:
    poller = served.svix.message.poller
    sent = [served.svix.message.create(app_id, order()).id for _ in range(5)]
    page = poller.poll(app_id, "sink", MessagePollerPollOptions(limit=3))
    assert ([m.id for m in page.data], page.done) == (sent[:3], False)
    rest = poller.poll(app_id, "sink", MessagePollerPollOptions(iterator=page.iterator))
    assert ([m.id for m in rest.data], rest.done) == (sent[3:], True)

    first = poller.consumer_poll(app_id, "sink", "me", MessagePollerConsumerPollOptions(limit=2))
    again = poller.consumer_poll(app_id, "sink", "me", MessagePollerConsumerPollOptions(limit=2))
    assert first == again, "what was not said to be done with comes again"
    options = MessagePollerConsumerPollOptions(iterator=first.iterator)
    assert [m.id for m in poller.consumer_poll(app_id, "sink", "me", options).data] == sent[2:]
    assert [m.id for m in poller.consumer_poll(app_id, "sink", "me").data] == sent[2:]

    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    poller.consumer_seek(app_id, "sink", "me", PollingEndpointConsumerSeekIn(after=long_ago))
    assert [m.id for m in poller.consumer_poll(app_id, "sink", "me").data] == sent


def test_operational_webhooks_hear_of_a_failed_delivery(served: ServedGateway, app_id: str) -> None:
    operational = served.svix.operational_webhook.endpoint
    url = served.receiver.url("/operational")
    made = operational.create(OperationalWebhookEndpointIn(url=url, uid="ops"))
    operational.upsert("ops", OperationalWebhookEndpointUpsertIn(url=url, description="me"))
    assert operational.get(made.id).description == "me"
    assert [one.id for one in operational.list().data] == [made.id]
    operational.rotate_secret("ops", OperationalWebhookEndpointSecretIn(grace_period_seconds=0))
    secret = operational.get_secret("ops").key

    endpoint = listening(served, app_id, "/status/410")
    sent = served.svix.message.create(app_id, order())
    served.wait_for_attempts(sent.id)

    async def heard() -> list[object]:
        while not served.receiver.to("/operational"):
            await served.receiver.wait_for(len(served.receiver.requests) + 1)
        return [*served.receiver.to("/operational")]

    arrival = served.do(heard())[0]
    told = Webhook(secret).verify(arrival.body, dict(arrival.headers))  # type: ignore[attr-defined]
    assert told["data"]["endpointId"] == endpoint
    operational.delete("ops")
    assert operational.list().data == []


def test_a_portal_token_is_for_one_application_and_may_be_ended(
    served: ServedGateway, app_id: str
) -> None:
    svix = served.svix
    endpoint = listening(served, app_id)
    body = AppPortalAccessIn(capabilities=[AppPortalCapability.VIEW_BASE], session_id="s")
    access = svix.authentication.app_portal_access(app_id, body)
    assert access.url.endswith(f"/portal#key={access.token}")
    portal = served.sdk(access.token)
    assert portal.endpoint.get(app_id, endpoint).id == endpoint
    for refused in (
        lambda: portal.endpoint.get_secret(app_id, endpoint),
        lambda: portal.endpoint.delete(app_id, endpoint),
        lambda: portal.application.list(),
    ):
        with pytest.raises(HttpError) as refusal:
            refused()
        assert refusal.value.status_code == 403

    other = svix.authentication.app_portal_access(app_id, AppPortalAccessIn())
    expire = ApplicationTokenExpireIn(session_ids=["s"])
    svix.authentication.expire_all(app_id, expire)
    with pytest.raises(HttpError) as refusal:
        portal.endpoint.get(app_id, endpoint)
    assert refusal.value.status_code == 401
    second = served.sdk(other.token)
    assert second.endpoint.get_secret(app_id, endpoint).key.startswith("whsec_")
    second.authentication.logout()
    with pytest.raises(HttpError):
        second.endpoint.get(app_id, endpoint)


def test_health_answers(svix: Svix) -> None:
    svix.health.get()
