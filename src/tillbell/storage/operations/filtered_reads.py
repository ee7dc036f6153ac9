"""Lists with a filter: the port's `FilteredLists`, promised there.

A filter goes along the index of one of its clauses (a **walk**), or along the ids. A clause with
several values is several walks, whose rows are merged; so are the applications of lists that only
have an index by application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from tillbell.ids import attempt_cursor, first_of, read_attempt_cursor, span
from tillbell.model.audit import AuditedAct
from tillbell.model.callbacks import Callback, Outcome
from tillbell.model.messages import Attempt, Message
from tillbell.model.transactions import MoneyConflict, Transaction
from tillbell.rules.filters.clauses import FilterList, ListFilter, OneOf, Within, one_of
from tillbell.rules.filters.payload import matches_payload
from tillbell.storage.engine.methods import read
from tillbell.storage.operations import callback_rows, message_rows
from tillbell.storage.operations.audit_log import audited_act
from tillbell.storage.operations.filter_tests import BoundWhere, bound
from tillbell.storage.operations.message_reads import FOREVER, delivery_row
from tillbell.storage.operations.pages import LAST
from tillbell.storage.ports.filtered import Slice
from tillbell.storage.ports.outbound import DeliveryRow, Page
from tillbell.storage.session.connection import DbReader, Row

T = TypeVar("T")
_WALKS_MAX = 8  # values of one clause that are walks of their own
_NO_MESSAGE = "msg_!"  # sorts before every id
_ENDPOINTS_MAX = 200  # of an application, along each of which its attempts are read
_FIRST_ATTEMPT = f"atmpt_{'0' * 41}"  # sorts before every id
_PAYLOADS_AT_ONCE = 20  # payloads that are in memory to be checked


class _Walk(NamedTuple):
    """A way along an index, between two positions (exclusive)."""

    statement: str
    forms: tuple[str, ...] = ()
    app_id: str = ""
    value: str = ""  # what the index begins with
    low: str = ""
    high: str = LAST

    def within(self, low: str, high: str) -> _Walk:
        return self._replace(low=max(self.low, low), high=min(self.high, high))


class _Plan(NamedTuple):
    """The walks of a filter; `is_exact`: their rows are those of the filter."""

    walks: list[_Walk]
    is_exact: bool


class _ListRows(NamedTuple):
    """How the rows of a list are read."""

    list_: FilterList
    prefix: str
    read: Callable[[Row], Any]
    id_of: Callable[[Any], str]
    message_of: Callable[[Any], str] | None = None


_MESSAGES = _ListRows(
    FilterList.MESSAGE,
    "msg",
    message_rows.message,
    lambda message: str(message.id),
    lambda message: str(message.id),
)
_DELIVERIES = _ListRows(
    FilterList.DELIVERY,
    "dlv",
    delivery_row,
    lambda row: str(row.delivery.id),
    lambda row: str(row.message.id),
)
_ATTEMPTS = _ListRows(
    FilterList.ATTEMPT,
    "",
    message_rows.attempt,
    lambda attempt: attempt_cursor(attempt.id, attempt.started_at),
    lambda attempt: str(attempt.message_id),
)
_CALLBACKS = _ListRows(FilterList.CALLBACK, "cbk", callback_rows.callback, lambda c: str(c.id))
_TRANSACTIONS = _ListRows(
    FilterList.TRANSACTION, "trx", callback_rows.transaction, lambda t: str(t.id)
)
_AUDIT = _ListRows(FilterList.AUDIT, "aud", audited_act, lambda act: str(act.id))
_CONFLICTS = _ListRows(FilterList.CONFLICT, "cfl", callback_rows.conflict, lambda c: str(c.id))
# Whose end is a statement of its own, because it needs no message.
_ENDS = {
    "filtered_deliveries": "filtered_deliveries_end",
    "filtered_attempts": "filtered_attempts_end",
}


# ── the lists ────────────────────────────────────────────────────────────────────────────────────


@read
def filtered_messages(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[Message]:
    """Read a slice of messages."""

    def walks(scope: str | None) -> _Plan:
        if ids := _values(filter_, "id") or _message_ids(db, scope, filter_):
            base = _Walk("filtered_messages", ("of_app",), scope or "")
            return _Plan([base.within(id_[:-1], id_ + LAST) for id_ in ids], is_exact=False)
        is_exact = _covers(filter_, set())
        return _Plan([_Walk("filtered_messages", ("of_app",), scope or "")], is_exact)

    return _sliced(db, _MESSAGES, _of_scopes(db, app_id, filter_, walks), filter_, page, size)


@read
def filtered_deliveries(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[DeliveryRow]:
    """Read a slice of deliveries."""

    def walks(scope: str | None) -> _Plan:
        everywhere = _Walk("filtered_deliveries", ("everywhere",), scope or "")
        if ids := _values(filter_, "id"):
            return _Plan([everywhere.within(id_[:-1], id_ + LAST) for id_ in ids], is_exact=False)
        if ids := _message_ids(db, scope, filter_):
            return _Plan([everywhere.within(*span("dlv", id_)) for id_ in ids], is_exact=False)
        failed = "failed_" if _values(filter_, "status") == ("failed",) else ""
        covered = {"status"} if failed else set()
        if endpoints := _values(filter_, "endpoint"):
            form = f"{failed}of_endpoint"
            each = [everywhere._replace(forms=(form,), value=id_) for id_ in endpoints]
            return _Plan(each, _covers(filter_, covered | {"endpoint"}))
        if failed:
            form = "failed" if scope is None else "failed_of_app"
            return _Plan([everywhere._replace(forms=(form,))], _covers(filter_, covered))
        if scope is not None:
            of_app = _Walk("filtered_deliveries_of_app", app_id=scope)
            return _Plan([of_app], _covers(filter_, set()))
        return _Plan([everywhere], _covers(filter_, set()))

    plan = _of_scopes(db, app_id, filter_, walks, is_by_app=False)
    return _sliced(db, _DELIVERIES, plan, _within_app(app_id, filter_), page, size)


@read
def filtered_attempts(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[Attempt]:
    """Read a slice of attempts by their start."""

    def walks(scope: str | None) -> _Plan:
        covered = {"started"}
        for field in ("id", "delivery"):
            if ids := _values(filter_, field):
                return _Plan([_attempts_of(id_) for id_ in ids if "_" in id_], is_exact=False)
        if ids := _message_ids(db, scope, filter_):
            return _Plan([_attempts_of(id_) for id_ in ids], is_exact=False)
        if ids := _values(filter_, "endpoint"):
            endpoints = [(_app_of(db, scope, id_), id_) for id_ in ids]
            covered.add("endpoint")
        elif scope is not None and (in_app := _endpoints_of(db, scope)) is not None:
            endpoints = [(scope, id_) for id_ in in_app]
        else:
            everywhere = _Walk("filtered_attempts", ("everywhere",))
            return _Plan([everywhere], scope is None and _covers(filter_, covered))
        walk = _Walk("filtered_attempts", ("of_endpoint",))
        each = [walk._replace(app_id=app, value=id_) for app, id_ in endpoints]
        return _Plan(each, _covers(filter_, covered))

    plan = _of_scopes(db, app_id, filter_, walks, is_by_app=False)
    low, high = _starts(filter_)
    plan = plan._replace(walks=[walk.within(low, high) for walk in plan.walks])
    by_start = _within_app(app_id, filter_)._replace(after=None, before=None)
    return _sliced(db, _ATTEMPTS, plan, by_start, page, size)


def _attempts_of(id_: str) -> _Walk:
    """Return the walk along the attempts of a message or delivery, or along one attempt."""
    stem = f"atmpt_{id_[id_.index('_') + 1 :]}"
    return _Walk("filtered_attempts_of_id", value=stem)


def _app_of(db: DbReader, scope: str | None, endpoint_id: str) -> str:
    """Return the application of an endpoint that got deliveries; "" if none did."""
    if scope is not None:
        return scope
    return next((str(app) for (app,) in db.query("app_of_endpoint", (endpoint_id,))), "")


def _endpoints_of(db: DbReader, app_id: str) -> list[str] | None:
    """Return the endpoints, also deleted ones, of which deliveries are stored.

    None: there are so many that their attempts are sooner found among all.
    """
    rows = db.query("endpoints_with_deliveries", (app_id, _ENDPOINTS_MAX + 1))
    return [str(id_) for (id_,) in rows] if len(rows) <= _ENDPOINTS_MAX else None


def _starts(filter_: ListFilter) -> tuple[str, str]:
    """Return the positions between which a filter allows starts."""
    low, high = 0, FOREVER if filter_.before is None else filter_.before - 1
    for clause in filter_.clauses:
        match = clause.matches[0]
        if clause.field == "started" and isinstance(match, Within):
            low, high = max(low, match.low), min(high, max(match.high, -1))
    latest = 2**60 - 1  # that a position can hold
    first = attempt_cursor(_FIRST_ATTEMPT, min(low, latest))
    return first, attempt_cursor(_FIRST_ATTEMPT, min(high + 1, latest))


@read
def filtered_callbacks(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[Callback]:
    """Read a slice of callbacks."""

    def walks(scope: str | None) -> _Plan:
        everywhere = _Walk("filtered_callbacks", ("everywhere",), scope or "")
        if ids := _values(filter_, "id"):
            return _Plan([everywhere.within(id_[:-1], id_ + LAST) for id_ in ids], is_exact=False)
        if scope is None:
            return _Plan([everywhere], _covers(filter_, set()))
        for form, field in (("of_transaction", "transaction"), ("of_source", "source")):
            if values := _values(filter_, field):
                each = [everywhere._replace(forms=(form,), value=value) for value in values]
                return _Plan(each, _covers(filter_, {field}))
        outcomes = _values(filter_, "status")
        if outcomes and set(outcomes) <= set(Outcome):
            each = [everywhere._replace(forms=("of_outcome",), value=value) for value in outcomes]
            return _Plan(each, _covers(filter_, {"status"}))
        if _values(filter_, "verdict") == ("refused",):
            refused = everywhere._replace(forms=("refused",))
            return _Plan([refused], _covers(filter_, {"verdict"}))
        return _Plan([everywhere._replace(forms=("of_app",))], _covers(filter_, set()))

    plan = _of_scopes(db, app_id, filter_, walks, is_by_app=False)
    return _sliced(db, _CALLBACKS, plan, _within_app(app_id, filter_), page, size)


_TRANSACTION_WALKS = (
    ("of_reference", "reference"),
    ("of_reference", "uid"),
    ("of_reference", "order"),
    ("of_parent", "parent"),
    ("of_user", "user"),
    ("of_status", "status"),
)
_CONFLICT_WALKS = (("of_transaction", "transaction"),)


@read
def filtered_transactions(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[Transaction]:
    """Read a slice of transactions."""

    def walks(scope: str | None) -> _Plan:
        return _by_first(filter_, _Walk("filtered_transactions", ("of_app",), scope or ""))

    return _sliced(db, _TRANSACTIONS, _of_scopes(db, app_id, filter_, walks), filter_, page, size)


@read
def filtered_conflicts(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[MoneyConflict]:
    """Read a slice of conflicts."""

    def walks(scope: str | None) -> _Plan:
        of_app = _Walk("filtered_conflicts", ("of_app",), scope or "")
        is_open = _values(filter_, "status") == ("open",)
        if is_open and not _values(filter_, "transaction") and not _values(filter_, "id"):
            return _Plan([of_app._replace(forms=("open",))], _covers(filter_, {"status"}))
        return _by_first(filter_, of_app)

    return _sliced(db, _CONFLICTS, _of_scopes(db, app_id, filter_, walks), filter_, page, size)


@read
def filtered_audit(
    db: DbReader, app_id: str | None, filter_: ListFilter, page: Page, size: int
) -> Slice[AuditedAct]:
    """Read a slice of the audit log."""

    def walks(scope: str | None) -> _Plan:
        everywhere = _Walk("filtered_audit", ("everywhere",), scope or "")
        if ids := _values(filter_, "id"):
            return _Plan([everywhere.within(id_[:-1], id_ + LAST) for id_ in ids], is_exact=False)
        for form, field in (("of_target", "target"), ("of_actor", "actor")):
            if values := _values(filter_, field):
                each = [everywhere._replace(forms=(form,), value=value) for value in values]
                return _Plan(each, scope is None and _covers(filter_, {field}))
        if scope is None:
            return _Plan([everywhere], _covers(filter_, set()))
        return _Plan([everywhere._replace(forms=("of_app",))], _covers(filter_, set()))

    plan = _of_scopes(db, app_id, filter_, walks, is_by_app=False)
    return _sliced(db, _AUDIT, plan, _within_app(app_id, filter_), page, size)


# ── which walks ──────────────────────────────────────────────────────────────────────────────────


def _by_first(filter_: ListFilter, of_app: _Walk) -> _Plan:
    """Return the walks of the most selective clause that has an index by application."""
    if ids := _values(filter_, "id"):
        return _Plan([of_app.within(id_[:-1], id_ + LAST) for id_ in ids], is_exact=False)
    is_money = of_app.statement == "filtered_transactions"
    for form, field in _TRANSACTION_WALKS if is_money else _CONFLICT_WALKS:
        if values := _values(filter_, field):
            each = [of_app._replace(forms=(form,), value=value) for value in values]
            is_wider = form == "of_reference" and field != "reference"
            return _Plan(each, not is_wider and _covers(filter_, {field}))
    return _Plan([of_app], _covers(filter_, set()))


def _values(filter_: ListFilter, field: str) -> tuple[str, ...]:
    """Return the few values that a field must have one of; () if that is not said."""
    for clause in filter_.clauses:
        match = clause.matches[0]
        is_plain = clause.field == field and not clause.is_negated and len(clause.matches) == 1
        if is_plain and isinstance(match, OneOf) and len(match.values) <= _WALKS_MAX:
            return match.values
    return ()


def _message_ids(db: DbReader, scope: str | None, filter_: ListFilter) -> tuple[str, ...]:
    """Return the ids of the few messages that a filter names, by id or by event id."""
    if ids := _values(filter_, "message"):
        return tuple(id_ for id_ in ids if "_" in id_) or (_NO_MESSAGE,)
    events = _values(filter_, "event")
    if events and scope is not None:
        rows = [row for key in events for row in _named_message(db, scope, key)]
        return tuple(dict.fromkeys(str(row[0]) for row in rows)) or (_NO_MESSAGE,)
    return ()


def _named_message(db: DbReader, app_id: str, event_id: str) -> list[Row]:
    return db.query("message", {"app_id": app_id, "key": event_id})


def _covers(filter_: ListFilter, fields: set[str]) -> bool:
    """Tell whether the walks of these fields, and of the application, say all that is asked."""
    return all(
        clause.field in {*fields, "app"} and not clause.is_negated and len(clause.matches) == 1
        for clause in filter_.clauses
    ) and len({clause.field for clause in filter_.clauses}) == len(filter_.clauses)


def _of_scopes(
    db: DbReader,
    app_id: str | None,
    filter_: ListFilter,
    walks: Callable[[str | None], _Plan],
    *,
    is_by_app: bool = True,
) -> _Plan:
    """Return the walks in every application that is meant; `is_by_app`: there is no other index."""
    scopes: Iterable[str | None]
    if app_id is not None:
        scopes = [app_id]
    elif named := _values(filter_, "app"):
        scopes = named
    elif is_by_app:
        scopes = [id_ for (id_,) in db.query("application_ids")]
    else:
        scopes = [None]
    plans = [walks(scope) for scope in scopes]
    return _Plan([walk for plan in plans for walk in plan.walks], all(p.is_exact for p in plans))


def _within_app(app_id: str | None, filter_: ListFilter) -> ListFilter:
    return filter_ if app_id is None else filter_.and_(one_of("app", app_id))


# ── along the walks ──────────────────────────────────────────────────────────────────────────────


class _WalkReader(NamedTuple):
    """Reads walks in one direction."""

    db: DbReader
    table: _ListRows
    where: BoundWhere
    order: str

    def end(self, walk: _Walk, size: int) -> str | None:
        """Return the last position of a slice; None if the walk ends before."""
        bindings = self._bindings(walk) | {"limit": 1, "skip": size - 1}
        name, forms = walk.statement, ("end", self.order, *walk.forms)
        if name in _ENDS:
            name, forms = _ENDS[name], forms[1:]
        rows = self.db.query(name, bindings, *forms)
        if not rows:
            return None
        (row,) = rows
        return str(row[0]) if len(row) == 1 else attempt_cursor(str(row[1]), int(row[0]))

    def rows(self, walk: _Walk, limit: int) -> list[Any]:
        """Return rows of a walk that fit, at most `limit`."""
        if not self.where.payload:
            return self._query(walk, limit)
        fitting: list[Any] = []
        while len(fitting) < limit:
            batch = self._query(walk, _PAYLOADS_AT_ONCE)
            fitting += [row for row in batch if self._has_payload(row)]
            if len(batch) < _PAYLOADS_AT_ONCE:
                break
            walk = self.behind(walk, self.table.id_of(batch[-1]))
        return fitting[:limit]

    def behind(self, walk: _Walk, position: str) -> _Walk:
        """Return what is left of a walk behind a position."""
        if self.order == "ascending":
            return walk.within(position, LAST)
        return walk.within("", position)

    def until(self, walk: _Walk, position: str) -> _Walk:
        """Return the part of a walk up to a position, which is included."""
        if self.order == "ascending":
            return walk.within("", position + LAST)
        return walk.within(position[:-1] + chr(ord(position[-1]) - 1), LAST)

    def _query(self, walk: _Walk, limit: int) -> list[Any]:
        bindings = self._bindings(walk) | self.where.bindings | {"limit": limit, "skip": 0}
        forms = ("rows", self.order, *walk.forms)
        if walk.statement in _ENDS:
            forms = forms[1:]
        rows = self.db.query_where(walk.statement, self.where.where, bindings, *forms)
        return [self.table.read(row) for row in rows]

    def _bindings(self, walk: _Walk) -> dict[str, Any]:
        bindings: dict[str, Any] = {"app_id": walk.app_id, "walk": walk.value}
        if self.table is _ATTEMPTS:
            low_at, low = _start(walk.low)
            high_at, high = _start(walk.high)
            return bindings | {"low_at": low_at, "low": low, "high_at": high_at, "high": high}
        return bindings | {"low": walk.low, "high": walk.high} | _messages_of(walk)

    def _has_payload(self, row: Any) -> bool:
        assert self.table.message_of is not None
        app_id = (row.message if isinstance(row, DeliveryRow) else row).app_id
        rows = self.db.query("body", (app_id, self.table.message_of(row), ""))
        return matches_payload(next((body for (body,) in rows), None), self.where.payload)


def _start(position: str) -> tuple[int, str]:
    """Return start and id of a position, which may end in a letter that no id has."""
    is_after = position.endswith(LAST)
    at, id_ = read_attempt_cursor(position.removesuffix(LAST))
    return at, id_ + LAST if is_after else id_


def _messages_of(walk: _Walk) -> dict[str, str]:
    """Return bounds (included) of the messages whose deliveries a walk goes along."""

    def message_of(position: str) -> str:
        start = position.find("_") + 1
        return f"msg_{position[start : start + 26]}"

    first = message_of(walk.low) if walk.low else ""
    return {"first": first, "last": LAST if walk.high == LAST else message_of(walk.high) + LAST}


def _sliced(
    db: DbReader, table: _ListRows, plan: _Plan, filter_: ListFilter, page: Page, size: int
) -> Slice[Any]:
    """Read the next slice of all walks, as far as the one that ends first.

    Of exact walks that is a page: they are read at once, without a look for where a slice ends.
    """
    is_ascending = page.ascending is not page.backwards
    order = "ascending" if is_ascending else "descending"
    reader = _WalkReader(db, table, bound(table.list_, filter_.clauses), order)
    low = first_of(table.prefix, filter_.after) if filter_.after is not None else ""
    high = first_of(table.prefix, filter_.before) if filter_.before is not None else LAST
    walks = [walk.within(low, high) for walk in plan.walks]
    if page.iterator is not None:
        walks = [reader.behind(walk, page.iterator) for walk in walks]
    if plan.is_exact:
        length, reached = page.limit, []
    else:
        length = max(size // max(1, len(walks)), page.limit)
        reached = [end for walk in walks if (end := reader.end(walk, length)) is not None]
    end = (min(reached) if is_ascending else max(reached)) if reached else None
    rows: dict[str, Any] = {}
    last = end
    for walk in walks:
        until = walk if last is None else reader.until(walk, last)
        rows |= {table.id_of(row): row for row in reader.rows(until, page.limit)}
        if len(rows) >= page.limit:
            rows = dict(sorted(rows.items(), reverse=not is_ascending)[: page.limit])
            last = [*rows][-1]  # nothing behind it is on the page
            end = last if plan.is_exact else end
    merged = sorted(rows.items(), reverse=not is_ascending)
    return Slice([row for _, row in merged], length * len(walks), end)
