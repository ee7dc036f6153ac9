"""What owners change while deliveries wait: the present URL and secret are used."""

import asyncio

import pytest
from standardwebhooks import Webhook

from tests.flow.gateway_harness import SECRET, GatewayHarness
from tillbell.clock import DAY, SECOND
from tillbell.errors import ConflictError
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus, SigningSecret
from tillbell.model.messages import Delivery, DeliveryState, Message, Result
from tillbell.testing.behaviours import flaky, raw
from tillbell.testing.exchange import ReceiverExchange

OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


async def test_a_retry_goes_to_the_present_url(still: GatewayHarness) -> None:
    endpoint = await still.endpoint("/status/500")
    await still.publish()
    await still.next_ended()
    await still.change(endpoint, url=still.receiver.url("/new"))
    await still.pass_time(6)
    (attempt,) = await still.next_ended()

    assert attempt.url.endswith("/new")
    assert [r.path for r in still.receiver.requests] == ["/status/500", "/new"]


async def test_a_retry_signs_with_the_present_secret(still: GatewayHarness) -> None:
    endpoint = await still.endpoint("/status/500")
    await still.publish()
    await still.next_ended()
    sealed = still.gateway.vault.seal(OTHER, endpoint.id)
    await still.change(endpoint, secrets=(SigningSecret(sealed=sealed),))
    await still.pass_time(6)
    await still.next_ended()

    first, second = [dict(r.headers)["webhook-signature"] for r in still.receiver.requests]
    assert first != second
    assert len(second.split()) == 1


async def test_during_the_overlap_both_secrets_sign_and_afterwards_only_the_new(
    still: GatewayHarness,
) -> None:
    endpoint = await still.endpoint("/ok")
    vault = still.gateway.vault
    now = still.clock.now()
    old = SigningSecret(sealed=vault.seal(SECRET, endpoint.id), expires_at=now + 60_000_000)
    new = SigningSecret(sealed=vault.seal(OTHER, endpoint.id))
    await still.change(endpoint, secrets=(new, old))
    await still.publish()
    await still.next_ended()
    await still.pass_time(61)
    await still.publish()
    await still.next_ended()

    during, after = [dict(r.headers)["webhook-signature"] for r in still.receiver.requests]
    assert [len(during.split()), len(after.split())] == [2, 1]


async def test_a_paused_endpoint_keeps_its_messages_until_it_is_resumed(
    still: GatewayHarness,
) -> None:
    endpoint = await still.endpoint("/ok")
    await still.change(endpoint, status=EndpointStatus.PAUSED)
    message = await still.publish()
    await still.pass_time(10_000)
    (delivery,) = await still.deliveries(message)
    assert delivery.state is DeliveryState.WAITING
    assert still.receiver.requests == []

    await still.change(endpoint, status=EndpointStatus.ACTIVE)
    await still.next_ended()

    (delivery,) = await still.deliveries(message)
    assert delivery.state is DeliveryState.SUCCEEDED


async def test_a_disabled_endpoint_gets_no_deliveries(still: GatewayHarness) -> None:
    endpoint = await still.endpoint("/ok")
    await still.change(endpoint, status=EndpointStatus.DISABLED)
    message = await still.publish()

    assert await still.deliveries(message) == []


async def test_a_removed_endpoint_leaves_its_deliveries_discarded_and_visible(
    still: GatewayHarness,
) -> None:
    endpoint = await still.endpoint("/status/500")
    message = await still.publish()
    await still.next_ended()
    await still.gateway.config_cache.remove(type(endpoint), endpoint.id, endpoint.scope)
    await still.pass_time(100_000)

    (delivery,) = await still.deliveries(message)
    assert delivery.state is DeliveryState.DISCARDED
    assert len(still.receiver.requests) == 1


async def test_what_was_published_can_be_read_at_once(harness: GatewayHarness) -> None:
    await harness.endpoint("/ok")
    for number in range(20):
        message = await harness.publish(b'{"n":%d}' % number)
        assert await harness.gateway.database.message(harness.app.id, message.id) == message
        assert (
            await harness.gateway.database.body(message.app_id, message.id) == b'{"n":%d}' % number
        )
        assert len(await harness.deliveries(message)) == 1


async def test_the_same_event_id_is_published_once(harness: GatewayHarness) -> None:
    await harness.endpoint("/ok")
    await harness.publish(event_id="e1")
    conflicts = 0
    for _ in range(3):
        try:
            await harness.publish(event_id="e1")
        except ConflictError:
            conflicts += 1

    assert conflicts == 3
    assert len(await harness.messages()) == 1


async def test_receivers_verify_what_they_get(harness: GatewayHarness) -> None:
    await harness.endpoint("/ok")
    await harness.publish(b'{"amount": 1.10, "big": 123456789012345678901234567890}')
    await harness.next_ended()

    (request,) = harness.receiver.requests
    assert request.body == b'{"amount": 1.10, "big": 123456789012345678901234567890}'
    assert Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_a_stored_url_that_may_not_be_called_is_blocked_with_its_reason(
    harness: GatewayHarness,
) -> None:
    for url in ("http://10.9.8.7/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/"):
        await harness.endpoint(url=url, retry_schedule=())
    await harness.endpoint(url="ftp://example.com/", retry_schedule=())
    await harness.publish()
    ended = await harness.next_ended(4)

    assert sorted(a.error for a in ended) == ["blocked_address"] * 3 + ["blocked_url"]
    assert all(a.detail for a in ended)


async def test_what_is_wrong_with_a_stored_endpoint_costs_the_others_nothing(
    harness: GatewayHarness,
) -> None:
    seal = harness.gateway.vault.seal
    for value in ("a\r\nX-Injected: 1", "é中", "a" * 16384):
        endpoint = await harness.endpoint(retry_schedule=())
        await harness.change(endpoint, headers={"X-A": seal(value, endpoint.id)})
    endpoint = await harness.endpoint(retry_schedule=())
    await harness.change(endpoint, headers={"Host": seal("internal", endpoint.id)})
    swapped = SigningSecret(sealed=seal(SECRET, "ep_other"))
    await harness.change(await harness.endpoint(retry_schedule=()), secrets=(swapped,))
    await harness.change(await harness.endpoint(retry_schedule=()), profile="telex")
    await harness.endpoint("/well")
    await harness.stop()
    await harness.start()
    await harness.publish()
    ended = await harness.next_ended(7)

    assert sorted(a.error for a in ended) == ["", *["blocked_header"] * 4, *["unusable"] * 2]
    assert [r.path for r in harness.receiver.requests] == ["/well"]


# ── an attempt is judged against what it was made with ───────────────────────────────────────────


async def _change_during_an_attempt(
    still: GatewayHarness, status: int, change: str
) -> tuple[Endpoint, Message]:
    """Let an attempt end with a status after the endpoint was changed; return both."""
    may_answer = asyncio.Event()

    async def late(exchange: ReceiverExchange) -> None:
        await may_answer.wait()
        await exchange.answer(status, b"", "Retry-After: 86400")

    still.receiver.on("/old", late)
    endpoint = await still.endpoint("/old", retry_schedule=())
    message = await still.publish()
    await still.receiver.wait_for(len(still.receiver.requests) + 1)
    seal = still.gateway.vault.seal
    if change == "url":
        await still.change(endpoint, url=still.receiver.url("/new"))
    elif change == "secrets":
        secret = SigningSecret(sealed=seal(OTHER, endpoint.id))
        await still.change(endpoint, secrets=(secret,), url=endpoint.url)
    elif change == "headers":
        await still.change(endpoint, headers={"X-Token": seal("new", endpoint.id)})
    else:
        await still.change(endpoint, status=EndpointStatus.DISABLED)
        await still.change(endpoint, status=EndpointStatus.ACTIVE)
    still.receiver.on("/old", flaky(200))
    may_answer.set()
    await still.settle_attempts()
    return endpoint, message


@pytest.mark.sqlite_first
async def test_what_was_changed_meanwhile_is_not_punished(still: GatewayHarness) -> None:
    """The last try of the schedule failed: what was changed is tried at once all the same."""
    await still.operational("/ops")
    for change in ("url", "secrets", "headers", "resumed"):
        for status in (410, 401, 503):
            endpoint, message = await _change_during_an_attempt(still, status, change)
            (delivery,) = [
                d for d in await still.deliveries(message) if d.endpoint_id == endpoint.id
            ]
            now = await still.gateway.config_cache.endpoint(still.app.id, endpoint.id)
            health = still.gateway.lanes.health(endpoint.id, None)
            case = (change, status)

            assert now is not None
            assert now.status is EndpointStatus.ACTIVE, case
            assert delivery.state is DeliveryState.SUCCEEDED, case
            assert health is not None
            assert (health.failing_since, health.last_failure) == (None, None), case
            assert still.gateway.lanes.get(endpoint.id).allowed(still.clock.now()) > 1, case  # type: ignore[union-attr]
            await still.gateway.config_cache.remove(Endpoint, endpoint.id, endpoint.scope)
    assert [r for r in still.receiver.requests if r.path == "/ops"] == []


@pytest.mark.sqlite_first
async def test_what_an_old_address_did_is_forgotten_with_it(still: GatewayHarness) -> None:
    """Breaker, rest, warnings and since when it fails, also after a restart."""
    head = b"HTTP/1.1 503 Busy\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n"
    still.receiver.on("/busy", raw(head, closes=False))
    schedule = (3600,) * 200
    for path in ("/busy", "/status/500"):
        endpoint = await still.endpoint(path, retry_schedule=schedule)
        for _ in range(6):
            await still.publish()
            await still.settle_attempts()
        for _ in range(30):
            await still.pass_time(3601)
            await still.settle_attempts()
        health = still.gateway.lanes.health(endpoint.id, None)
        assert health is not None
        assert health.failing_since is not None
        await still.change(endpoint, url=still.receiver.url("/well"))
        message = await still.publish()
        await still.settle_attempts()
        (delivery,) = await still.deliveries(message)
        assert delivery.state is DeliveryState.SUCCEEDED, path
        await still.change(endpoint, url=still.receiver.url("/status/404"))
        await still.publish()
        await still.settle_attempts()
        await still.change(endpoint, url=still.receiver.url("/well"))
        await still.stop()
        await still.start()
        health = still.gateway.lanes.health(endpoint.id, health)
        await still.gateway.config_cache.view(still.app.id)
        health = still.gateway.lanes.health(endpoint.id, health)
        assert health is not None
        assert health.failing_since is None, path
        await still.gateway.config_cache.remove(Endpoint, endpoint.id, endpoint.scope)


# ── our own failures ─────────────────────────────────────────────────────────────────────────────


async def _only_delivery(still: GatewayHarness, message: Message) -> Delivery:
    (delivery,) = await still.deliveries(message)
    return delivery


async def test_a_success_stays_one_when_its_payload_is_gone(still: GatewayHarness) -> None:
    """Nothing is counted to the receiver, and nobody is alarmed."""
    await still.operational("/ops")
    endpoint = await still.endpoint("/ok")
    sent = [await still.publish() for _ in range(8)]
    await still.settle_attempts()
    database = still.gateway.database
    for message in sent:
        await database.resend(still.app.id, [(await _only_delivery(still, message)).id], 0)
        await database.expunge(still.app.id, message.id)
    for _ in sent:  # after a failure of our own the next waits a while
        still.gateway.lanes.note_due(still.app.id, endpoint.id, still.clock.now())
        await still.settle_attempts()
        await still.pass_time(61)

    states = {(await _only_delivery(still, message)).state for message in sent}
    lane = still.gateway.lanes.get(endpoint.id)
    assert states == {DeliveryState.SUCCEEDED}
    assert lane is not None
    assert lane.breaker.probe_at is None
    assert lane.health.failing_since is None
    assert [r for r in still.receiver.requests if r.path == "/ops"] == []
    attempts = await still.attempts_of(endpoint)
    second = {a.result for a in attempts if a.number == 2}
    assert second <= {Result.INTERRUPTED, Result.ACCEPTED}  # or it was sent before the payload went


async def test_our_own_failure_uses_no_try_and_is_not_the_receivers(
    still: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await still.endpoint("/ok", retry_schedule=(5, 60))
    send = still.gateway.http_client.send
    failures = [RuntimeError("a fault of ours")] * 8

    async def broken(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return await send(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(still.gateway.http_client, "send", broken)
    message = await still.publish()
    await still.settle_attempts()
    for _ in range(8):
        await still.pass_time(61)
        await still.settle_attempts()

    attempts = await still.attempts_of(endpoint)
    health = still.gateway.lanes.health(endpoint.id, None)
    assert [a.result for a in attempts] == [Result.INTERRUPTED] * 8 + [Result.ACCEPTED]
    assert (await _only_delivery(still, message)).state is DeliveryState.SUCCEEDED
    assert health is not None
    assert (health.failing_since, health.last_failure) == (None, None)


# ── Retry-After is the endpoint's ────────────────────────────────────────────────────────────────


async def test_a_receiver_that_asks_for_rest_gets_no_other_delivery(still: GatewayHarness) -> None:
    """Neither new messages nor resends, also after a restart; then it is asked slowly."""
    head = b"HTTP/1.1 429 Slow\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n"
    still.receiver.on("/busy", raw(head, closes=False))
    endpoint = await still.endpoint("/busy")
    await still.endpoint("/ok", uid="other")
    messages = [await still.publish()]
    await still.settle_attempts()
    for second in range(20):
        messages.append(await still.publish(b'{"n":%d}' % second))
        if second == 10:
            resender = still.gateway.delivery_resender
            await resender.resend(still.app.id, messages[0].id, endpoint.id)
        await still.pass_time(29)
        await still.settle_attempts()
        if second == 15:
            await still.stop()
            await still.start()
            await still.settle_attempts()
    busy = [r for r in still.receiver.requests if r.path == "/busy"]
    assert len(busy) == 1
    assert len(still.receiver.requests) == 1 + 21, "the other endpoint gets everything"

    still.receiver.on("/busy", flaky(200))
    await still.pass_time(25)
    await still.settle_attempts()
    states = [d.state for m in messages for d in await still.deliveries(m)]
    assert set(states) == {DeliveryState.SUCCEEDED}


async def test_a_rest_ends_after_a_day_at_most(still: GatewayHarness) -> None:
    head = b"HTTP/1.1 503 No\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n"
    still.receiver.on("/busy", raw(head, closes=False))
    endpoint = await still.endpoint("/busy")
    await still.publish()
    await still.settle_attempts()
    lane = still.gateway.lanes.get(endpoint.id)
    assert lane is not None
    assert DAY <= lane.rest_until - still.clock.now() <= DAY + 2 * SECOND
    assert isinstance(lane.health, EndpointHealth)
