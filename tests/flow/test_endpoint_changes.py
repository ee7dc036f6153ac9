"""What owners change while deliveries wait: the present URL and secret are used."""

from standardwebhooks import Webhook

from tests.flow.gateway_harness import SECRET, GatewayHarness
from tillbell.errors import ConflictError
from tillbell.model.endpoints import EndpointStatus, SigningSecret
from tillbell.model.messages import DeliveryState

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
