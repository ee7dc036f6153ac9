"""Messages, their deliveries, and the attempts of deliveries."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tillbell.clock import Micros


class Message(NamedTuple):
    """One published fact. It never changes. Its payload is stored apart (`OutboundStore.body`)."""

    id: str
    app_id: str
    event_type: str
    created_at: Micros
    event_id: str | None = None  # the publisher's own id; unique within the application
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    deliver_at: Micros | None = None
    order_key: str | None = None
    expires_at: Micros | None = None  # of its payload; None: by the server's retention
    content_type: str | None = None  # of a payload that is any text; None: it is a JSON object


class DeliveryState(StrEnum):
    """How a delivery stands. The first two are open: more attempts may follow."""

    WAITING = "waiting"  # due now or later: first attempt or retry
    SENDING = "sending"  # leased: an attempt is open
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # no attempt is left; it can be resent
    DISCARDED = "discarded"  # its endpoint was removed, or it was canceled by hand


class Trigger(StrEnum):
    """Why an attempt is made."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"  # a run that a person or the API began: resend, recover, replay


class Delivery(NamedTuple):
    """The duty to bring one message to one endpoint. Its id stays over retries and resends.

    `due_at` is when it may be claimed; while `SENDING` it is the end of the lease. `attempts`
    counts all attempts, `tries` those of the present run of the schedule (a resend starts a new
    run). `token` rises with each claim: a result with an old token is ignored.
    """

    id: str
    app_id: str
    endpoint_id: str
    message_id: str
    variant: str  # which of the rendered bodies; "": the payload as published
    state: DeliveryState
    due_at: Micros
    created_at: Micros
    attempts: int = 0
    tries: int = 0
    token: int = 0
    trigger: Trigger = Trigger.SCHEDULED
    started_at: Micros | None = None  # when the running attempt began
    order_key: str | None = None

    @property
    def attempts_ended(self) -> int:
        """Return how many of its attempts have ended."""
        return self.attempts - (self.state is DeliveryState.SENDING)


class Result(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    THROTTLED = "throttled"
    GONE = "gone"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    INTERRUPTED = "interrupted"


class Attempt(NamedTuple):
    """One try to send a delivery, as it ended."""

    id: str
    delivery_id: str
    app_id: str
    endpoint_id: str
    message_id: str
    event_type: str
    number: int
    trigger: Trigger
    result: Result
    started_at: Micros
    duration_us: int
    url: str = ""
    status_code: int = 0  # 0: no status line was read
    error: str = ""  # class of failure, e.g. "tls_error"; "" when accepted
    detail: str = ""  # one line for a person
    response: bytes = b""  # first 16 KiB of the body, as bytes
    sent_headers: str = ""  # header lines of the request that were its own; secrets are masked
    answer_head: bytes = b""  # first KiB of the status line and headers of the answer
    phases: str = ""  # how long it waited, and its phases that ended: `model/phases.py`

    @property
    def ended_at(self) -> Micros:
        """Return when it ended."""
        return self.started_at + self.duration_us


class AttemptEnd(NamedTuple):
    """How an attempt ended."""

    id: str
    status_code: int  # 0: there was no answer
    error: str  # class of failure; "": it answered
    detail: str  # for a person
    ended_at: Micros


# Why an attempt was not answered, as `Attempt.error`.
FAILURES = (
    "blocked_url", "blocked_address", "blocked_header", "unusable",  # as it is stored
    "dns_error", "dns_timeout", "connect_timeout", "connect_refused", "connect_error", "tls_error",
    "client_certificate_required",
    "timeout", "reset", "protocol_error",
    "overloaded", "held", "payload_deleted", "template_failed", "interrupted",
    "internal_error",  # our own
)  # fmt: skip


class Reply(NamedTuple):
    """What the HTTP client got. A receiver that fails is a value: `error` is one of `FAILURES`.

    `error` is "" if a whole status line was read; then `status` is set.
    """

    status: int
    error: str
    detail: str  # one line for a person: what happened, what to do
    body: bytes = b""  # first 16 KiB of the answer
    retry_after: str = ""  # header as received, "" if none
    duration_us: int = 0
    head: bytes = b""  # status line and headers as received; more of the answer may follow
    phases: str = ""  # how long each phase took that ended, from the name look-up on


WAITING_BODY_MAX = 8 * 1024  # bytes; a longer body is not kept in memory while it waits
READ_LATER = b""  # no body is empty


class Claim(NamedTuple):
    """A due delivery that this process has claimed, with all that an attempt needs.

    `body` is None if the payload is deleted: nothing can be sent any more. It is `READ_LATER` if it
    is longer than `WAITING_BODY_MAX`: then it is read when the attempt begins.
    """

    delivery: Delivery
    message: Message
    body: bytes | None

    @property
    def is_short(self) -> bool:
        """Whether its body may wait in memory, or there is none to send."""
        body = self.body
        return body is None or 0 < len(body) <= WAITING_BODY_MAX

    def waiting(self) -> Claim:
        """Return the claim as it is kept while it waits for its attempt."""
        return self if self.is_short else self._replace(body=READ_LATER)
