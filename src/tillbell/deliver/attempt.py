"""Attempt: send one claim once, judge the reply, and decide what becomes of the delivery.

URL and secrets are the endpoint's present ones; the body is the one rendered when the message was
published. Nothing here touches the store. After a crash between the receiver's answer and the
commit of the result, the attempt is recorded as `interrupted` and made again under the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from tillbell.clock import SECOND, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fanout import failed_rendering, rendered_part
from tillbell.errors import MissingPayload
from tillbell.http.client import HttpClient
from tillbell.ids import attempt_id
from tillbell.model.construct import by_keyword
from tillbell.model.messages import Attempt, Claim, DeliveryState, Reply, Result, Trigger
from tillbell.profiles.base import AttemptContext
from tillbell.rules.delivery.advice import advise, advise_failure
from tillbell.rules.delivery.answers import OWN_FAILURES, judge
from tillbell.rules.delivery.headers import is_secret_header
from tillbell.rules.delivery.hops import hop_line
from tillbell.rules.delivery.own_tags import example_line
from tillbell.rules.delivery.retry import (
    GiveUp,
    after_own_failure,
    next_attempt,
    rest_until,
)
from tillbell.storage.ports.outbound import INTERRUPTIONS_NOT_COUNTED, FinishedAttempt

SHOWN_MAX = 2_048  # characters of the headers of a request that are kept
HEAD_MAX = 1_024  # bytes of the head of an answer that are kept
_is_secret = lru_cache(1_024)(is_secret_header)


@lru_cache(1_024)
def _is_any_secret(names: tuple[str, ...]) -> bool:
    """Tell whether the value of one of these headers is never shown."""
    return any(map(is_secret_header, names))


_context = by_keyword(AttemptContext)
_attempt = by_keyword(Attempt)
_finished_attempt = by_keyword(FinishedAttempt)


class JudgedAttempt(NamedTuple):
    """An attempt that ended, and what was decided."""

    finished: FinishedAttempt
    result: Result
    gave_up: str  # the reason if the delivery has failed, else ""
    counts: bool = True  # whether it says something about the endpoint as it is now
    rest_until: Micros = 0  # the receiver wants no request before; 0: it did not say


class Sent(NamedTuple):
    """When an attempt began, its headers as people may see them, and how long it had waited."""

    started_at: Micros
    headers: str = ""
    waited: Micros = 0


async def make_attempt(
    claim: Claim,
    compiled: CompiledEndpoint,
    http_client: HttpClient,
    started_at: Micros,
    waited: Micros = 0,
) -> JudgedAttempt:
    """Send a claim to its endpoint once; `waited`: how long it waited for its turn."""
    if claim.body is None:
        return without_body(claim, compiled, started_at)
    if claim.delivery.variant:
        reason = failed_rendering(claim.delivery.variant, claim.body)
        if reason is not None:
            reply = Reply(status=0, error="template_failed", detail=reason)
            return _unsendable(claim, compiled, reply, started_at)
    if compiled.target is None:
        assert compiled.refusal is not None
        error, detail = compiled.refusal
        reply = Reply(status=0, error=error, detail=detail)
    else:
        head, shown = _head(claim, compiled, claim.body, started_at)
        reply = await http_client.send(compiled.target, head, claim.body, compiled.timeout_s)
        return decide(claim, compiled, reply, Sent(started_at, shown, waited))
    return decide(claim, compiled, reply, Sent(started_at))


def _head(
    claim: Claim, compiled: CompiledEndpoint, body: bytes, started_at: Micros
) -> tuple[bytes, str]:
    """Write the request line and headers, each line with its CRLF.

    The second value are the headers of the profile and the endpoint, as people may see them.
    """
    delivery, message = claim.delivery, claim.message
    part = rendered_part(compiled, delivery, message.event_type) if delivery.variant else ""
    context = _context(
        message_id=delivery.message_id,
        delivery_id=delivery.id,
        part=part,
        attempt=delivery.attempts,
        timestamp_s=started_at // SECOND,
        body=body,
        secrets=compiled.secrets_at(started_at),
    )
    headers = compiled.profile.headers(context)
    own_names = compiled.endpoint.header_names
    if own_names:
        headers = _renamed(headers, own_names)
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    if compiled.custom_headers:
        sent = {name.lower() for name, _ in headers}
        lines += [line for name, line in compiled.custom_headers if name not in sent]
    text = "".join(lines)
    names = tuple([name for name, _ in headers])
    has_secret = compiled.custom_headers or _is_any_secret(names)
    shown = "".join([_masked(line) for line in lines]) if has_secret else text
    number = attempt_id(delivery.id, delivery.attempts)
    text += f"Tillbell-Delivery: {delivery.id}\r\nTillbell-Attempt: {number}\r\n"
    if message.tags:
        text += hop_line(message.tags) + example_line(message.tags)
    prefix = compiled.prefix
    if message.content_type is not None and not delivery.variant:
        prefix = compiled.prefix_with(message.content_type)
    return prefix + text.encode("ascii"), shown[:SHOWN_MAX]


def _masked(line: str) -> str:
    """Return a header line without the value of a secret header."""
    name = line[: line.index(":")]
    return f"{name}: ***\r\n" if _is_secret(name) else line


def _renamed(headers: list[tuple[str, str]], own_names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the profile's headers under the endpoint's names.

    A header whose new name is taken keeps the profile's: a name is sent once (RFC 9110 5.3).
    """
    taken = {name.lower() for name, _ in headers if name not in own_names}
    renamed = []
    for name, value in headers:
        own_name = own_names.get(name, name)
        if name in own_names and own_name.lower() in taken:
            own_name = name
        taken.add(own_name.lower())
        renamed.append((own_name, value))
    return renamed


def decide(
    claim: Claim,
    compiled: CompiledEndpoint,
    reply: Reply,
    sent: Sent,
) -> JudgedAttempt:
    """Return the attempt's record and the delivery's next state."""
    result = judge(reply, compiled.success, compiled.profile.gone_statuses)
    attempt = _record(claim, compiled, reply, result, sent)
    if result is Result.ACCEPTED:
        return JudgedAttempt(_finished(claim, attempt, DeliveryState.SUCCEEDED), result, "")
    ended_at = sent.started_at + reply.duration_us
    if reply.error in OWN_FAILURES and claim.delivery.attempts <= INTERRUPTIONS_NOT_COUNTED:
        due_at = after_own_failure(claim.delivery.attempts, compiled.schedule_s, ended_at)
        finished = _finished(claim, attempt, DeliveryState.WAITING, due_at, uses_try=False)
        return JudgedAttempt(finished, result, "", counts=False)
    step = next_attempt(
        claim.delivery.tries,
        result,
        compiled.schedule_s,
        ended_at=ended_at,
        retry_after=reply.retry_after,
    )
    counts = reply.error not in OWN_FAILURES
    rest = rest_until(reply.retry_after, ended_at)
    if isinstance(step, GiveUp):
        finished = _finished(claim, attempt, DeliveryState.FAILED)
        return JudgedAttempt(finished, result, step.reason, counts, rest)
    finished = _finished(claim, attempt, DeliveryState.WAITING, step.at)
    return JudgedAttempt(finished, result, "", counts, rest)


def superseded(judged: JudgedAttempt, now: Micros) -> JudgedAttempt:
    """Judge an attempt whose endpoint was changed or resumed while it was under way.

    It says nothing about the endpoint as it is now. If it failed, the delivery is tried again at
    once, with the new URL, secrets and headers.
    """
    if judged.result is Result.ACCEPTED or not judged.counts:
        return judged._replace(counts=False)
    retried = judged.finished._replace(state=DeliveryState.WAITING, due_at=now, uses_try=False)
    return JudgedAttempt(retried, judged.result, "", counts=False)


def without_body(claim: Claim, compiled: CompiledEndpoint, started_at: Micros) -> JudgedAttempt:
    """Fail a delivery whose payload was deleted: there is nothing to send.

    One that was accepted before stays a success (`finish_attempt`), so nobody is alarmed when it
    was only to be sent again.
    """
    reply = Reply(status=0, error="payload_deleted", detail=str(MissingPayload()))
    return _unsendable(claim, compiled, reply, started_at)


def _unsendable(
    claim: Claim, compiled: CompiledEndpoint, reply: Reply, started_at: Micros
) -> JudgedAttempt:
    """Fail a delivery for which there are no bytes. It says nothing about the endpoint."""
    attempt = _record(claim, compiled, reply, Result.INTERRUPTED, Sent(started_at))
    return JudgedAttempt(
        _finished(claim, attempt, DeliveryState.FAILED, uses_try=False),
        Result.INTERRUPTED,
        gave_up=reply.error if claim.delivery.trigger is Trigger.SCHEDULED else "",
        counts=False,
    )


def broken_attempt(
    claim: Claim, compiled: CompiledEndpoint, error: Exception, started_at: Micros
) -> JudgedAttempt:
    """Record an attempt that failed by an error of this program; it is tried again."""
    detail = f"Tillbell could not make this attempt ({type(error).__name__}); see its log."
    reply = Reply(status=0, error="internal_error", detail=detail)
    return decide(claim, compiled, reply, Sent(started_at))


def _record(
    claim: Claim,
    compiled: CompiledEndpoint,
    reply: Reply,
    result: Result,
    sent: Sent,
) -> Attempt:
    delivery = claim.delivery
    return _attempt(
        id=attempt_id(delivery.id, delivery.attempts),
        delivery_id=delivery.id,
        app_id=delivery.app_id,
        endpoint_id=delivery.endpoint_id,
        message_id=delivery.message_id,
        event_type=claim.message.event_type,
        number=delivery.attempts,
        trigger=delivery.trigger,
        result=result,
        started_at=sent.started_at,
        duration_us=reply.duration_us,
        url=compiled.endpoint.url,
        status_code=reply.status,
        error=reply.error,
        detail=_detail(reply, result, compiled.success),
        response=reply.body,
        sent_headers=sent.headers,
        answer_head=reply.head[:HEAD_MAX],
        phases=f"{sent.waited} {reply.phases}" if reply.phases else "",
    )


def _detail(reply: Reply, result: Result, success: str) -> str:
    """Say what went wrong and what to do; "" if nothing did."""
    if reply.error:
        return advise_failure(reply.error, reply.detail)
    is_advised = result is not Result.ACCEPTED and not reply.detail
    return advise(reply.status, success) if is_advised else reply.detail


def _finished(
    claim: Claim,
    attempt: Attempt,
    state: DeliveryState,
    due_at: Micros = 0,
    *,
    uses_try: bool = True,
) -> FinishedAttempt:
    delivery = claim.delivery
    return _finished_attempt(
        delivery_id=delivery.id,
        token=delivery.token,
        attempt=attempt,
        state=state,
        due_at=due_at,
        order_key=delivery.order_key,
        uses_try=uses_try,
        owed_since=claim.message.deliver_at or delivery.created_at,
    )
