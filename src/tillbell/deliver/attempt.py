"""Attempt: send one claim once, judge the answer, decide what becomes of the delivery.

URL and secrets are the endpoint's present ones; the body is the one rendered when the
message was published. Nothing here touches the store: a crash between the receiver's 2xx
and our commit leaves an open attempt, which shows as `interrupted` and is made again
under the same ids.
"""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import SECOND, Micros
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.fanout import rendered_part
from tillbell.http.client import HttpClient
from tillbell.ids import attempt_id
from tillbell.model.messages import Attempt, Claim, DeliveryState, Reply, Result
from tillbell.profiles.base import AttemptContext
from tillbell.rules.delivery.advice import advise
from tillbell.rules.delivery.answers import judge
from tillbell.rules.delivery.hops import hop_line
from tillbell.rules.delivery.retry import GiveUp, next_attempt
from tillbell.storage.ports.outbound import FinishedAttempt


class JudgedAttempt(NamedTuple):
    """An attempt that ended, and what is decided."""

    finished: FinishedAttempt
    result: Result
    gave_up: str  # reason when the delivery has failed, else ""


async def make_attempt(
    claim: Claim, live: CompiledEndpoint, sender: HttpClient, started_at: Micros
) -> JudgedAttempt:
    """Send a claim to its endpoint once."""
    if claim.body is None:
        return without_body(claim, live, started_at)
    if live.target is None:
        assert live.refusal is not None
        reply = Reply(0, live.refusal.error, live.refusal.problem, b"", "", 0)
    else:
        head = _head(claim, live, claim.body, started_at)
        reply = await sender.send(live.target, head, claim.body, live.timeout_s)
    return decide(claim, live, reply, started_at)


def _head(claim: Claim, live: CompiledEndpoint, body: bytes, now: int) -> bytes:
    delivery = claim.delivery
    sending = AttemptContext(
        delivery.message_id,
        delivery.id,
        rendered_part(live, delivery, claim.message.event_type) if delivery.variant else "",
        delivery.attempts,
        now // SECOND,
        body,
        live.secrets_at(now),
    )
    headers = live.profile.headers(sending)
    renamed = live.endpoint.header_names
    if renamed:
        headers = [(renamed.get(name, name), value) for name, value in headers]
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    number = attempt_id(delivery.id, delivery.attempts)
    lines.append(f"Tillbell-Delivery: {delivery.id}\r\nTillbell-Attempt: {number}\r\n")
    if claim.message.tags:
        lines.append(hop_line(claim.message.tags))
    return live.prefix + "".join(lines).encode("ascii")


def decide(claim: Claim, live: CompiledEndpoint, reply: Reply, started_at: int) -> JudgedAttempt:
    """Turn a reply into the attempt's record and the delivery's next state."""
    result = judge(reply, live.success)
    attempt = _record(claim, live, reply, result, started_at)
    if result is Result.ACCEPTED:
        return JudgedAttempt(_finished(claim, attempt, DeliveryState.SUCCEEDED, 0), result, "")
    ended_at = started_at + reply.duration_us
    step = next_attempt(
        claim.delivery.tries,
        result,
        live.schedule_s,
        ended_at=ended_at,
        retry_after=reply.retry_after,
    )
    if isinstance(step, GiveUp):
        return JudgedAttempt(
            _finished(claim, attempt, DeliveryState.FAILED, 0), result, step.reason
        )
    return JudgedAttempt(_finished(claim, attempt, DeliveryState.WAITING, step.at), result, "")


def without_body(claim: Claim, live: CompiledEndpoint, now: int) -> JudgedAttempt:
    """Fail a delivery whose payload has been purged or expunged: there is nothing to send."""
    detail = "The payload was deleted (retention or expunge), so nothing can be sent."
    reply = Reply(0, "payload_deleted", detail, b"", "", 0)
    attempt = _record(claim, live, reply, Result.REFUSED, now)
    settlement = _finished(claim, attempt, DeliveryState.FAILED, 0)
    return JudgedAttempt(settlement, Result.REFUSED, "payload_deleted")


def broken_attempt(
    claim: Claim, live: CompiledEndpoint, error: Exception, started_at: int
) -> JudgedAttempt:
    """Record an attempt that our own program failed at; the schedule goes on."""
    detail = f"Tillbell could not make this attempt ({type(error).__name__}); see its log."
    return decide(claim, live, Reply(0, "internal_error", detail, b"", "", 0), started_at)


def _record(
    claim: Claim, live: CompiledEndpoint, reply: Reply, result: Result, started_at: int
) -> Attempt:
    delivery = claim.delivery
    is_plain = result is Result.ACCEPTED or reply.detail
    detail = reply.detail if is_plain else advise(reply.status, live.success)
    return Attempt(
        attempt_id(delivery.id, delivery.attempts),
        delivery.id,
        delivery.app_id,
        delivery.endpoint_id,
        delivery.message_id,
        claim.message.event_type,
        delivery.attempts,
        delivery.trigger,
        result,
        started_at,
        reply.duration_us,
        live.endpoint.url,
        reply.status,
        reply.error,
        detail,
        reply.body,
    )


def _finished(claim: Claim, attempt: Attempt, state: DeliveryState, due_at: int) -> FinishedAttempt:
    delivery = claim.delivery
    return FinishedAttempt(delivery.id, delivery.token, attempt, state, due_at, delivery.order_key)
