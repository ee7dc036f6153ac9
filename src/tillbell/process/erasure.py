"""Erasure: what names a customer is deleted everywhere, in a background task.

Orders, subscriptions and transactions keep what they are about and the money, without the person.
Messages keep their place in lists and lose their payloads; so do attempts their answers, and
callbacks their requests. Texts of steps, conflicts and manual actions that name the customer go,
and entries of the audit log read `(erased)` there. Requests to inboxes, files of scheduled exports,
and links and schedules whose filter names the customer go as a whole. What is looked for is sealed
in the task while it runs, and gone when it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from tillbell.deliver.audit import AuditWriter
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.errors import Misconfigured, NotFound
from tillbell.ids import attempt_cursor
from tillbell.model.emails import Email, Suppression
from tillbell.model.inboxes import Inbox
from tillbell.model.messages import Message
from tillbell.model.records import Task
from tillbell.model.shipments import Shipment
from tillbell.model.shop import Customer, Order, ShopDocument, Subscription
from tillbell.model.transactions import Transaction
from tillbell.process import erased_texts
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.erased_copies import (
    CopyPlaces,
    erase_alert_lines,
    erase_exported_files,
    erase_inbox_requests,
    erase_kept_filters,
    erase_task_texts,
    mentions,
)
from tillbell.process.erased_person import BATCH_SIZE, ErasedPerson, documents_of, find_person
from tillbell.process.shop_documents import PERSON_MEMBERS, mark_removed
from tillbell.receive.sealed_request import open_request
from tillbell.rules.filters.clauses import ListFilter
from tillbell.rules.traces import Traces
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import AttemptFilter, MessageFilter, Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.vault import Vault

D = TypeVar("D", bound=ShopDocument)

ERASE_CUSTOMER = "customer.erase"
_ACTOR = "erasure"
_NEVER_AGAIN = (1 << 63) - 1  # no news of a platform makes an erased customer again
_RECORDS, _MONEY, _MESSAGES, _CALLBACKS = "records", "transactions", "messages", "callbacks"
_OPERATIONAL, _COPIES, _MAILS, _AUDIT = "operational", "copies", "mails", "audit"


class CustomerEraser:
    """Erases customers."""

    def __init__(
        self,
        decisions: Decisions,
        tasks: TaskRunner,
        vault: Vault,
        audit: AuditWriter,
        places: CopyPlaces,
    ) -> None:
        self._intake, self._exports_folder = places
        self._decisions = decisions
        self._database = decisions.database
        self._config_cache = decisions.config_cache
        self._tasks = tasks
        self._vault = vault
        self._audit = audit
        tasks.register(ERASE_CUSTOMER, self._step)

    async def begin(
        self, app_id: str, id_or_uid: str, also: Iterable[str] = (), *, sees_all: bool = False
    ) -> Task:
        """Begin to erase a customer.

        `also`: more addresses and names of the person. `sees_all`: who asks may see inboxes that
        belong to no application; they are looked through too. `NotFound` if nothing here is of such
        a customer, and no address is given.
        """
        customer = await self._database.get(Customer, id_or_uid, app_id)
        uid = customer.uid or customer.id if customer is not None else id_or_uid
        person = await find_person(self._database, app_id, uid, customer, also)
        if customer is None and len(person.traces.ids) == 1 and not any(person.own[1:]):
            raise NotFound("There is no such customer.")
        sealed = self._vault.seal(person.as_text(), app_id)
        arguments = {"search": sealed, "seesAll": sees_all}
        return await self._tasks.begin(ERASE_CUSTOMER, app_id, arguments)

    # ── the steps ────────────────────────────────────────────────────────────────────────────────

    async def _step(self, task: Task) -> TaskProgress:
        sealed = task.arguments.get("search")
        if sealed is None:  # the end was stored, and not what it had done
            return TaskProgress(task.cursor, 0, is_last=True)
        person = ErasedPerson.from_text(self._vault.open(sealed, task.scope))
        phase, _, after = (task.cursor or _RECORDS).partition(" ")
        if phase == _RECORDS:
            count = await self._erase_records(task.scope, person)
            return _progress(task, _MONEY, count, "records")
        if phase == _MONEY:
            return await self._erase_money(task, person, after)
        if phase == _MESSAGES:
            return await self._erase_payloads(task, person, after)
        if phase == _OPERATIONAL:
            return await self._erase_operational(task, person, after)
        if phase == _CALLBACKS:
            return await self._erase_requests(task, person, after)
        if phase == _COPIES:
            return await self._erase_copies(task, person)
        if phase == _MAILS:
            count = await self._erase_mails(task.scope, person)
            return _progress(task, _AUDIT, count, "records")
        return await self._redact_audit_log(task, person, after)

    async def _erase_records(self, app_id: str, person: ErasedPerson) -> int:
        """Take the person out of the shop's records; remove the customer last."""
        count = 0
        for kind in (Order, Subscription):
            for record in await documents_of(
                self._database, kind, app_id, person.customer, person.emails
            ):
                count += await self._erase_document(app_id, kind, record.id, person.own)
        for order_id in sorted(person.traces.ids - person.own.ids):
            filter_ = ShopFilter(order_id=order_id)
            for shipment in await self._database.shop_records(
                Shipment, app_id, filter_, Page(BATCH_SIZE)
            ):
                count += await self._erase_shipment(app_id, shipment.id)
        return count + await self._remove_customer(app_id, person)

    async def _erase_document(self, app_id: str, kind: type[D], id_: str, own: Traces) -> bool:
        async def decide(decision: Decision) -> bool:
            record = await self._database.get(kind, id_, app_id)
            if record is None:
                return False
            rest = {name: v for name, v in record.data.items() if name not in PERSON_MEMBERS}
            data = own.without(rest)
            if data == record.data:
                return False
            now = max(decision.now, record.updated_at + 1)
            after = msgspec.structs.replace(
                record, data=data, updated_at=now, version=record.version + 1, erased_at=now
            )
            decision.write_record(after, record.version)
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _erase_shipment(self, app_id: str, id_: str) -> bool:
        async def decide(decision: Decision) -> bool:
            record = await self._database.get(Shipment, id_, app_id)
            if record is None or not record.metadata:
                return False
            after = msgspec.structs.replace(record, metadata={}, version=record.version + 1)
            decision.write_record(after, record.version)
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _remove_customer(self, app_id: str, person: ErasedPerson) -> bool:
        """Remove the customer's own record; its id alone is told, unless that is an address."""

        async def decide(decision: Decision) -> bool:
            record = await self._database.get(Customer, person.customer, app_id)
            if record is None:
                return False
            decision.remove_record(record)
            mark_removed(decision, Customer, person.customer, _NEVER_AGAIN)
            if "@" not in person.customer:
                decision.publish_about(record, "customer.deleted", {"id": person.customer})
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _erase_money(self, task: Task, person: ErasedPerson, after: str) -> TaskProgress:
        app_id = task.scope
        page = Page(BATCH_SIZE, after or None, ascending=True)
        rows = await self._database.transactions(app_id, TransactionFilter(), page)
        count = 0
        for row in rows:
            erased = await self._erase_transaction(app_id, person, row)
            texts = await erased_texts.erase_money_texts(self._database, person, row)
            count += erased or texts > 0
        if len(rows) < BATCH_SIZE:
            return _progress(task, _MESSAGES, count, "records")
        return _progress(task, f"{_MONEY} {rows[-1].id}", count, "records")

    async def _erase_transaction(self, app_id: str, person: ErasedPerson, row: Transaction) -> bool:
        if erased_texts.transaction_without(person, row) == row:
            return False

        async def decide(decision: Decision) -> bool:
            stored = await self._database.transaction(app_id, row.id)
            if stored is None:
                return False
            after = erased_texts.transaction_without(person, stored)
            if after == stored:
                return False
            decision.update_transaction(stored, after)
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _erase_payloads(self, task: Task, person: ErasedPerson, after: str) -> TaskProgress:
        app_id = task.scope
        page = Page(BATCH_SIZE, after or None, ascending=True)
        messages = await self._database.messages(app_id, MessageFilter(), page)
        count = 0
        for message in messages:
            is_erased = await self._erase_payload(person, message)
            is_erased |= await erased_texts.erase_message_labels(
                self._database, person.own, message, f"erased {task.id}"
            )
            count += is_erased
        if len(messages) < BATCH_SIZE:
            return _progress(task, _OPERATIONAL, count, "payloads")
        return _progress(task, f"{_MESSAGES} {messages[-1].id}", count, "payloads")

    async def _erase_operational(
        self, task: Task, person: ErasedPerson, after: str
    ) -> TaskProgress:
        """Erase operational webhooks about the application that name the person."""
        page = Page(BATCH_SIZE, after or None, ascending=True)
        messages = await self._database.messages(OPERATIONAL, MessageFilter(), page)
        count = 0
        for message in messages:
            body = await self._database.body(OPERATIONAL, message.id)
            if body is not None and task.scope.encode() in body:
                count += await self._erase_payload(person, message)
        if len(messages) < BATCH_SIZE:
            return _progress(task, _CALLBACKS, count, "payloads")
        return _progress(task, f"{_OPERATIONAL} {messages[-1].id}", count, "payloads")

    async def _erase_payload(self, person: ErasedPerson, message: Message) -> bool:
        app_id = message.app_id
        body = await self._database.body(app_id, message.id)
        if _is_last_word(body, person):
            return False
        is_trace = body is not None and person.traces.found_in(body)
        if is_trace:
            await self._database.expunge(app_id, message.id)
        filter_, page = AttemptFilter(message_id=message.id), Page(BATCH_SIZE, ascending=True)
        while attempts := await self._database.attempts(app_id, filter_, page):
            for attempt in attempts:
                answer = attempt.answer_head + b"\n" + attempt.response
                if is_trace or person.traces.found_in(answer):
                    await self._database.expunge_attempt(app_id, attempt.id)
            last = attempts[-1]
            page = page._replace(iterator=attempt_cursor(last.id, last.started_at))
        return is_trace

    async def _erase_requests(self, task: Task, person: ErasedPerson, after: str) -> TaskProgress:
        app_id = task.scope
        page = Page(BATCH_SIZE, after or None, ascending=True)
        callbacks = await self._database.callbacks(app_id, CallbackFilter(), page)
        count = 0
        for callback in callbacks:
            is_about = callback.transaction_id in person.traces.ids
            if is_about or await self._names(app_id, callback.id, person.traces):
                count += await self._database.expunge_callback(app_id, callback.id)
            await erased_texts.erase_callback_texts(self._database, person.own, callback)
        if len(callbacks) < BATCH_SIZE:
            return _progress(task, _COPIES, count, "callbacks")
        return _progress(task, f"{_CALLBACKS} {callbacks[-1].id}", count, "callbacks")

    async def _names(self, app_id: str, callback_id: str, traces: Traces) -> bool:
        sealed = await self._database.callback_request(app_id, callback_id)
        if sealed is None:
            return False
        try:
            request = open_request(self._vault, callback_id, sealed)
        except Misconfigured:  # sealed under a key that is lost: nobody can read it
            return False
        head = b"\n".join(
            (
                request.target.encode(),
                *(value.encode("latin-1", "replace") for _, value in request.headers),
            )
        )
        return traces.found_in(request.body) or traces.found_in(head)

    async def _erase_copies(self, task: Task, person: ErasedPerson) -> TaskProgress:
        app_id, traces, own = task.scope, person.traces, person.own
        database, config_cache = self._database, self._config_cache
        count = await erase_inbox_requests(database, self._intake, app_id, traces)
        count += await erase_exported_files(self._exports_folder, app_id, traces)
        count += await erase_kept_filters(database, config_cache, app_id, own)
        count += await erase_task_texts(database, config_cache, app_id, own, but=task.id)
        count += await erase_alert_lines(database, config_cache, own)
        rest: dict[str, Any] = {"mentionedIn": await mentions(database, app_id, own)}
        if task.arguments.get("seesAll"):
            count += await erase_inbox_requests(database, self._intake, "", traces)
        else:
            rest["inboxesNotSearched"] = len(await database.list(Inbox))
        progress = _progress(task, _MAILS, count, "copies")
        return progress._replace(report={**(progress.report or {}), **rest})

    async def _erase_mails(self, app_id: str, person: ErasedPerson) -> int:
        count = 0
        for kind in (Email, Suppression):
            page = Page(BATCH_SIZE, ascending=True)
            while rows := await self._database.list(kind, app_id, page):
                named = [r for r in rows if person.traces.found_in(msgspec.json.encode(r))]
                for row in named:
                    count += await self._config_cache.remove(kind, row.id, app_id)
                page = Page(BATCH_SIZE, rows[-1].id, ascending=True)
        return count

    async def _redact_audit_log(self, task: Task, person: ErasedPerson, after: str) -> TaskProgress:
        page = Page(BATCH_SIZE, after or None, ascending=True)
        acts = await self._database.filtered_audit(task.scope, ListFilter(), page, BATCH_SIZE)
        count = await erased_texts.redact_acts(
            self._database, self._audit, person.own, acts.rows, task.id
        )
        if acts.end is not None:
            return _progress(task, f"{_AUDIT} {acts.end}", count, "auditEntries")
        await self._forget_search(task)
        return _progress(task, _AUDIT, count, "auditEntries")._replace(is_last=True)

    async def _forget_search(self, task: Task) -> None:
        def without_search(stored: Task) -> Task:
            return msgspec.structs.replace(stored, arguments={})

        await self._config_cache.change(Task, task.scope, task.id, without_search)


def _is_last_word(body: bytes | None, person: ErasedPerson) -> bool:
    """Tell whether a payload says that the customer was deleted, and nothing else of it."""
    if body is None or b'"customer.deleted"' not in body:
        return False
    data: Any = msgspec.json.decode(body)
    return isinstance(data, dict) and data.get("data") == {"id": person.customer}


def _progress(task: Task, cursor: str, count: int, counted: str) -> TaskProgress:
    counts = Counter(task.result.get("counts", {})) + Counter({counted: count})
    report = {**task.result, "counts": dict(counts)}
    return TaskProgress(cursor, count, is_last=False, report=report)
