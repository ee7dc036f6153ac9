"""Erasure: what names a customer is deleted everywhere, in a background task.

Orders, subscriptions and transactions keep what they are about and the money, without the person.
Messages keep their place in lists and lose their payloads; so do attempts their answers, and
callbacks their requests; requests to inboxes and files of scheduled exports that name the customer
go as a whole. What is looked for is sealed in the task while it runs, and gone when it
ends.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.errors import Misconfigured, NotFound
from tillbell.ids import record_cursor
from tillbell.model.emails import Email, Suppression
from tillbell.model.messages import Message
from tillbell.model.records import Task
from tillbell.model.shop import Customer, Order, ShopDocument, Subscription
from tillbell.model.transactions import Transaction
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.erased_copies import erase_exported_files, erase_inbox_requests
from tillbell.process.shop_documents import mark_removed
from tillbell.receive.inbox_requests import InboxIntake
from tillbell.receive.sealed_request import open_request
from tillbell.rules.traces import Traces
from tillbell.storage.ports.inbound import CallbackFilter, TransactionFilter
from tillbell.storage.ports.outbound import AttemptFilter, MessageFilter, Page
from tillbell.storage.ports.shop import ShopFilter
from tillbell.vault import Vault

D = TypeVar("D", bound=ShopDocument)

ERASE_CUSTOMER = "customer.erase"
BATCH_SIZE = 100  # messages or callbacks of one step
_ACTOR = "erasure"
_PERSON = ("customer", "customerEmail", "shippingAddress", "billingAddress", "metadata")
_RECORDS, _MESSAGES, _CALLBACKS, _MAILS = "records", "messages", "callbacks", "mails"
_COPIES = "copies"


class _ErasedPerson(NamedTuple):
    """Who is looked for: the customer as others name it, and where its traces are."""

    customer: str
    emails: frozenset[str]
    traces: Traces


class CustomerEraser:
    """Erases customers."""

    def __init__(
        self,
        decisions: Decisions,
        tasks: TaskRunner,
        vault: Vault,
        intake: InboxIntake,
        *,
        exports_folder: Path,
    ) -> None:
        self._intake = intake
        self._exports_folder = exports_folder
        self._decisions = decisions
        self._database = decisions.database
        self._config_cache = decisions.config_cache
        self._tasks = tasks
        self._vault = vault
        tasks.register(ERASE_CUSTOMER, self._step)

    async def begin(self, app_id: str, id_or_uid: str) -> Task:
        """Begin to erase a customer. `NotFound` if nothing here is of such a customer."""
        customer = await self._database.get(Customer, id_or_uid, app_id)
        uid = customer.uid or customer.id if customer is not None else id_or_uid
        search = await self._search(app_id, uid, customer)
        if customer is None and len(search.traces.ids) == 1:
            raise NotFound("There is no such customer.")
        sealed = self._vault.seal(msgspec.json.encode(_plain(search)).decode(), app_id)
        return await self._tasks.begin(ERASE_CUSTOMER, app_id, {"search": sealed})

    # ── who is looked for ────────────────────────────────────────────────────────────────────────

    async def _search(self, app_id: str, uid: str, customer: Customer | None) -> _ErasedPerson:
        ids = {uid, *(() if customer is None else (customer.id,))}
        known = customer.data if customer is not None else {}
        emails = {str(known["email"]).lower()} if known.get("email") else set[str]()
        texts = {str(known["phoneNumber"])} if known.get("phoneNumber") else set[str]()
        for kind in (Order, Subscription):
            for record in await self._documents(kind, app_id, uid, frozenset(emails)):
                ids |= {record.id, record.uid or record.id}
                buyer = record.data.get("customer") or {}
                emails |= {str(buyer["email"]).lower()} if buyer.get("email") else set()
                texts |= {str(buyer["phoneNumber"])} if buyer.get("phoneNumber") else set()
        for each in await self._transactions(app_id, uid, ids):
            ids |= {each.id, each.uid or each.id, each.psp_transaction_id or each.id}
        texts = {text.lower() for text in texts | emails if len(text) > _SHORTEST}
        return _ErasedPerson(uid, frozenset(emails), Traces(frozenset(ids), frozenset(texts)))

    async def _documents(
        self, kind: type[D], app_id: str, uid: str, emails: frozenset[str]
    ) -> list[D]:
        """Return the records of a kind that are of the customer."""
        records: dict[str, D] = {}
        for text in (uid, *emails):
            page, is_last = Page(BATCH_SIZE), False
            while not is_last:
                rows = await self._database.shop_records(kind, app_id, ShopFilter(text=text), page)
                records |= {row.id: row for row in rows if _is_of(row, uid, emails)}
                is_last = len(rows) < BATCH_SIZE
                if rows:
                    page = Page(BATCH_SIZE, record_cursor(rows[-1].id, rows[-1].updated_at))
        return list(records.values())

    async def _transactions(self, app_id: str, uid: str, ids: set[str]) -> list[Transaction]:
        """Return the transactions of the customer, and those that pay its orders."""
        filters = [TransactionFilter(user_id=uid)]
        filters += [TransactionFilter(reference=id_) for id_ in sorted(ids - {uid})]
        payments: dict[str, Transaction] = {}
        for filter_ in filters:
            page = Page(BATCH_SIZE)
            while rows := await self._database.transactions(app_id, filter_, page):
                payments |= {row.id: row for row in rows}
                page = Page(BATCH_SIZE, rows[-1].id)
        linked = [
            each
            for id_ in payments
            for each in await self._database.linked_transactions(app_id, id_)
        ]
        return [*payments.values(), *linked]

    # ── the steps ────────────────────────────────────────────────────────────────────────────────

    async def _step(self, task: Task) -> TaskProgress:
        sealed = task.arguments.get("search")
        if sealed is None:  # the end was stored, and not what it had done
            return TaskProgress(task.cursor, 0, is_last=True)
        search = _read(self._vault.open(sealed, task.scope))
        phase, _, after = (task.cursor or _RECORDS).partition(" ")
        if phase == _RECORDS:
            count = await self._erase_records(task.scope, search)
            return _progress(task, _MESSAGES, count, "records")
        if phase == _MESSAGES:
            return await self._erase_payloads(task, search, after)
        if phase == _CALLBACKS:
            return await self._erase_requests(task, search, after)
        if phase == _COPIES:
            return await self._erase_copies(task, search)
        count = await self._erase_mails(task.scope, search)
        await self._forget_search(task)
        return _progress(task, phase, count, "records")._replace(is_last=True)

    async def _erase_records(self, app_id: str, search: _ErasedPerson) -> int:
        """Take the person out of its records, transactions first; remove the customer last."""
        count = 0
        for transaction in await self._transactions(
            app_id, search.customer, set(search.traces.ids)
        ):
            count += await self._erase_transaction(app_id, search, transaction.id)
        for kind in (Order, Subscription):
            for record in await self._documents(kind, app_id, search.customer, search.emails):
                count += await self._erase_document(app_id, kind, record.id)
        return count + await self._remove_customer(app_id, search)

    async def _erase_transaction(self, app_id: str, search: _ErasedPerson, id_: str) -> bool:
        async def decide(decision: Decision) -> bool:
            stored = await self._database.transaction(app_id, id_)
            if stored is None:
                return False
            user_id = None if stored.user_id == search.customer else stored.user_id
            after = stored._replace(user_id=user_id, metadata={})
            if after == stored:
                return False
            decision.update_transaction(stored, after)
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _erase_document(self, app_id: str, kind: type[D], id_: str) -> bool:
        async def decide(decision: Decision) -> bool:
            record = await self._database.get(kind, id_, app_id)
            if record is None:
                return False
            data = {name: value for name, value in record.data.items() if name not in _PERSON}
            if data == record.data:
                return False
            now = max(decision.now, record.updated_at + 1)
            after = msgspec.structs.replace(
                record, data=data, updated_at=now, version=record.version + 1
            )
            decision.write_record(after, record.version)
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _remove_customer(self, app_id: str, search: _ErasedPerson) -> bool:
        """Remove the customer's own record; its id alone is told, unless that is an address."""

        async def decide(decision: Decision) -> bool:
            record = await self._database.get(Customer, search.customer, app_id)
            if record is None:
                return False
            decision.remove_record(record)
            mark_removed(decision, Customer, search.customer, None)
            if "@" not in search.customer:
                decision.publish_about(record, "customer.deleted", {"id": search.customer})
            return True

        return await self._decisions.commit(app_id, DecidedBy(actor=_ACTOR), decide)

    async def _erase_payloads(self, task: Task, search: _ErasedPerson, after: str) -> TaskProgress:
        app_id = task.scope
        page = Page(BATCH_SIZE, after or None, ascending=True)
        messages = await self._database.messages(app_id, MessageFilter(), page)
        count = 0
        for message in messages:
            count += await self._erase_payload(search, message)
        if len(messages) < BATCH_SIZE:
            return _progress(task, _CALLBACKS, count, "payloads")
        return _progress(task, f"{_MESSAGES} {messages[-1].id}", count, "payloads")

    async def _erase_payload(self, search: _ErasedPerson, message: Message) -> bool:
        app_id = message.app_id
        body = await self._database.body(app_id, message.id)
        if _is_last_word(body, search):
            return False
        is_trace = body is not None and search.traces.found_in(body)
        if is_trace:
            await self._database.expunge(app_id, message.id)
        filter_, page = AttemptFilter(message_id=message.id), Page(BATCH_SIZE)
        for attempt in await self._database.attempts(app_id, filter_, page):
            if is_trace or search.traces.found_in(attempt.response):
                await self._database.expunge_attempt(app_id, attempt.id)
        return is_trace

    async def _erase_requests(self, task: Task, search: _ErasedPerson, after: str) -> TaskProgress:
        app_id = task.scope
        page = Page(BATCH_SIZE, after or None, ascending=True)
        callbacks = await self._database.callbacks(app_id, CallbackFilter(), page)
        count = 0
        for callback in callbacks:
            is_about = callback.transaction_id in search.traces.ids
            if is_about or await self._names(app_id, callback.id, search.traces):
                count += await self._database.expunge_callback(app_id, callback.id)
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
        return traces.found_in(request.body) or traces.found_in(request.target.encode())

    async def _erase_copies(self, task: Task, search: _ErasedPerson) -> TaskProgress:
        app_id, traces = task.scope, search.traces
        count = await erase_inbox_requests(self._database, self._intake, app_id, traces)
        count += await erase_exported_files(self._exports_folder, app_id, traces)
        return _progress(task, _MAILS, count, "copies")

    async def _erase_mails(self, app_id: str, search: _ErasedPerson) -> int:
        count = 0
        for kind in (Email, Suppression):
            page = Page(BATCH_SIZE, ascending=True)
            while rows := await self._database.list(kind, app_id, page):
                named = [r for r in rows if search.traces.found_in(msgspec.json.encode(r))]
                for row in named:
                    count += await self._config_cache.remove(kind, row.id, app_id)
                page = Page(BATCH_SIZE, rows[-1].id, ascending=True)
        return count

    async def _forget_search(self, task: Task) -> None:
        def without_search(stored: Task) -> Task:
            return msgspec.structs.replace(stored, arguments={})

        await self._config_cache.change(Task, task.scope, task.id, without_search)


_SHORTEST = 4  # characters of a text that is looked for everywhere


def _is_last_word(body: bytes | None, search: _ErasedPerson) -> bool:
    """Tell whether a payload says that the customer was deleted, and nothing else of it."""
    if body is None or b'"customer.deleted"' not in body:
        return False
    data: Any = msgspec.json.decode(body)
    return isinstance(data, dict) and data.get("data") == {"id": search.customer}


def _is_of(record: ShopDocument, uid: str, emails: frozenset[str]) -> bool:
    columns = record.columns
    return columns.customer_id == uid or (columns.email is not None and columns.email in emails)


def _progress(task: Task, cursor: str, count: int, counted: str) -> TaskProgress:
    counts = Counter(task.result.get("counts", {})) + Counter({counted: count})
    return TaskProgress(cursor, count, is_last=False, report={"counts": dict(counts)})


def _plain(search: _ErasedPerson) -> list[Any]:
    ids, texts = search.traces
    return [search.customer, sorted(search.emails), sorted(ids), sorted(texts)]


def _read(text: str) -> _ErasedPerson:
    customer, emails, ids, texts = msgspec.json.decode(text)
    return _ErasedPerson(customer, frozenset(emails), Traces(frozenset(ids), frozenset(texts)))
