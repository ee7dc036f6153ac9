"""Warnings before the pause, the pause after five days of nothing but failures."""

from tillbell.clock import DAY, HOUR, MINUTE, SECOND
from tillbell.model.endpoints import AttemptFailure, Endpoint, EndpointHealth, EndpointStatus
from tillbell.rules.delivery.endpoint_standing import EndpointCode, endpoint_standing
from tillbell.rules.delivery.health import after_failure, after_success, health_at

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
    health, _, _ = fail(health, DAY)
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


def test_failures_that_are_far_apart_never_pause() -> None:
    """Two in a week, one every two days, or the retries of one message a week."""
    retries = [0, 1, 6, 36, 156, 456, 1056, 1896, 3096, 4536]  # minutes, of the standard schedule
    for at in (
        [0, 7 * DAY],
        [0, 5 * DAY, 5 * DAY + MINUTE],
        [days * DAY for days in range(0, 60, 2)],
        [week * 7 * DAY + minutes * MINUTE for week in range(8) for minutes in retries],
    ):
        health = WELL
        for time in at:
            health, _, is_paused = fail(health, time)
            assert not is_paused
            assert health.failing_since == START


def test_every_warning_is_sent_before_the_pause_and_the_last_a_day_before() -> None:
    for step in (DAY, 30 * HOUR, 36 * HOUR):
        health = WELL
        heard: list[tuple[int, str]] = []
        for at in range(0, 30 * DAY, step):
            health, events, is_paused = fail(health, at)
            heard += [(at, event) for event in events]
            if is_paused:
                break
        assert [event for _, event in heard] == [
            "endpoint.failing1h",
            "endpoint.failing1d",
            "endpoint.failing4d",
            "endpoint.paused",
        ]
        assert heard[-1][0] >= 5 * DAY
        assert heard[-1][0] - heard[-2][0] >= DAY


def test_a_short_pause_setting_still_warns_a_day_before() -> None:
    health = WELL
    times: dict[str, int] = {}
    for at in range(0, 3 * DAY, 30 * MINUTE):
        verdict = after_failure(health, failure(at), pause_after=DAY)
        health = verdict.health
        times.update((f"{name}{stage}", at) for name, stage in verdict.events)
        if verdict.pause:
            break
    assert times == {"endpoint.failing1h": HOUR, "endpoint.paused": DAY + HOUR}


def test_health_says_nothing_about_another_destination() -> None:
    health = WELL.but(destination="old")
    for at in range(0, 4 * DAY, HOUR):
        health, _, _ = fail(health, at)
    health = health.but(rest_until=START + 30 * DAY)

    assert health_at(health, "old") is health
    moved = health_at(health, "new")
    assert (moved.failing_since, moved.warned, moved.rest_until) == (None, (), 0)
    assert moved.last_failure == health.last_failure
    assert health_at(WELL.but(failing_since=START), "new").failing_since == START, "not known"


def test_an_endpoint_that_is_not_active_says_who_stopped_it() -> None:
    failing = WELL.but(failing_since=START, last_failure=failure(0), probe_at=START + HOUR)
    stopped = {
        (EndpointStatus.PAUSED, "failing"): EndpointCode.PAUSED,
        (EndpointStatus.DISABLED, "gone"): EndpointCode.GONE,
        (EndpointStatus.DISABLED, "owner"): EndpointCode.DISABLED,
    }
    for (status, reason), code in stopped.items():
        endpoint = Endpoint(
            id="ep_1", url="https://a.example", status=status, status_reason=reason, updated_at=7
        )
        standing = endpoint_standing(endpoint, failing, START)
        assert (standing.code, standing.since, standing.next_at) == (code, 7, None)
        assert ("410" in standing.text) is (reason == "gone")
        assert ("It answered 500." in standing.text) is (code is EndpointCode.PAUSED)


def test_a_probe_that_is_due_is_planned_for_now() -> None:
    endpoint = Endpoint(id="ep_1", url="https://a.example")
    failing = WELL.but(failing_since=START, last_failure=failure(0), probe_at=START + HOUR)
    later = endpoint_standing(endpoint, failing, START + DAY)
    assert (later.code, later.since, later.next_at) == (
        EndpointCode.CIRCUIT_OPEN,
        START,
        START + DAY,
    )
