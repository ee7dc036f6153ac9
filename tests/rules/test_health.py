"""Warnings before the pause, the pause after five days of nothing but failures."""

from tillbell.clock import DAY, HOUR, MINUTE
from tillbell.model.endpoints import EndpointHealth
from tillbell.rules.delivery.health import after_failure, after_success

WELL = EndpointHealth(id="ep_1", scope="app_1")
START = 1000 * DAY


def fail(health: EndpointHealth, at: int) -> tuple[EndpointHealth, list[str], bool]:
    verdict = after_failure(health, START + at, pause_after=5 * DAY)
    return verdict.health, [f"{name}{stage}" for name, stage in verdict.events], verdict.pause


def test_warned_after_an_hour_a_day_and_four_days_then_paused_at_five() -> None:
    health = WELL
    heard = []
    for minutes in range(0, 6 * 24 * 60, 30):
        health, events, is_paused = fail(health, minutes * MINUTE)
        heard += [(minutes // 60, event) for event in events]
        if is_paused:
            break

    assert heard == [
        (1, "endpoint.failing1h"),
        (24, "endpoint.failing1d"),
        (96, "endpoint.failing4d"),
        (120, "endpoint.paused"),
    ]


def test_one_success_resets_the_clock() -> None:
    health, _, _ = fail(WELL, 0)
    health, _, _ = fail(health, 4 * DAY)
    recovered = after_success(health, START + 4 * DAY + HOUR)
    health, events, is_paused = fail(recovered.health, 5 * DAY + HOUR)

    assert recovered.events == (("endpoint.recovered", ""),)
    assert (events, is_paused) == ([], False)
    assert health.failing_since == START + 5 * DAY + HOUR


def test_a_short_failure_is_not_announced_when_it_ends() -> None:
    health, _, _ = fail(WELL, 0)

    assert after_success(health, START + MINUTE).events == ()


def test_success_of_a_well_endpoint_writes_nothing() -> None:
    assert not after_success(WELL, START).changed


def test_failures_between_warnings_write_nothing() -> None:
    health, _, _ = fail(WELL, 0)

    assert not after_failure(health, START + MINUTE, pause_after=5 * DAY).changed
