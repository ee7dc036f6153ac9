"""A message at one endpoint: whether it has arrived, why not, and every attempt."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from tillbell.app import Gateway
from tillbell.clock import SECOND, Micros
from tillbell.deliver.attempt import HEAD_MAX
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fates import FilterCheck
from tillbell.errors import NotFound
from tillbell.http.connection import BODY_KEPT
from tillbell.model.endpoints import Endpoint
from tillbell.model.messages import Attempt, Delivery, DeliveryState, Message, Result
from tillbell.model.phases import phases_of
from tillbell.rules.delivery.fate import Fate
from tillbell.storage.ports.outbound import AttemptFilter, Page
from tillbell.web.api.attempts import attempt_doc
from tillbell.web.pages import curl
from tillbell.web.pages.endpoint_views import name_of
from tillbell.web.pages.page import SitePage, Visit
from tillbell.web.pages.payload_summary import Summary, summary_of
from tillbell.web.pages.states import state_of
from tillbell.web.pages.verdicts import PageVerdict, of_fate

ATTEMPTS_MAX = 50  # the newest of them are on the page
ELSEWHERE_MAX = 12  # other endpoints
_DIFF_LINES = 400  # of an answer; a longer one is not compared
_SHOWN_WAIT: Micros = 1_000  # a shorter wait for a turn is not drawn
_OPEN = (DeliveryState.WAITING, DeliveryState.SENDING)


class PlannedAttempt(NamedTuple):
    """One attempt of the retry schedule."""

    wait: Micros  # after the attempt before
    after: Micros  # after the first attempt, if each attempt takes no time
    css: str


class AnswerLine(NamedTuple):
    """One line of two answers that are compared."""

    css: str  # add, del or ""
    text: str


class AttemptDrawing(NamedTuple):
    """The time of an attempt as a bar: its parts, and how much time the whole width is."""

    parts: list[tuple[str, Micros]]
    scale: Micros


class Exchange(NamedTuple):
    """What was sent in one attempt, and what was answered."""

    attempt: Attempt
    doc: dict[str, Any]  # as the API shows it
    body: bytes | None  # None: it was deleted
    is_json: bool
    status_line: str
    is_head_cut: bool
    is_answer_cut: bool
    command: str  # curl that sends the same
    changes: list[AnswerLine]  # since the attempt before; [] if nothing has changed


class Elsewhere(NamedTuple):
    """The same message at another endpoint."""

    endpoint_id: str
    name: str
    state: str


class ShownDelivery(NamedTuple):
    """A message at one endpoint, with all that its page says."""

    message: Message
    app_name: str
    summary: Summary
    endpoint_id: str
    endpoint: Endpoint | None  # None: it was deleted
    compiled: CompiledEndpoint | None
    delivery: Delivery | None  # None: there is none
    parts: int  # how many requests the message is at this endpoint
    fate: Fate
    check: FilterCheck | None  # what its filters say of the message now; None: it was deleted
    verdict: PageVerdict
    attempts: list[Attempt]  # oldest first
    schedule: list[PlannedAttempt]
    exchange: Exchange | None
    elsewhere: list[Elsewhere]

    @property
    def name(self) -> str:
        """Return the name of the endpoint; its id if it was deleted."""
        return name_of(self.endpoint) if self.endpoint is not None else self.endpoint_id

    @property
    def next_number(self) -> int | None:
        """Return the number of the next attempt; None: none is planned."""
        if self.delivery is None or self.delivery.state is not DeliveryState.WAITING:
            return None
        return self.delivery.attempts + 1

    @property
    def is_under_way(self) -> bool:
        """Tell whether an attempt is being made at this moment."""
        return self.delivery is not None and self.delivery.state is DeliveryState.SENDING

    @property
    def drawings(self) -> dict[str, AttemptDrawing]:
        """Return how the time of each attempt is drawn, by its id.

        Attempts that were cut off have a scale of their own: they would hide the others.
        """
        drawn = {attempt.id: (attempt, _parts_of_time(attempt)) for attempt in self.attempts}
        scales = {True: SECOND // 2, False: SECOND // 2}
        for attempt, parts in drawn.values():
            is_cut = _is_cut(attempt)
            scales[is_cut] = max(scales[is_cut], sum(duration for _, duration in parts))
        return {
            id_: AttemptDrawing(parts, scales[_is_cut(attempt)])
            for id_, (attempt, parts) in drawn.items()
        }


async def show(visit: Visit) -> Response:
    """Show a message at an endpoint; `attempt` names the attempt that is shown in full."""
    shown = await _shown_delivery(visit)
    return visit.show("delivery.html", d=shown, attempts_max=ATTEMPTS_MAX)


PAGES = (SitePage("/messages/{msg}/endpoints/{endpoint}", show, "/messages"),)


async def _shown_delivery(visit: Visit) -> ShownDelivery:
    gateway = visit.gateway
    app = await visit.the_app()
    message = await gateway.database.message(app.id, visit.path("msg"))
    if message is None:
        raise NotFound("There is no such message.")
    deliveries = await gateway.database.deliveries_of_message(app.id, message.id)
    endpoint = await gateway.config_cache.endpoint(app.id, visit.path("endpoint"))
    endpoint_id = endpoint.id if endpoint is not None else visit.path("endpoint")
    here = [each for each in deliveries if each.endpoint_id == endpoint_id]
    if endpoint is None and not here:
        raise NotFound("There is no such endpoint.")
    compiled = await gateway.config_cache.compiled_endpoint(app.id, endpoint_id)
    delivery = min(here, key=lambda each: each.state not in _OPEN, default=None)
    fate = await gateway.fates.of(message, endpoint_id)
    attempts = await _attempts(gateway, message, endpoint_id)
    body = await gateway.database.body(app.id, message.id)
    return ShownDelivery(
        message=message,
        app_name=app.uid or app.id,
        summary=summary_of(message.event_type, body),
        endpoint_id=endpoint_id,
        endpoint=endpoint,
        compiled=compiled,
        delivery=delivery,
        parts=len(here),
        fate=fate,
        check=await gateway.fates.filter_check(message, endpoint_id),
        verdict=of_fate(fate),
        attempts=attempts,
        schedule=schedule_steps(compiled.schedule_s, delivery, attempts) if compiled else [],
        exchange=await _exchange(gateway, message, here, attempts, visit.query("attempt")),
        elsewhere=await _elsewhere(gateway, deliveries, endpoint_id),
    )


def schedule_steps(
    schedule_s: Sequence[int], delivery: Delivery | None, attempts: Sequence[Attempt]
) -> list[PlannedAttempt]:
    """Return the attempts of the present run of the schedule, made and planned.

    None for a delivery that has succeeded or that there is not: nothing is planned for it.
    """
    if delivery is None or delivery.state not in (*_OPEN, DeliveryState.FAILED):
        return []
    used = _used(delivery, attempts)
    is_open = delivery.state in _OPEN
    after = 0
    steps = []
    for place, wait_s in enumerate((0, *schedule_s)):
        after += wait_s * SECOND
        css = "done bad" if place < used else "current" if is_open and place == used else ""
        steps.append(PlannedAttempt(wait_s * SECOND, after, css))
    return steps


def _used(delivery: Delivery, attempts: Sequence[Attempt]) -> int:
    """Return how many attempts of the present run have ended; of the last one if it is over."""
    if delivery.state in _OPEN:
        return max(0, delivery.tries - (delivery.state is DeliveryState.SENDING))
    of_delivery = [each for each in attempts if each.delivery_id == delivery.id]
    count = 0
    for attempt in reversed(of_delivery):
        if attempt.trigger is not of_delivery[-1].trigger:
            break
        count += attempt.result is not Result.INTERRUPTED
    return count


def compared(before: str, after: str) -> list[AnswerLine]:
    """Return the lines of two answers with what has changed; [] if nothing has.

    >>> [line.css for line in compared("a\\nb", "a\\nc")]
    ['', 'del', 'add']
    """
    old, new = before.splitlines(), after.splitlines()
    if old == new or max(len(old), len(new)) > _DIFF_LINES:
        return []
    looks = {"+ ": "add", "- ": "del", "  ": ""}
    return [
        AnswerLine(looks[line[:2]], line[2:])
        for line in difflib.ndiff(old, new, None, None)
        if line[:2] in looks
    ]


def _is_cut(attempt: Attempt) -> bool:
    return attempt.result is Result.TIMED_OUT


def _parts_of_time(attempt: Attempt) -> list[tuple[str, Micros]]:
    """Return the phases of an attempt by their names in drawings."""
    phases = phases_of(attempt)
    if phases is None:
        return [("cut" if _is_cut(attempt) else "whole", attempt.duration_us)]
    took = {"dns": phases.name, "connect": phases.connect, "tls": phases.tls}
    took |= {"first": phases.first, "read": phases.read}
    parts = [("wait", phases.wait)] if phases.wait >= _SHOWN_WAIT else []
    last = "dns" if phases.last == "name" else phases.last
    parts += [
        ("cut" if name == last and _is_cut(attempt) else name, duration)
        for name, duration in took.items()
    ]
    return parts


async def _attempts(gateway: Gateway, message: Message, endpoint_id: str) -> list[Attempt]:
    """Return the newest attempts, oldest first."""
    filter_ = AttemptFilter(message_id=message.id, endpoint_id=endpoint_id)
    newest = await gateway.database.history.attempts(message.app_id, filter_, Page(ATTEMPTS_MAX))
    return newest[::-1]


async def _exchange(
    gateway: Gateway,
    message: Message,
    deliveries: Sequence[Delivery],
    attempts: Sequence[Attempt],
    id_: str,
) -> Exchange | None:
    """Return the attempt with this id in full, else the last one; None: there is none."""
    if not attempts:
        return None
    attempt = next((each for each in attempts if each.id == id_), attempts[-1])
    same = [each for each in attempts if each.delivery_id == attempt.delivery_id]
    place = same.index(attempt)
    variant = next((each.variant for each in deliveries if each.id == attempt.delivery_id), "")
    body = await gateway.database.body(message.app_id, message.id, variant)
    doc = attempt_doc(attempt, with_content=True)
    compiled = await gateway.config_cache.compiled_endpoint(message.app_id, attempt.endpoint_id)
    own_type = message.content_type if not variant else None
    content_type = own_type or (compiled.profile.content_type if compiled else "application/json")
    return Exchange(
        attempt=attempt,
        doc=doc,
        body=body,
        is_json="json" in content_type,
        status_line=attempt.answer_head.partition(b"\r\n")[0].decode("latin-1"),
        is_head_cut=len(attempt.answer_head) >= HEAD_MAX,
        is_answer_cut=len(attempt.response) >= BODY_KEPT,
        command=curl.sent_request(attempt.url, content_type, doc["requestHeaders"], body),
        changes=compared(_answer(same[place - 1]), _answer(attempt)) if place else [],
    )


def _answer(attempt: Attempt) -> str:
    """Return an answer as lines of text; without the date, which always changes."""
    doc = attempt_doc(attempt, with_content=True)
    headers = [
        f"{name}: {value}"
        for name, value in doc["responseHeaders"].items()
        if name.lower() != "date"
    ]
    first = str(attempt.status_code) if attempt.status_code else attempt.detail
    return "\n".join([first, *headers, "", doc["response"]])


async def _elsewhere(
    gateway: Gateway, deliveries: Sequence[Delivery], endpoint_id: str
) -> list[Elsewhere]:
    """Return how the same message stands at other endpoints."""
    others = {each.endpoint_id: each for each in deliveries if each.endpoint_id != endpoint_id}
    rows = []
    for id_, delivery in list(others.items())[:ELSEWHERE_MAX]:
        endpoint = await gateway.config_cache.endpoint(delivery.app_id, id_)
        name = name_of(endpoint) if endpoint is not None else id_
        rows.append(Elsewhere(id_, name, state_of(delivery)))
    return rows
