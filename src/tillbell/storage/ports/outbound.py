"""The narrow port to the database. The database is the queue and the truth.

Three protocols; with those of books.py one object behind them (database.py). **One write
method is one commit**: when it returns, all of it is on disk (fsync); when it raises
`StoreUnavailable` the outcome is unknown and a repeat is safe. No caller ever holds a
transaction, and none is open while we speak HTTP.

- `OutboundStore`: what moves messages. Written by flow/, on the hot path.
- `Registry`: what users configure, as `Record`s. Four verbs.
- `OutboundReads`: lists for the API and pages. They never lock and may be a moment old,
  but a read that starts after a write returned sees it.

Each promise below has a test of that name in tests/store, run over every store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from tillbell.clock import Micros
from tillbell.model.messages import Attempt, Claim, Delivery, DeliveryState, Message, Trigger
from tillbell.model.records import Record

R = TypeVar("R", bound=Record)
LaneKey = tuple[str, str]  # application, endpoint
LeaseKey = tuple[str, str, int]  # a claim: application, delivery, token


class Publication(NamedTuple):
    """A message with all that its commit holds.

    `bodies` maps variant → bytes; variant "" is the payload as published.
    Deliveries in state SENDING are born leased: attempt 1 is open and the caller
    will send it as soon as the commit has returned (hand-over in memory).
    """

    message: Message
    bodies: Mapping[str, bytes]
    deliveries: Sequence[Delivery]
    idempotency: tuple[str, str, bytes] | None = None  # key, fingerprint, answer to repeat


class PublicationStored(NamedTuple):
    """The publication is on disk."""


class DuplicateEventId(NamedTuple):
    """Nothing was stored: this event id was published before, as that message."""

    message_id: str


class RepeatedRequest(NamedTuple):
    """Nothing was stored: this idempotency key was used before."""

    fingerprint: str
    answer: bytes


INTERRUPTIONS_NOT_COUNTED = 50  # attempts of a delivery


class FinishedAttempt(NamedTuple):
    """What became of a claim: the attempt, and where the delivery goes."""

    delivery_id: str
    token: int
    attempt: Attempt
    state: DeliveryState  # WAITING for a retry, else terminal
    due_at: Micros  # of the retry; ignored when terminal
    order_key: str | None  # the delivery's own


class DueLane(NamedTuple):
    """Open deliveries of one endpoint, as the directory of work lists them."""

    app_id: str
    endpoint_id: str
    due_at: Micros  # earliest


class DeliverySelection(NamedTuple):
    """Which deliveries a bulk operation takes. None means no restriction."""

    app_id: str
    endpoint_id: str
    since: Micros
    until: Micros
    states: tuple[DeliveryState, ...] = (DeliveryState.FAILED,)
    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    status_codes: tuple[int, int] | None = None  # last attempt's, inclusive range


class MissedPeriod(NamedTuple):
    """A time in which an endpoint may have missed messages."""

    app_id: str
    endpoint_id: str
    since: Micros
    until: Micros


class Page(NamedTuple):
    """How a list is cut: `limit` rows just after (backwards: before) `iterator`, in order."""

    limit: int = 50
    iterator: str | None = None
    backwards: bool = False
    ascending: bool = False


ALL = Page(limit=1000, ascending=True)


class AttemptFilter(NamedTuple):
    """What an attempt list of a message or endpoint shows: `after` ≤ attempt's start < `before`."""

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
    """What a message list shows: `after` ≤ id's time < `before`, to the millisecond."""

    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    before: Micros | None = None
    after: Micros | None = None


class DeliveryRow(NamedTuple):
    """A delivery with its message, for lists."""

    delivery: Delivery
    message: Message


class Totals(NamedTuple):
    """Deliveries by state."""

    waiting: int = 0
    sending: int = 0
    succeeded: int = 0
    failed: int = 0
    discarded: int = 0


RESENDABLE = (DeliveryState.WAITING, DeliveryState.SUCCEEDED, DeliveryState.FAILED)


class RotationReport(NamedTuple):
    """Partitions that a rotation made and dropped, and those it left because they were in use."""

    made: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()


class OutboundStore(Protocol):
    """Writes that move messages.

    `publish` and `settle` are the hot ones: plain functions that queue the write at once and
    return its future, so that a caller need not wait (and no task is made for each).
    """

    def publish(
        self, publication: Publication
    ) -> Awaitable[PublicationStored | DuplicateEventId | RepeatedRequest]:
        """Store a message, its bodies and its deliveries.

        - All of it or nothing.
        - A second message with the same event id in an application: `DuplicateEventId`, not stored.
        - The same idempotency key again stores nothing: `RepeatedRequest`.
        - Two equal publications in one group commit are seen as such.
        """
        ...

    async def claim(
        self, wanted: Mapping[LaneKey, int], now: Micros, lease_until: Micros
    ) -> list[Claim]:
        """Lease due deliveries: at most `wanted[app_id, endpoint_id]` of each lane.

        - Due: open, `due_at <= now` (long before it is stored: in `horizon.EVERY`); a lost lease.
        - Oldest due first; of an order key only the first open one, and only while none is leased
          (one whose lease ran out has begun, and goes first).
        - Each claim opens an attempt: `attempts`, `tries` and `token` rise by one.
        - The attempt that a lost lease left open is closed as `interrupted`, and its try given
          back: an interrupted one of the first `INTERRUPTIONS_NOT_COUNTED` attempts uses up no try.
        - No two claims hold one delivery.
        """
        ...

    def finish_attempt(self, settlement: FinishedAttempt) -> Awaitable[bool]:
        """Close the claim's attempt and move the delivery.

        - Both or neither.
        - False, and nothing changes, if the token is not the present one or nothing is leased.
        - The same settlement again returns False and changes nothing.
        - A lease that ran out holds until the delivery is claimed again.
        - A retry's attempt will be `scheduled`, whatever triggered this one.
        """
        ...

    async def renew(self, held: Sequence[LeaseKey], lease_until: Micros) -> Sequence[str]:
        """Extend leases; return the deliveries of lost ones, which are left alone."""
        ...

    async def release(self, held: Sequence[LeaseKey], now: Micros) -> None:
        """Give back claims of which no byte was sent: due again now, the attempt uncounted."""
        ...

    async def release_all_leases(self, now: Micros) -> int:
        """At the start of a store's sole process: make every leased delivery wait, due now.

        The attempts they had open are closed as `interrupted`, and their tries given back.
        """
        ...

    async def add_deliveries(
        self, deliveries: Sequence[Delivery], bodies: Mapping[tuple[str, str], bytes]
    ) -> int:
        """Add deliveries to messages that exist (replay of missing ones); existing ones are kept.

        `bodies` maps (message id, variant) → bytes; those of a message whose payload is gone are
        not kept. Deliveries of unknown messages are left out. Returns how many were new.
        """
        ...

    async def resend(
        self,
        app_id: str,
        delivery_ids: Sequence[str],
        now: Micros,
        trigger: Trigger = Trigger.MANUAL,
        states: Sequence[DeliveryState] = RESENDABLE,
    ) -> int:
        """Make deliveries due now, with a new run of their schedule; say how many moved.

        Only the application's, and those in one of `states`. A waiting one (its retry is brought
        forward) keeps its run, and its place if it is due already.
        One that is being sent is always left alone.
        """
        ...

    async def discard(self, app_id: str, endpoint_id: str, now: Micros, limit: int) -> int:
        """Discard at most `limit` open deliveries of a removed endpoint; say how many.

        A running lease is left to its settlement; a lost one's attempt is `interrupted`.
        """
        ...

    async def expunge(self, app_id: str, message_id: str) -> bool:
        """Delete a message's payload and rendered bodies; False if there is no such message."""
        ...

    async def expunge_attempt(self, app_id: str, attempt_id: str) -> bool:
        """Delete what the receiver answered to an attempt; False if there is no such attempt."""
        ...

    async def purge(
        self, *, bodies_before: Micros, history_before: Micros, now: Micros, limit: int
    ) -> int:
        """Delete at most `limit` rows past their time; 0 means nothing was left.

        Bodies go by message age (or instead the message's own `expires_at`), but not from under
        an attempt. A delivery that is still waiting then has failed: without its body nothing can
        be sent. Age is that of the message, as its id tells. Messages, terminal
        deliveries and attempts go by `history_before`; dedupe keys of event ids live as long as
        their message, idempotency keys one day.
        """
        ...

    async def store_idempotent_answer(
        self, key: str, fingerprint: str, answer: bytes, now: Micros
    ) -> RepeatedRequest | None:
        """Keep the answer for an idempotency key; the earlier one if it was answered before.

        An empty answer says that the key was used, and takes the place of none.
        """
        ...

    async def idempotent_answer(self, key: str) -> RepeatedRequest | None:
        """Return what an idempotency key was answered."""
        ...


class Registry(Protocol):
    """What users configure. Kinds are the subclasses of `Record`."""

    async def put(self, *records: Record, expected_version: int = 0) -> None:
        """Store all of `records` in one commit: new ones, or over those of `expected_version`.

        Nothing is stored, and it raises
        - `VersionConflict` if what is there of one has another version: it was changed, removed or,
          of a new one (0), made in the meantime;
        - `Conflict` if a `uid` is taken by another id of that kind and scope.
        """
        ...

    async def get(self, kind: type[R], id_or_uid: str, scope: str | None = "") -> R | None:
        """Return the record of that kind and scope by id or uid; an id wins over an equal uid.

        `scope=None`: of any scope, by its id alone.
        """
        ...

    async def list(self, kind: type[R], scope: str | None = "", page: Page = ALL) -> list[R]:
        """Return records sorted by id (newest first unless `ascending`); `scope=None`: of all."""
        ...

    async def remove(self, kind: type[Record], id_: str, scope: str = "") -> bool:
        """Delete one; True if it was there. Removing an application removes all in its scope."""
        ...


class OutboundLists(Protocol):
    """Lists of what went out, for people to look at. Each is cut by a `Page` and uses an index."""

    async def messages(self, app_id: str, filter_: MessageFilter, page: Page) -> list[Message]:
        """List messages, newest first unless `ascending`."""
        ...

    async def deliveries_of_endpoint(
        self,
        app_id: str,
        endpoint_id: str,
        filter_: MessageFilter,
        states: tuple[DeliveryState, ...] | None,
        page: Page,
    ) -> list[DeliveryRow]:
        """List deliveries of an endpoint with their messages."""
        ...

    async def attempts(self, app_id: str, filter_: AttemptFilter, page: Page) -> list[Attempt]:
        """List closed attempts of one message or one endpoint."""
        ...

    async def totals(
        self, app_id: str, endpoint_id: str | None, since: Micros, until: Micros
    ) -> Totals:
        """Count deliveries by state; hours of their messages that the time touches count whole."""
        ...


class OutboundReads(OutboundLists, Protocol):
    """Lists and look-ups."""

    async def due_lanes(self, after: str = "", limit: int = 10_000) -> list[DueLane]:
        """Return lanes with open deliveries, sorted by endpoint id, after that endpoint."""
        ...

    async def next_due(self, lanes: Sequence[LaneKey]) -> dict[str, Micros]:
        """Return when each endpoint's first open delivery is due; those without are left out."""
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

    async def deliveries_of_message(self, app_id: str, message_id: str) -> list[Delivery]:
        """Return all deliveries of a message (at most one an endpoint)."""
        ...

    async def attempt(self, app_id: str, attempt_id: str) -> Attempt | None:
        """Return one closed attempt."""
        ...

    async def select(self, selection: DeliverySelection, after: str, limit: int) -> list[str]:
        """Return ids of deliveries that a bulk operation takes, sorted, after that id."""
        ...

    async def missing_messages(
        self, gap: MissedPeriod, after: str, limit: int
    ) -> tuple[list[Message], str | None]:
        """Look at `limit` messages in a gap; return those without delivery to its endpoint.

        The second value is the id to pass as `after` next, None at the end.
        """
        ...

    async def counts(self) -> Totals:
        """Count all deliveries by state from counters that every commit keeps."""
        ...
