"""One documented meaning for every answer."""

from collections import Counter

import pytest
from tests.cases import each

from tillbell.model.messages import FAILURES as CODES
from tillbell.model.messages import Reply, Result
from tillbell.rules.delivery.advice import advise_failure
from tillbell.rules.delivery.answers import judge

FAILURES = {
    "blocked_url": Result.BLOCKED,
    "blocked_address": Result.BLOCKED,
    "blocked_header": Result.BLOCKED,
    "unusable": Result.INTERRUPTED,
    "dns_timeout": Result.TIMED_OUT,
    "connect_timeout": Result.TIMED_OUT,
    "timeout": Result.TIMED_OUT,
    "dns_error": Result.UNREACHABLE,
    "connect_refused": Result.UNREACHABLE,
    "connect_error": Result.UNREACHABLE,
    "tls_error": Result.UNREACHABLE,
    "reset": Result.UNREACHABLE,
    "protocol_error": Result.UNREACHABLE,
    "overloaded": Result.INTERRUPTED,
    "internal_error": Result.INTERRUPTED,
    "payload_deleted": Result.INTERRUPTED,
    "client_certificate_required": Result.UNREACHABLE,
}


def reply(status: int = 0, error: str = "") -> Reply:
    return Reply(status, error, "", b"", "", 0)


# Status → result, and why. The bounds of each range stand here as well as what is inside.
STATUSES = [
    (200, Result.ACCEPTED, "the receiver has it"),
    (204, Result.ACCEPTED, "any 2xx is a yes under the rule 2xx"),
    (299, Result.ACCEPTED, "the last of the 2xx"),
    (199, Result.REFUSED, "a final 1xx is no answer to a request"),
    (300, Result.REFUSED, "the first that is no 2xx"),
    (302, Result.REFUSED, "a redirect is not followed"),
    (400, Result.REFUSED, "the receiver does not understand it; it may after its next release"),
    (404, Result.REFUSED, "not found may be found again: only 410 is for good"),
    (409, Result.REFUSED, "before 410"),
    (410, Result.GONE, "the receiver wants nothing of this kind any more"),
    (411, Result.REFUSED, "after 410"),
    (428, Result.REFUSED, "before 429"),
    (429, Result.THROTTLED, "too many requests: Retry-After is a floor"),
    (430, Result.REFUSED, "after 429"),
    (500, Result.REFUSED, "an error of the receiver's own is no request to slow down"),
    (501, Result.REFUSED, "before 502"),
    (502, Result.THROTTLED, "a proxy found nobody behind it"),
    (503, Result.THROTTLED, "the receiver says that it is too busy"),
    (504, Result.THROTTLED, "a proxy waited in vain"),
    (505, Result.REFUSED, "after 504"),
    (599, Result.REFUSED, "the last status that there is"),
]


@each(("status", "result", "why"), STATUSES)
def test_every_status_has_one_meaning(status: int, result: Result, why: str) -> None:
    assert judge(reply(status), "2xx") is result, why


def test_of_all_statuses_only_those_that_are_promised_are_not_refused() -> None:
    results = Counter(judge(reply(status), "2xx") for status in range(100, 600))
    assert results == {
        Result.ACCEPTED: 100,
        Result.GONE: 1,
        Result.THROTTLED: 4,
        Result.REFUSED: 395,
    }


@pytest.mark.parametrize("status", [201, 202, 204, 299])
def test_the_200_only_rule_refuses_other_2xx(status: int) -> None:
    assert judge(reply(status), "200") is Result.REFUSED
    assert judge(reply(200), "200") is Result.ACCEPTED


@each(("error", "result"), FAILURES.items())
def test_every_failure_has_one_meaning(error: str, result: Result) -> None:
    assert judge(reply(error=error), "2xx") is result


def test_every_failure_says_what_to_do() -> None:
    for error in CODES:
        text = advise_failure(error, "It failed")
        assert text.startswith("It failed. ")
        assert text.endswith(".")
        assert len(text) > len("It failed. ")
