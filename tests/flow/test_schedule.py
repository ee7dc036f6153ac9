"""The schedule, on a clock that is turned: 75 hours in milliseconds."""

import itertools
from email.utils import format_datetime

import pytest

from tests.flow.gateway_harness import START, GatewayHarness
from tillbell.clock import DAY, HOUR, SECOND, to_datetime
from tillbell.model.endpoints import EndpointStatus
from tillbell.model.messages import DeliveryState, Result
from tillbell.testing.behaviours import raw

STANDARD = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)


async def test_a_failing_delivery_is_tried_exactly_when_the_schedule_says(
    still: GatewayHarness,
) -> None:
    await still.endpoint("/status/500")
    message = await still.publish()
    (first,) = await still.next_ended()
    offsets = [first.started_at - START]
    for wait in STANDARD:
        await still.pass_time(wait - 0.001)
        assert still.ended.empty()
        await still.pass_time(0.001 + 1)
        (attempt,) = await still.next_ended()
        offsets.append(attempt.started_at - START)

    (delivery,) = await still.deliveries(message)
    assert len(offsets) == 10
    assert delivery.state is DeliveryState.FAILED
    # Attempts on loopback last milliseconds of real time, none of the turned clock.
    assert [round((b - a) / SECOND) for a, b in itertools.pairwise(offsets)] == [
        pytest.approx(wait, abs=2) for wait in STANDARD
    ]


async def test_after_the_end_there_is_silence(still: GatewayHarness) -> None:
    await still.endpoint("/status/500", uid="bad", retry_schedule=(5,))
    await still.endpoint("/ok", uid="good")
    await still.publish()
    await still.next_ended(2)
    await still.pass_time(6)
    await still.next_ended()
    received = len(still.receiver.requests)

    await still.pass_time(2 * 75 * 3600)

    assert len(still.receiver.requests) == received == 3


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [
        ("600", 600),
        ("1", 5),
        ("-1", 5),
        ("NaN", 5),
        ("99999999999", 86400),
        (format_datetime(to_datetime(START - DAY), usegmt=True), 5),
        (format_datetime(to_datetime(START + HOUR), usegmt=True), 3600),
        (format_datetime(to_datetime(START + 400 * DAY), usegmt=True), 86400),
    ],
)
async def test_retry_after_is_a_floor(still: GatewayHarness, retry_after: str, wait_s: int) -> None:
    head = f"HTTP/1.1 503 Busy\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n"
    still.receiver.on("/busy", raw(head.encode(), closes=False))
    await still.endpoint("/busy")
    message = await still.publish()
    (attempt,) = await still.next_ended()

    (delivery,) = await still.deliveries(message)
    ended_at = attempt.started_at + attempt.duration_us
    assert attempt.result is Result.THROTTLED
    assert (delivery.due_at - ended_at) / SECOND == pytest.approx(wait_s, abs=1)


async def test_gone_disables_the_endpoint_and_keeps_what_waits(still: GatewayHarness) -> None:
    endpoint = await still.endpoint("/status/410")
    await still.publish()
    await still.next_ended()
    await still.settle()

    changed = await still.gateway.config_cache.endpoint(still.app.id, endpoint.id)
    assert changed is not None
    assert (changed.status, changed.status_reason) == (EndpointStatus.DISABLED, "gone")
