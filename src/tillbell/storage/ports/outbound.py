"""The port to the database for messages and configuration. The database is the queue and the truth.

One object (database.py) implements these protocols and those of inbound.py and cluster.py. **One
write method is one commit**: when it returns, all of it is on disk (fsync); when it raises
`StoreUnavailable` the result is unknown and a repeat is safe. No caller ever holds a transaction of
the database, and none is open during an HTTP request.

- `OutboundStore`: writes of messages and deliveries. The hot path.
- `Registry`: what users configure, as `Record`s. Four verbs.
- `OutboundReads`: look-ups and lists. They never lock, and a read that starts after a write has
  returned sees it.

Each promise below has a test of that name in tests/store, which runs over every database.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from tillbell.clock import Micros
from tillbell.model.audit import AuditedAct
from tillbell.model.endpoints import EndpointHealth
from tillbell.model.messages import (
    Attempt,
    AttemptEnd,
    Claim,
    Delivery,
    DeliveryState,
    Message,
    Trigger,
)
from tillbell.model.records import Record

R = TypeVar("R", bound=Record)
LaneKey = tuple[str, str]  # application, endpoint
LeaseKey = tuple[str, str, int]  # a claim: application, delivery, token


class IdempotencyUse(NamedTuple):
    """One use of an idempotency key: for which request, and what the request was answered."""

    key: str
    fingerprint: str  # of the request: another one may not use the key
    answer: bytes = b""  # b"": not answered yet


class Publication(NamedTuple):
    """A message with all that is stored in the same commit.

    `bodies` maps variant → bytes; variant "" is the payload as published. A delivery in state
    SENDING is leased from the start: its attempt 1 is open, and the caller sends it as soon as the
    commit has returned (hand-over in memory).
    """

    message: Message
    bodies: Mapping[str, bytes]
    deliveries: Sequence[Delivery]
    idempotency: IdempotencyUse | None = None


class PublicationStored(NamedTuple):
    """The publication is on disk."""


class DuplicateEventId(NamedTuple):
    """Nothing was stored: this event id was published before, as that message."""

    message_id: str


INTERRUPTIONS_NOT_COUNTED = 50  # first attempts of a delivery


class EndedAttempt(NamedTuple):
    """An attempt, without what was sent and answered, and how its delivery stands now."""

    attempt: Attempt
    delivery: Delivery


class MessageContent(NamedTuple):
    """What belongs to a message."""

    deliveries: list[Delivery]
    body: bytes | None  # as published; None once purged or expunged


class FinishedAttempt(NamedTuple):
    """A finished attempt of a claimed delivery, and the next state of the delivery."""

    delivery_id: str
    token: int
    attempt: Attempt
    state: DeliveryState  # WAITING for a retry, else terminal
    due_at: Micros  # of the retry; ignored when terminal
    order_key: str | None  # the delivery's own
    uses_try: bool = True  # False: it does not count in the schedule
    owed_since: Micros | None = None  # when its message was to be delivered; None: not measured


class DueLane(NamedTuple):
    """An endpoint with open deliveries."""

    app_id: str
    endpoint_id: str
    due_at: Micros  # of the first one


class DeliverySelection(NamedTuple):
    """Which deliveries a bulk operation takes. None: no restriction."""

    app_id: str
    endpoint_id: str
    since: Micros
    until: Micros
    states: tuple[DeliveryState, ...] = (DeliveryState.FAILED,)
    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    status_codes: tuple[int, int] | None = None  # last attempt's, inclusive range
    tried: bool | None = None  # of those that wait: only with attempts, or only without any


class ResendCounts(NamedTuple):
    """What became of deliveries that were to be sent again."""

    moved: int
    missing_payload: int  # their body was deleted: nothing could be sent


class MissedPeriod(NamedTuple):
    """A time in which an endpoint may have missed messages."""

    app_id: str
    endpoint_id: str
    since: Micros
    until: Micros


class Page(NamedTuple):
    """One page of a list: `limit` rows just after (backwards: before) the id `iterator`."""

    limit: int = 50
    iterator: str | None = None
    backwards: bool = False
    ascending: bool = False


ALL = Page(limit=1000, ascending=True)


class AttemptFilter(NamedTuple):
    """Which attempts of a message or endpoint are listed: `after` ≤ started at < `before`."""

    message_id: str | None = None
    endpoint_id: str | None = None
    succeeded: bool | None = None
    status_codes: tuple[int, int] | None = None
    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class MessageFilter(NamedTuple):
    """Which messages are listed: `after` ≤ time of the id < `before`, to the millisecond."""

    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class StateFilter(NamedTuple):
    """Which deliveries are listed: those in one of `states`; None: in any.

    `tried`: of those that wait only the ones with attempts, or only those without any.
    """

    states: tuple[DeliveryState, ...] | None = None
    tried: bool | None = None


ANY_STATE = StateFilter()


class DeliveryRow(NamedTuple):
    """A delivery with its message."""

    delivery: Delivery
    message: Message


class Totals(NamedTuple):
    """Deliveries by state."""

    waiting: int = 0
    sending: int = 0
    succeeded: int = 0
    failed: int = 0
    discarded: int = 0


class CountedSpan(NamedTuple):
    """Whose deliveries are counted, of messages made in `since` ≤ time < `until`."""

    app_id: str  # "": all
    endpoint_id: str | None  # None: all of the application
    since: Micros
    until: Micros


class DeliveryFacts(NamedTuple):
    """What is stored about a delivery besides itself and its message."""

    has_body: bool  # the payload of its message
    ahead: str | None  # the first open delivery of its order key; None: it has no key
    last: AttemptEnd | None  # its last attempt that has ended


RESENDABLE = (
    DeliveryState.WAITING,
    DeliveryState.SUCCEEDED,
    DeliveryState.FAILED,
    DeliveryState.DISCARDED,
)


class RotationReport(NamedTuple):
    """Partitions that were made and dropped, and those that were left because they were in use."""

    created: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()


class OutboundStore(Protocol):
    """Writes of messages and deliveries.

    `publish` and `finish_attempt` are the hot ones: plain functions that queue the write at once
    and return its future. So a caller need not wait, and no task is made for each.
    """

    def publish(
        self, publication: Publication
    ) -> Future[PublicationStored | DuplicateEventId | IdempotencyUse]:
        """Store a message, its bodies and its deliveries: all of it or nothing.

        - A second message with the same event id in an application: `DuplicateEventId`, not stored.
        - A second use of an idempotency key: not stored, and the earlier use is returned.
        - Both are noticed also between publications of one group commit.
        """
        ...

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """Lease due deliveries: at most `wanted[app_id, endpoint_id]` of each lane.

        - Due: waiting with `due_at <= now`, or leased with a lease that expired. One that is stored
          with a `due_at` long past may be found only by the next full scan (`FULL_SCAN_EVERY`).
        - The earliest due first. Of an order key only the first open one, and only while none is
          leased; one whose lease expired goes before others.
        - A body longer than `WAITING_BODY_MAX` is left out (`READ_LATER`).
        - Each claim opens an attempt: `attempts`, `tries` and `token` rise by one.
        - The attempt that an expired lease left open is closed as `interrupted`. If it was one of
          the first `INTERRUPTIONS_NOT_COUNTED`, it uses up no try.
        - No delivery is claimed twice at the same time.
        """
        ...

    def finish_attempt(self, finished: FinishedAttempt) -> Future[bool]:
        """Close the attempt of a claim and move its delivery: both or neither.

        - False, and nothing changes, if the token is not the present one or nothing is leased.
        - So the same attempt again returns False and changes nothing.
        - An expired lease is valid until the delivery is claimed again.
        - The next attempt of the run has the trigger of this one.
        - With `uses_try` False the attempt is not counted as a try of the schedule, and it does not
          fail a delivery that was accepted before: that one has succeeded.
        """
        ...

    async def renew(self, leases: Sequence[LeaseKey], lease_until: Micros) -> Sequence[str]:
        """Extend leases. Return the ids of deliveries whose lease was lost; they do not change."""
        ...

    async def release(self, leases: Sequence[LeaseKey], now: Micros) -> None:
        """Give back claims of which no byte was sent: due again now, the attempt not counted."""
        ...

    async def release_all_leases(self, now: Micros) -> int:
        """Make every leased delivery wait, due now; return how many. For a process that is alone.

        Their open attempts are closed as `interrupted` and use up no try.
        """
        ...

    async def add_deliveries(
        self, deliveries: Sequence[Delivery], bodies: Mapping[tuple[str, str], bytes]
    ) -> int:
        """Add deliveries to messages that exist; return how many were new.

        Deliveries that exist already and those of unknown messages are left out. `bodies` maps
        (message id, variant) → bytes; a body is not stored if the payload of its message is gone.
        """
        ...

    async def resend(
        self,
        app_id: str,
        delivery_ids: Sequence[str],
        now: Micros,
        trigger: Trigger = Trigger.MANUAL,
        states: Sequence[DeliveryState] = RESENDABLE,
    ) -> ResendCounts:
        """Make deliveries due now, with a new run of their schedule.

        Only those of the application and in one of `states`; never one that is being sent, and
        none whose body was deleted: they stay as they ended. A waiting one keeps its run of the
        schedule, and its place if it is due already.
        """
        ...

    async def cancel(self, app_id: str, delivery_ids: Sequence[str]) -> int:
        """End deliveries that wait without another attempt; return how many.

        One that is being sent is left to its attempt, one that has ended stays as it is. One that
        was accepted before, and was only to be sent again, has succeeded.
        """
        ...

    async def discard(self, app_id: str, endpoint_id: str, now: Micros, limit: int) -> int:
        """Discard at most `limit` open deliveries of a removed endpoint; return how many.

        One with a valid lease is left to its attempt. The attempt of an expired lease is closed as
        `interrupted`. One that was accepted before, and was only to be sent again, has succeeded.
        """
        ...

    async def expunge(self, app_id: str, message_id: str) -> bool:
        """Delete a message's payload and rendered bodies; False if there is no such message."""
        ...

    async def expunge_attempt(self, app_id: str, attempt_id: str) -> bool:
        """Replace what the receiver answered to an attempt by `EXPUNGED`.

        False if there is no such attempt.
        """
        ...

    async def purge(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
    ) -> int:
        """Delete at most `limit` rows past their retention; return how many. 0: nothing is left.

        - Bodies of messages made before `bodies_before` (or past their own `expires_at`), but not
          while an attempt uses them. A delivery that still waits for one then has failed; if it was
          accepted before, and was only to be sent again, it has succeeded.
        - Messages, ended deliveries and attempts of messages made before `history_before`. An event
          id is remembered as long as its message.
        - Uses of idempotency keys after one day.

        When a message was made, its id says.
        """
        ...

    async def purge_audit(self, *, before: Micros, limit: int) -> int:
        """Cut at most `limit` of the oldest acts off the audit log, made before a time.

        Return how many. What is left still proves itself, from the last row that was cut.
        """
        ...

    async def store_idempotent_answer(
        self, use: IdempotencyUse, now: Micros
    ) -> IdempotencyUse | None:
        """Store the answer to a use of a key; return the earlier use if it was answered before.

        A use that is stored without an answer gets this one.
        """
        ...

    async def idempotent_answer(self, key: str) -> IdempotencyUse | None:
        """Return the use of a key, with its answer if there is one; None if it was not used."""
        ...


class Registry(Protocol):
    """What users configure. Kinds are the subclasses of `Record`."""

    async def put(
        self,
        *records: Record,
        expected_version: int | Sequence[int] = 0,
        audit: Sequence[AuditedAct] | None = None,
    ) -> None:
        """Store all of `records` in one commit: new ones, or over those of `expected_version`.

        That is one version for all, or one for each.

        With them the entries of the audit log, which may also come alone.

        Nothing is stored, and it raises
        - `VersionConflict` if what is there of one has another version: it was changed, removed or,
          of a new one (0), made in the meantime;
        - `Conflict` if a `uid` is taken by another id of that kind and scope.
        """
        ...

    async def ids_named(self, kind: type[Record], id_or_uid: str) -> list[str]:
        """Return the ids of the records of a kind with that id, else with that uid, everywhere."""
        ...

    async def get(self, kind: type[R], id_or_uid: str, scope: str | None = "") -> R | None:
        """Return the record of that kind and scope by id or uid; an id wins over an equal uid.

        `scope=None`: of any scope, by its id alone.
        """
        ...

    async def get_many(self, kind: type[R], keys: Sequence[tuple[str, str]]) -> dict[str, R]:
        """Return configured records of a kind by id; of each its scope and id are given."""
        ...

    async def list(self, kind: type[R], scope: str | None = "", page: Page = ALL) -> list[R]:
        """Return records by id, newest first unless `ascending`; `scope=None`: of all scopes."""
        ...

    async def failing_endpoints(self, scope: str | None, page: Page) -> Sequence[EndpointHealth]:
        """List the health of endpoints that are failing, like `list`."""
        ...

    async def remove(
        self,
        kind: type[Record],
        id_: str,
        scope: str = "",
        audit: Sequence[AuditedAct] | None = None,
    ) -> bool:
        """Delete a record; True if it was there. With an application all in its scope goes.

        The entries of the audit log are stored with it, if it was there.
        """
        ...


class OutboundLists(Protocol):
    """Lists of messages, deliveries and attempts. Each comes in pages and uses an index."""

    async def messages(self, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
        """List messages, newest first unless `ascending`."""
        ...

    async def deliveries_of_endpoint(
        self,
        app_id: str,
        endpoint_id: str,
        filter_: MessageFilter,
        states: StateFilter,
        page: Page,
    ) -> list[DeliveryRow]:
        """List deliveries of an endpoint, newest first unless `ascending`."""
        ...

    async def attempts(self, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
        """List closed attempts of one message or one endpoint, by their start.

        The one that started last comes first, unless `ascending`. The iterator is an
        `attempt_cursor` (ids.py).
        """
        ...

    async def totals(
        self, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
    ) -> Totals:
        """Count deliveries by state, of messages made in `since` ≤ time < `until`.

        Whole hours are read from counters; of an endpoint the parts of hours at the ends are
        counted row by row. Of an application (`endpoint_id=None`) they count as whole hours.
        """
        ...

    async def totals_of(self, spans: Sequence[CountedSpan]) -> list[Totals]:
        """Do the same for each span, in one read."""
        ...

    async def attempt_ends(self, attempts: Sequence[tuple[str, str]]) -> dict[str, AttemptEnd]:
        """Return how attempts ended, by id; of each its application and id are given."""
        ...


class OutboundReads(OutboundLists, Protocol):
    """Lists and look-ups."""

    async def due_lanes(self, after: str = "", limit: int = 10_000) -> list[DueLane]:
        """Return lanes with open deliveries, by endpoint id, after that endpoint id."""
        ...

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """Return when the first open delivery of each endpoint is due, if it has any."""
        ...

    async def message(self, app_id: str, id_or_event_id: str) -> Message | None:
        """Return a message."""
        ...

    async def body(self, app_id: str, message_id: str, variant: str = "") -> bytes | None:
        """Return a payload or rendered body; None once purged or expunged."""
        ...

    async def delivery(self, app_id: str, delivery_id: str) -> DeliveryRow | None:
        """Return one delivery."""
        ...

    async def delivery_facts(self, deliveries: Sequence[Delivery]) -> dict[str, DeliveryFacts]:
        """Return what is stored about deliveries, by their ids, in one read.

        An attempt that is under way has not ended: `last` is the one before.
        """
        ...

    async def deliveries_of_message(self, app_id: str, message_id: str) -> list[Delivery]:
        """Return all deliveries of a message."""
        ...

    async def message_contents(self, messages: Sequence[Message]) -> dict[str, MessageContent]:
        """Return what belongs to messages, by their ids."""
        ...

    async def attempt(self, app_id: str, attempt_id: str) -> Attempt | None:
        """Return one closed attempt."""
        ...

    async def ended_attempts(
        self, app_id: str | None, after: Micros, limit: int
    ) -> list[EndedAttempt]:
        """Return attempts that ended after this time, in the order of their ends.

        `app_id=None`: of every application.
        """
        ...

    async def select(self, selection: DeliverySelection, after: str, limit: int) -> list[str]:
        """Return ids of deliveries that a bulk operation takes, ascending, after that id."""
        ...

    async def missing_messages(
        self, period: MissedPeriod, after: str, limit: int
    ) -> tuple[list[Message], str | None]:
        """Look at `limit` messages of a period; return those without delivery to its endpoint.

        The second value is the id to pass as `after` next; None at the end.
        """
        ...

    async def counts(self) -> Totals:
        """Count all deliveries by state, from counters that every commit updates."""
        ...
