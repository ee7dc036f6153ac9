"""Warnings before the pause, the pause after five days of nothing but failures."""

from tillbell.clock import DAY, HOUR, MINUTE, SECOND
from tillbell.model.endpoints import AttemptFailure, EndpointHealth
from tillbell.rules.delivery.health import after_failure, after_success

WELL = EndpointHealth(id="ep_1", scope="app_1")
START = 1000 * DAY


def failure(at: int) -> AttemptFailure:
    return AttemptFailure(at=START + at, status=500, error="", text="It answered 500.")


def fail(health: EndpointHealth, at: int) -> tuple[EndpointHealth, list[str], bool]:
    verdict = after_failure(health, failure(at), pause_after=5 * DAY)
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


def test_successes_of_a_well_endpoint_are_written_every_five_minutes() -> None:
    first = after_success(WELL, START)
    writes = [after_success(first.health, START + at).changed for at in (1, 4 * MINUTE, 5 * MINUTE)]

    assert (first.changed, writes) == (True, [False, False, True])


def test_failures_are_written_every_ten_seconds_and_when_the_breaker_moves() -> None:
    first = after_failure(WELL, failure(0), pause_after=5 * DAY)
    soon = after_failure(first.health, failure(9 * SECOND), pause_after=5 * DAY)
    later = after_failure(first.health, failure(10 * SECOND), pause_after=5 * DAY)
    opened = after_failure(first.health, failure(1), pause_after=5 * DAY, probe_at=START + 5)

    assert [each.changed for each in (first, soon, later, opened)] == [True, False, True, True]
    assert later.health.last_failure == failure(10 * SECOND)
    assert opened.health.probe_at == START + 5
    recovered = after_success(opened.health, START + MINUTE).health
    assert (recovered.failing_since, recovered.probe_at) == (None, None)
    assert recovered.last_failure == failure(1)
