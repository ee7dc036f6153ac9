"""The verdict on top of a page: what is true, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.model.endpoints import AttemptFailure
from tillbell.rules.delivery.endpoint_standing import EndpointCode, EndpointStanding
from tillbell.rules.delivery.fate import Fate, FateCode
from tillbell.web.pages.formats import number


class PageVerdict(NamedTuple):
    """One sentence of truth about a thing, with what follows from it."""

    tone: str
    icon: str
    title: str
    text: str
    next_at: Micros | None = None  # when the next attempt is made
    since: Micros | None = None  # since when that is so
    next_is: str = "Next attempt"


_LOOKS = {
    FateCode.DELIVERED: ("ok", "ok"),
    FateCode.RETRYING: ("warn", "refresh"),
    FateCode.RATE_LIMITED: ("warn", "gauge"),
    FateCode.HELD: ("warn", "pause"),
    FateCode.ORDERED_BEHIND: ("warn", "clock"),
    FateCode.CIRCUIT_OPEN: ("warn", "problem"),
    FateCode.ENDPOINT_PAUSED: ("warn", "pause"),
    FateCode.FAILED: ("bad", "bad"),
    FateCode.PAYLOAD_EXPIRED: ("bad", "gone"),
}
_QUIET = ("idle", "info")  # nothing was to be sent
_TITLES = {
    FateCode.DELIVERED: "It arrived",
    FateCode.RETRYING: "It has not arrived yet",
    FateCode.RATE_LIMITED: "It waits for its turn",
    FateCode.HELD: "The gateway sends nothing",
    FateCode.ORDERED_BEHIND: "It waits behind an earlier message",
    FateCode.CIRCUIT_OPEN: "The endpoint is down",
    FateCode.ENDPOINT_PAUSED: "The endpoint is paused",
    FateCode.ENDPOINT_DISABLED: "The endpoint is disabled",
    FateCode.CREATED_LATER: "The endpoint was made later",
    FateCode.FILTERED_TYPE: "The endpoint did not ask for it",
    FateCode.FILTERED_CHANNEL: "The endpoint did not ask for it",
    FateCode.FILTERED_PAYLOAD: "The endpoint did not ask for it",
    FateCode.FAILED: "It did not arrive",
    FateCode.PAYLOAD_EXPIRED: "It cannot be sent any more",
    FateCode.DELETED: "The endpoint was deleted",
}


def of_fate(fate: Fate) -> PageVerdict:
    """Return the verdict about a message at one endpoint."""
    tone, icon = _LOOKS.get(fate.code, _QUIET)
    return PageVerdict(tone, icon, _TITLES[fate.code], fate.text, fate.next_at)


_STANDINGS = {
    EndpointCode.HEALTHY: ("ok", "ok", "It takes what it is sent"),
    EndpointCode.UNTRIED: ("idle", "clock", "Nothing was sent to it yet"),
    EndpointCode.FAILING: ("warn", "problem", "It fails"),
    EndpointCode.CIRCUIT_OPEN: ("warn", "problem", "It keeps failing"),
    EndpointCode.PAUSED: ("warn", "pause", "It is paused, and messages wait"),
    EndpointCode.GONE: ("bad", "gone", "It is disabled: its receiver answered that it is gone"),
    EndpointCode.DISABLED: ("idle", "ban", "It is disabled"),
}
_FAILING = (EndpointCode.FAILING, EndpointCode.CIRCUIT_OPEN)


def of_endpoint(standing: EndpointStanding, failure: AttemptFailure | None) -> PageVerdict:
    """Return the verdict about an endpoint, with how it failed last."""
    tone, icon, title = _STANDINGS[standing.code]
    if failure is not None and standing.code in _FAILING:
        title = f"{title}: {f'it answers {failure.status}' if failure.status else 'no answer'}"
    return PageVerdict(
        tone, icon, title, standing.text, standing.next_at, standing.since, next_is="Next probe"
    )


class NamedFate(NamedTuple):
    """The fate of a message at an endpoint that has a name."""

    name: str
    fate: Fate


def of_fates(wanted: Sequence[NamedFate], *, is_wanted_by_none: bool) -> PageVerdict:
    """Return the verdict about a message at the endpoints that want it, the worst first.

    `is_wanted_by_none`: there are endpoints, and none of them wants it.
    """
    if not wanted:
        text = "No endpoint asked for it: below is why."
        missing = "There is no endpoint yet."
        return PageVerdict(
            "idle", "info", "It went nowhere", text if is_wanted_by_none else missing
        )
    count = len(wanted)
    arrived = sum(each.fate.code is FateCode.DELIVERED for each in wanted)
    if arrived == count:
        where = "its endpoint" if count == 1 else f"all {number(count)} endpoints"
        return PageVerdict("ok", "ok", f"It arrived at {where}", "Nothing needs doing.")
    worst = min(wanted, key=lambda each: _RANK[each.fate.code])
    verdict = of_fate(worst.fate)
    if count == 1:
        return verdict
    title = f"It arrived at {number(arrived)} of {number(count)} endpoints"
    return verdict._replace(title=title, text=f"{worst.name}: {verdict.text}")


_WORST = (
    FateCode.FAILED,
    FateCode.PAYLOAD_EXPIRED,
    FateCode.ENDPOINT_PAUSED,
    FateCode.CIRCUIT_OPEN,
    FateCode.ORDERED_BEHIND,
    FateCode.HELD,
    FateCode.RETRYING,
    FateCode.RATE_LIMITED,
)
_RANK = {code: _WORST.index(code) if code in _WORST else len(_WORST) for code in FateCode}
