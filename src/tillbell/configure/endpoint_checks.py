"""Checks of an endpoint, apart from its URL."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from tillbell.errors import Invalid, Problem
from tillbell.model.endpoints import Endpoint
from tillbell.profiles import PROFILES
from tillbell.profiles.base import AttemptContext
from tillbell.rules.delivery.headers import check_custom_headers
from tillbell.rules.delivery.selectors import check
from tillbell.rules.nearest import hint, nearest
from tillbell.rules.payload_filter import FilterProblems, read_payload_filter


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
    payload_filter = read_payload_filter(endpoint.payload_filter or {}, ("body", "filter"))
    if isinstance(payload_filter, FilterProblems):
        yield from payload_filter.problems
    if endpoint.text_template is not None:
        yield from template_problems(endpoint)
    names = endpoint.header_names or {}
    for problem in check_custom_headers(dict.fromkeys(names.values(), "")):
        yield Problem(("body", "headerNames", *problem.loc[2:]), problem.msg, problem.type)
    yield from _header_name_problems(endpoint, names)


def template_problems(endpoint: Endpoint) -> Iterator[Problem]:
    """Return what is wrong with the text template of an endpoint, with the line."""
    from tillbell.profiles.text_template import TemplateProblem, read_text_template

    profile, place = PROFILES[endpoint.profile], ("body", "textTemplate")
    if not profile.is_chat:
        chats = ", ".join(name for name, each in PROFILES.items() if each.is_chat)
        yield Problem(place, f"only the profiles {chats} have a text template", "text_template")
        return
    template = read_text_template(endpoint.text_template or "", profile)
    if isinstance(template, TemplateProblem):
        yield Problem(place, str(template), "text_template")


def _header_name_problems(endpoint: Endpoint, names: Mapping[str, str]) -> Iterator[Problem]:
    sent = profile_headers(endpoint.profile)
    for name in names:
        if name not in sent:
            text = f"the profile {endpoint.profile} sends no such header{hint(nearest(name, sent))}"
            yield Problem(("body", "headerNames", name), text, "header_name")
    yield from check_sent_once(endpoint, "headerNames" if names else "profile")


def check_sent_once(endpoint: Endpoint, member: str) -> Iterator[Problem]:
    """Return a problem for each header that would be sent twice: a receiver reads one of them."""
    names = endpoint.header_names or {}
    sent = [names.get(name, name) for name in profile_headers(endpoint.profile)]
    counts = Counter(name.lower() for name in (*sent, *endpoint.headers))
    for name in (name for name, count in counts.items() if count > 1):
        text = f"the header {name} would be sent twice: as your own and by the profile"
        if name not in {own.lower() for own in endpoint.headers}:
            text = f"two headers of the profile would be sent as {name}"
        yield Problem(("body", member), text, "header_twice")


@functools.cache
def profile_headers(profile: str) -> tuple[str, ...]:
    """Return the names of the headers that a profile sends."""
    in_use = PROFILES[profile]
    secret = in_use.new_secret(bytes(32))
    attempt = AttemptContext("msg_1", "dlv_1", "order.paid", 1, 0, b"{}", (secret,))
    return tuple(name for name, _ in in_use.headers(attempt))


def check_secret(profile: str, text: str, member: str) -> None:
    """Raise `Invalid` for `member` of the body if the profile cannot use this secret."""
    problem = PROFILES[profile].check_secret(text)
    if problem is not None:
        raise Invalid(Problem(("body", member), problem, "secret"))
