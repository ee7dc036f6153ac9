"""Checks of an endpoint, apart from its URL."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tillbell.errors import Invalid, Problem
from tillbell.model.endpoints import Endpoint
from tillbell.profiles import PROFILES
from tillbell.rules.delivery.headers import check_custom_headers
from tillbell.rules.delivery.selectors import check


def check_endpoint(
    endpoint: Endpoint, known: Collection[str], selectors_named: str | None
) -> list[Problem]:
    """Return the problems of an endpoint, apart from its URL, headers and secret.

    Selectors are checked if the request names them; `selectors_named` is that member of its body.
    """
    if endpoint.profile not in PROFILES:
        message = f"unknown profile; there are {', '.join(sorted(PROFILES))}"
        return [Problem(("body", "profile"), message, "profile")]
    return list(_problems(endpoint, known, selectors_named))


def _problems(
    endpoint: Endpoint, known: Collection[str], selectors_named: str | None
) -> Iterator[Problem]:
    if endpoint.handshake and endpoint.profile != "cloudevents":
        message = "only profile cloudevents has a handshake"
        yield Problem(("body", "handshake"), message, "handshake")
    if selectors_named is not None:
        platform = PROFILES[endpoint.profile].has_platform_names
        for problem in check(endpoint.selectors or (), known, platform=platform):
            yield Problem(("body", selectors_named, *problem.loc[2:]), problem.msg, problem.type)
    names = endpoint.header_names or {}
    for problem in check_custom_headers(dict.fromkeys(names.values(), "")):
        yield Problem(("body", "headerNames", *problem.loc[2:]), problem.msg, problem.type)


def check_secret(profile: str, text: str, member: str) -> None:
    """Raise `Invalid` for `member` of the body if the profile cannot use this secret."""
    problem = PROFILES[profile].check_secret(text)
    if problem is not None:
        raise Invalid(Problem(("body", member), problem, "secret"))
