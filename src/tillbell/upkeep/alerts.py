"""Alerts: reads what happened, and tells people by e-mail.

Nothing is added to the way of a message or callback: the leader reads the messages that are stored
anyway, those of operational webhooks among them, some seconds after they were published. What it
finds waits in a queue for each subscription, in the store. One process claims the queue, sends one
mail, and stores that it was taken; so a mail is sent once, whichever process leads. After a crash
between the two it is sent again, with the same Message-ID.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime

import msgspec

from tillbell.clock import DAY, MINUTE, SECOND, Clock, Micros, to_datetime
from tillbell.config import Settings
from tillbell.counters import Meters
from tillbell.deliver.config_cache import OPERATIONAL, ConfigCache
from tillbell.errors import NotFound, Unavailable
from tillbell.http.mail import MailError, MailServer
from tillbell.ids import first_of
from tillbell.logs import log_event
from tillbell.model.alerts import AlertKind, AlertLine, AlertQueue, AlertSubscription
from tillbell.model.messages import Message
from tillbell.profiles.base import MessageContext
from tillbell.profiles.chat import ChatNotice, notice_of, one_line
from tillbell.profiles.fields import Fields
from tillbell.rules.alerts import due_at, retry_after
from tillbell.rules.delivery.own_tags import is_for_one
from tillbell.rules.filters.clauses import ListFilter, one_of
from tillbell.storage.ports.database import Database
from tillbell.storage.ports.outbound import Page

EVERY = 10 * SECOND
SETTLED_AFTER = 5 * SECOND  # a message may be stored some seconds after its id was made
READ_AT_ONCE = 100
LINES_MAX = 50  # of a queue; further ones are counted
SENT_KEPT = 60
CLAIM: Micros = 2 * MINUTE
OLDEST: Micros = DAY  # what is older when a process begins to read is not told any more
MOVED_EVERY: Micros = 5 * MINUTE  # how often an empty queue stores how far it was read
DATABASE_AFTER: Micros = MINUTE
UNSUBSCRIBE = "/unsubscribe"
_SUBJECT_MAX = 150

_OPERATIONAL_TYPES = {
    AlertKind.ENDPOINT: (
        "endpoint.failing", "endpoint.paused", "endpoint.disabled", "endpoint.recovered",
    ),
    AlertKind.DELIVERY: ("delivery.failed",),
}  # fmt: skip
READ_TYPES = frozenset(name for types in _OPERATIONAL_TYPES.values() for name in types)
_PAY_OUT_TYPES = (
    "transaction.on_hold", "transaction.declined", "transaction.failed", "transaction.conflict",
)  # fmt: skip
_TYPES = {AlertKind.CONFLICT: ("transaction.conflict",), AlertKind.PAYOUT: _PAY_OUT_TYPES}
_STATE_WORDS = {
    AlertKind.DISK: (
        "The disk is nearly full",
        "Messages and callbacks are refused until there is room.",
        "The disk has room again",
    ),
}


class _UrlHeader(UnstructuredHeader, BaseHeader):
    """A header that holds a URL, on one line: the library would encode a long one as a word."""

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _UrlHeader)
_POLICY = SMTP.clone(header_factory=_HEADERS)


class AlertSender:
    """Tells people. `run` is one round; only the leader runs it."""

    def __init__(
        self,
        *,
        database: Database,
        config_cache: ConfigCache,
        clock: Clock,
        settings: Settings,
        meters: Meters,
    ) -> None:
        self._database = database
        self._records = config_cache
        self._clock = clock
        self._settings = settings
        self._meters = meters
        self._mail_server = MailServer(settings)
        self._known: list[AlertSubscription] = []  # for the time when no store is there
        self._unavailable_since: Micros | None = None
        self._is_told = False  # that the database cannot be reached
        self._sending: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # one round at a time
        self.is_disk_low: Callable[[], bool] = lambda: False
        self.unsubscribe_token: Callable[[AlertSubscription], str]

    @property
    def is_set(self) -> bool:
        """Whether there is a mail server."""
        return self._mail_server.is_set

    async def run(self) -> None:
        """Read what happened since the last round, and send what is due."""
        if not self.is_set:
            return
        async with self._turn:
            await self._round()

    async def _round(self) -> None:
        try:
            self._known = await self._records.read_all(AlertSubscription)
            for subscription in self._known:
                with suppress(NotFound):  # it was removed meanwhile
                    await self._serve(subscription)
        except Unavailable:
            await self._without_database()
            raise
        self._unavailable_since, self._is_told = None, False

    async def test(self, subscription: AlertSubscription) -> str | None:
        """Send a mail now, whatever waits. Return why the server did not take it; None: it did."""
        if not self.is_set:
            return "No mail server is set: TILLBELL_SMTP_URL."
        now = self._clock.now()
        line = AlertLine(at=now, title="This is a test", text="Alerts come to this address.")
        try:
            await self._send(subscription, [line], f"test.{now}")
        except MailError as error:
            return str(error)
        return None

    # ── what happened ────────────────────────────────────────────────────────────────────────────

    async def _serve(self, subscription: AlertSubscription) -> None:
        until = self._clock.now() - SETTLED_AFTER
        queue = await self._database.get(AlertQueue, subscription.id, "")
        since = queue.read_until if queue is not None else subscription.created_at
        since = max(since, until - OLDEST)
        lines = await self._new_lines(subscription, since, until) if not subscription.paused else []
        states = self._states(subscription)
        is_new = queue is None or lines or states != queue.states
        if is_new or until - since > MOVED_EVERY:
            queue = await self._add(subscription, lines, states, since, until)
        assert queue is not None
        if queue.lines:
            await self._send_if_due(subscription)

    async def _new_lines(
        self, subscription: AlertSubscription, since: Micros, until: Micros
    ) -> list[AlertLine]:
        own = _types_of(subscription, _OPERATIONAL_TYPES)
        others = (*_types_of(subscription, _TYPES), *subscription.event_types)
        messages = await self._messages(OPERATIONAL, own, since, until)
        messages += await self._messages(subscription.app_id, others, since, until)
        lines = []
        for message in sorted(messages, key=lambda each: each.id):
            body = await self._database.body(message.app_id, message.id)
            if body is not None and _is_wanted(subscription, message, body):
                lines.append(self._line(message, body))
        return lines

    async def _messages(
        self, app_id: str | None, types: Iterable[str], since: Micros, until: Micros
    ) -> list[Message]:
        names = tuple(dict.fromkeys(types))
        if not names:
            return []
        filter_ = ListFilter().and_(one_of("type", *names))
        last, messages = first_of("msg", since), list[Message]()
        while len(messages) <= LINES_MAX:
            page = Page(READ_AT_ONCE, last, ascending=True)
            slice_ = await self._database.filtered_messages(
                app_id, filter_, page, READ_AT_ONCE * 50
            )
            settled = [row for row in slice_.rows if row.id < first_of("msg", until)]
            messages += [row for row in settled if not is_for_one(row.tags)]
            if slice_.end is None or len(settled) < len(slice_.rows):
                return messages
            last = slice_.end
        return messages

    def _line(self, message: Message, body: bytes) -> AlertLine:
        context = MessageContext(
            message.id, message.event_type, message.created_at, body, message.content_type
        )
        notice = notice_of(context)
        link = ""
        if self._settings.public_url and message.app_id != OPERATIONAL:
            link = f"{self._settings.public_url}/messages/{message.id}?app={message.app_id}"
        return AlertLine(at=message.created_at, title=notice.title[:200], text=_text(notice, link))

    def _states(self, subscription: AlertSubscription) -> tuple[AlertKind, ...]:
        is_low = AlertKind.DISK in subscription.kinds and self.is_disk_low()
        return (AlertKind.DISK,) if is_low else ()

    async def _add(
        self,
        subscription: AlertSubscription,
        lines: list[AlertLine],
        states: tuple[AlertKind, ...],
        since: Micros,
        until: Micros,
    ) -> AlertQueue:
        now = self._clock.now()

        def added(stored: AlertQueue | None) -> AlertQueue:
            queue = stored or AlertQueue(
                id=subscription.id, created_at=now, updated_at=now, read_until=since
            )
            if queue.read_until > since:  # another process was faster
                return queue
            waiting = [*queue.lines, *lines, *_state_lines(queue.states, states, now)]
            return msgspec.structs.replace(
                queue,
                read_until=max(until, since),
                lines=tuple(waiting[:LINES_MAX]),
                dropped=queue.dropped + max(len(waiting) - LINES_MAX, 0),
                states=states,
            )

        changed = await self._records.change_or_add(AlertQueue, "", subscription.id, added)
        return changed.record

    # ── mails ────────────────────────────────────────────────────────────────────────────────────

    async def _send_if_due(self, subscription: AlertSubscription) -> None:
        queue = await self._claimed(subscription)
        if queue is None:
            return
        sending = asyncio.get_running_loop().create_task(self._deliver(subscription, queue))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        await asyncio.shield(sending)  # a stop does not come between a mail and its record

    async def wait_idle(self) -> None:
        """Wait until the mail that is being sent is sent and recorded."""
        while self._sending:
            await asyncio.wait(set(self._sending))

    async def _deliver(self, subscription: AlertSubscription, queue: AlertQueue) -> None:
        error = ""
        try:
            await self._send(subscription, queue.lines, str(queue.number), queue.dropped)
        except MailError as failure:
            error = str(failure)
        log_event(
            "alert.failed" if error else "alert.sent",
            alert=subscription.id,
            lines=len(queue.lines),
            error=error,
        )
        self._meters.mail(is_taken=not error)
        await self._finish(queue, error)

    async def _claimed(self, subscription: AlertSubscription) -> AlertQueue | None:
        """Claim the queue if it is due; None: it is not, or another process has claimed it."""
        now = self._clock.now()

        def claimed(queue: AlertQueue) -> AlertQueue:
            at = due_at(subscription, queue, now)
            if at is None or at > now:
                return queue
            return msgspec.structs.replace(queue, claimed_until=now + CLAIM)

        changed = await self._records.change(AlertQueue, "", subscription.id, claimed)
        return changed.record if changed.record is not changed.before else None

    async def _finish(self, sent: AlertQueue, error: str) -> None:
        now = self._clock.now()

        def finished(queue: AlertQueue) -> AlertQueue:
            if error:
                failures = queue.failures + 1
                return msgspec.structs.replace(
                    queue,
                    claimed_until=0,
                    failures=failures,
                    retry_at=now + retry_after(failures),
                    last_error=error,
                )
            return msgspec.structs.replace(
                queue,
                lines=queue.lines[len(sent.lines) :],
                dropped=max(queue.dropped - sent.dropped, 0),
                number=queue.number + 1,
                claimed_until=0,
                sent_at=(*queue.sent_at, now)[-SENT_KEPT:],
                retry_at=0,
                failures=0,
                last_error="",
            )

        await self._records.change(AlertQueue, "", sent.id, finished)

    async def _send(
        self,
        subscription: AlertSubscription,
        lines: Iterable[AlertLine],
        number: str,
        dropped: int = 0,
    ) -> None:
        message = self._mail(subscription, list(lines), dropped)
        domain = self._settings.alert_from.rpartition("@")[2]
        message["Message-ID"] = f"<{subscription.id}.{number}@{domain}>"
        await self._mail_server.send(message, subscription.email)

    def _mail(
        self, subscription: AlertSubscription, lines: list[AlertLine], dropped: int
    ) -> EmailMessage:
        """Return the mail of some alerts, without its Message-ID. No payload can add a header."""
        message = EmailMessage(policy=_POLICY)
        subject = one_line(lines[0].title)[:_SUBJECT_MAX]
        count = len(lines) + dropped
        message["Subject"] = f"[Tillbell] {subject}" + (f" (and {count - 1} more)" * (count > 1))
        message["From"] = self._settings.alert_from
        message["To"] = subscription.email
        message["Date"] = format_datetime(to_datetime(self._clock.now()))
        message["Auto-Submitted"] = "auto-generated"
        url = self._unsubscribe_url(subscription)
        if url:  # mail programs show a button for these two (RFC 8058)
            message["List-Unsubscribe"] = f"<{url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        parts = [f"{line.title}\n{_utc(line.at)}\n{line.text}".strip() for line in lines]
        if dropped:
            parts.append(f"… and {dropped} more.")
        parts.append(_foot(self._settings, url))
        message.set_content("\n\n".join(parts) + "\n")
        return message

    def _unsubscribe_url(self, subscription: AlertSubscription) -> str:
        """Return a link that needs no account; "" if nobody knows our address."""
        if not self._settings.public_url:
            return ""
        token = self.unsubscribe_token(subscription)
        return f"{self._settings.public_url}{UNSUBSCRIBE}/{subscription.id}/{token}"

    async def _without_database(self) -> None:
        """Tell, once for each time, that the store has not been there for a minute."""
        now = self._clock.now()
        since = self._unavailable_since
        if since is None:
            self._unavailable_since = now
        if since is None or self._is_told or now - since < DATABASE_AFTER:
            return
        self._is_told = True
        text = "Nothing is accepted and nothing is sent until it is back."
        line = AlertLine(at=now, title="The database cannot be reached", text=text)
        for subscription in self._known:
            if AlertKind.DATABASE in subscription.kinds and not subscription.paused:
                try:
                    await self._send(subscription, [line], f"database.{since}")
                except MailError as error:
                    log_event("alert.failed", alert=subscription.id, lines=1, error=str(error))


def _foot(settings: Settings, unsubscribe_url: str) -> str:
    place = f"{settings.public_url}/settings/alerts" if settings.public_url else "Settings → Alerts"
    if not unsubscribe_url:
        return f"--\nTo get fewer of these, or none: {place}"
    return f"--\nTo get none of these, without an account: {unsubscribe_url}\nFewer: {place}"


def _utc(at: Micros) -> str:
    return to_datetime(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def _text(notice: ChatNotice, link: str) -> str:
    facts = [f"{fact.label}: {fact.value}" for fact in notice.facts]
    return "\n".join(text for text in (notice.sentence[:1_000], *facts, notice.link, link) if text)


def _types_of(
    subscription: AlertSubscription, types: dict[AlertKind, tuple[str, ...]]
) -> tuple[str, ...]:
    return tuple(name for kind in subscription.kinds for name in types.get(kind, ()))


def _is_wanted(subscription: AlertSubscription, message: Message, body: bytes) -> bool:
    """Leave out endpoints of other applications, and pay-ins where pay-outs were asked for."""
    fields = Fields.of_payload(body)
    if message.app_id == OPERATIONAL:
        return subscription.app_id in (None, fields.text("appId"))
    if message.event_type in subscription.event_types:
        return True
    if message.event_type in _types_of(
        subscription, {AlertKind.CONFLICT: _TYPES[AlertKind.CONFLICT]}
    ):
        return True
    return fields.text("direction") == "pay_out"


def _state_lines(
    before: tuple[AlertKind, ...], after: tuple[AlertKind, ...], now: Micros
) -> list[AlertLine]:
    lines = []
    for kind, (title, text, well) in _STATE_WORDS.items():
        if kind in after and kind not in before:
            lines.append(AlertLine(at=now, title=title, text=text))
        if kind in before and kind not in after:
            lines.append(AlertLine(at=now, title=well, text=""))
    return lines
