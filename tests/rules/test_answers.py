"""One documented meaning for every answer."""

import pytest

from tillbell.models import Reply, Result
from tillbell.rules.answers import judge

FAILURES = {
    "blocked_url": Result.BLOCKED,
    "blocked_address": Result.BLOCKED,
    "dns_timeout": Result.TIMED_OUT,
    "connect_timeout": Result.TIMED_OUT,
    "timeout": Result.TIMED_OUT,
    "dns_error": Result.UNREACHABLE,
    "connect_refused": Result.UNREACHABLE,
    "connect_error": Result.UNREACHABLE,
    "tls_error": Result.UNREACHABLE,
    "reset": Result.UNREACHABLE,
    "protocol_error": Result.UNREACHABLE,
    "overloaded": Result.UNREACHABLE,
}


def reply(status: int = 0, error: str = "") -> Reply:
    return Reply(status, error, "", b"", "", 0)


def expected(status: int) -> Result:
    if 200 <= status <= 299:
        return Result.ACCEPTED
    if status == 410:
        return Result.GONE
    return Result.THROTTLED if status in {429, 502, 503, 504} else Result.REFUSED


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_one_meaning(status: int) -> None:
    assert judge(reply(status), "2xx") is expected(status)


@pytest.mark.parametrize("status", [201, 202, 204, 299])
def test_the_200_only_rule_refuses_other_2xx(status: int) -> None:
    assert judge(reply(status), "200") is Result.REFUSED
    assert judge(reply(200), "200") is Result.ACCEPTED


@pytest.mark.parametrize(("error", "result"), FAILURES.items())
def test_every_failure_has_one_meaning(error: str, result: Result) -> None:
    assert judge(reply(error=error), "2xx") is result
