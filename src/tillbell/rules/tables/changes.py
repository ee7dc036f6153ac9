"""What the rows of a table say of the shop's records, compared with what is stored.

A cell that is as an export would write it changes nothing, so a file that was exported and is
imported again has no differences. A column that the file does not have stays as it is; a cell that
is empty removes the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tillbell.model.shop import ShopDocument
from tillbell.money import format_amount, is_currency, parse_amount
from tillbell.rules.nearest import hint, nearest
from tillbell.rules.tables.cells import unmarked
from tillbell.rules.tables.columns import CellError, CellKind, Column, read
from tillbell.rules.tables.reader import TableRow
from tillbell.rules.tables.records import (
    CUSTOMERS,
    LINE,
    LINES,
    ORDERS,
    PRODUCTS,
    SKU,
    SUBSCRIPTIONS,
    UID,
    RecordTable,
    rows_of,
)

_UID_TEXT = re.compile(r"[a-zA-Z0-9\-_.:]{1,256}")
_NAMES_SHOWN = 60


class ImportKind(StrEnum):
    """What is imported."""

    ORDERS = "orders"
    PRODUCTS = "products"
    STOCK = "stock"
    CUSTOMERS = "customers"
    SUBSCRIPTIONS = "subscriptions"


_TABLES: Mapping[ImportKind, RecordTable] = {
    ImportKind.ORDERS: ORDERS,
    ImportKind.PRODUCTS: PRODUCTS,
    ImportKind.STOCK: PRODUCTS,
    ImportKind.CUSTOMERS: CUSTOMERS,
    ImportKind.SUBSCRIPTIONS: SUBSCRIPTIONS,
}
_REQUIRED: Mapping[ImportKind, tuple[str, ...]] = {  # members of a new record
    ImportKind.ORDERS: ("amount", "currency"),
    ImportKind.SUBSCRIPTIONS: ("amount", "currency"),
}
_STOCK = "stock"


NOTHING: Any = object()  # what an empty cell holds; null is a value


class TableProblem(NamedTuple):
    """A rule that a row breaks. `column` is empty if it is the row's."""

    row: int
    column: str
    text: str


class HeaderError(Exception):
    """The header of a file cannot be used."""

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = tuple(problems)


class Heading(NamedTuple):
    """Which columns a file has. `names`: of each position its column; "": it is not read."""

    kind: ImportKind
    names: tuple[str, ...]
    has_decimal_comma: bool = False

    @property
    def table(self) -> RecordTable:
        """The table of its kind."""
        return _TABLES[self.kind]


class RowGroup(NamedTuple):
    """The rows of one record. `key` is its uid; if `is_sku`, its stock keeping unit."""

    key: str
    is_sku: bool
    rows: tuple[TableRow, ...]


class Merged(NamedTuple):
    """The data of a record after an import, or what is wrong with its rows."""

    data: dict[str, Any]
    problems: list[TableProblem]


# ── the header ───────────────────────────────────────────────────────────────────────────────────


def column_names(kind: ImportKind) -> list[str]:
    """Return the names of the columns that a kind may have."""
    return [column.name for column in _TABLES[kind].columns]


def read_heading(kind: ImportKind, cells: Sequence[str], delimiter: str = ",") -> Heading:
    """Return what the header says. `HeaderError` if it cannot be used."""
    known = {name.lower(): name for name in column_names(kind)}
    names = tuple(known.get(cell.strip().lower(), "") for cell in cells)
    problems = list(_header_problems(kind, cells, names, known))
    if problems:
        raise HeaderError(problems)
    return Heading(kind, names, has_decimal_comma=delimiter == ";")


def _header_problems(
    kind: ImportKind, cells: Sequence[str], names: Sequence[str], known: Mapping[str, str]
) -> Iterator[TableProblem]:
    for cell, name in zip(cells, names, strict=True):
        shown = cell.strip()[:_NAMES_SHOWN]
        if not name and shown:
            near = nearest(shown.lower(), known)
            near = known[near] if near is not None else None
            yield TableProblem(1, shown, f"there is no column {shown!r}{hint(near)}")
    for name in dict.fromkeys(filter(None, names)):
        if names.count(name) > 1:
            yield TableProblem(1, name, f"the column {name!r} is there {names.count(name)} times")
    has_key = UID in names or (SKU in names and _TABLES[kind] is PRODUCTS)
    if not has_key:
        needed = "`uid` or `sku`" if _TABLES[kind] is PRODUCTS else "`uid`"
        yield TableProblem(1, UID, f"a column {needed} is needed: it says which record a row is")
    if kind is ImportKind.STOCK and _STOCK not in names:
        yield TableProblem(1, _STOCK, "a column `stock` is needed")


# ── groups of rows ───────────────────────────────────────────────────────────────────────────────


class Grouper:
    """Puts the rows of one record together; those of an order follow each other."""

    def __init__(self, heading: Heading) -> None:
        names = heading.names
        self._heading = heading
        self._uid = names.index(UID) if UID in names else None
        self._sku = names.index(SKU) if SKU in names and heading.table is PRODUCTS else None
        self._open: list[TableRow] = []
        self._key = ("", False)

    def add(self, rows: Iterable[TableRow]) -> tuple[list[RowGroup], list[TableProblem]]:
        """Take rows; return the records that are whole, and the rows that belong to none."""
        groups: list[RowGroup] = []
        problems: list[TableProblem] = []
        for row in rows:
            key = self._key_of(row)
            is_line = bool(self._heading.table.line) and (key == self._key or not key[0])
            if self._open and is_line:
                self._open.append(row)
                continue
            groups += self.end()
            if key[0]:
                self._key, self._open = key, [row]
            else:
                problems.append(TableProblem(row.number, UID, "must say which record the row is"))
        return groups, problems

    def end(self) -> list[RowGroup]:
        """Return the record whose rows have come, if there is one."""
        rows, self._open = tuple(self._open), []
        return [RowGroup(*self._key, rows)] if rows else []

    def _key_of(self, row: TableRow) -> tuple[str, bool]:
        uid = _cell(row, self._uid)
        if uid or self._sku is None:
            return unmarked(uid), False
        return unmarked(_cell(row, self._sku)), True


def _cell(row: TableRow, position: int | None) -> str:
    return row.cells[position] if position is not None and position < len(row.cells) else ""


# ── one record ───────────────────────────────────────────────────────────────────────────────────


class _PlacedColumn(NamedTuple):
    """A column of the file: where it stands there, and where in a row that an export writes."""

    position: int
    column: Column
    exported_at: int


class RowMerger:
    """Merges the rows of records into their data. One serves many records of a file."""

    def __init__(self, heading: Heading) -> None:
        table, names = heading.table, heading.names
        places = {column.name: number for number, column in enumerate(table.columns)}
        is_stock = heading.kind is ImportKind.STOCK
        own = {
            c.name: c
            for c in table.own
            if not c.is_read_only and (not is_stock or c.name == _STOCK)
        }
        lines = {column.name: column for column in table.line}
        self.heading = heading
        self._own = [
            _PlacedColumn(n, own[name], places[name]) for n, name in enumerate(names) if name in own
        ]
        self._lines = [
            _PlacedColumn(n, lines[name], places[name])
            for n, name in enumerate(names)
            if name in lines
        ]
        self._line_names = {placed.column.path[0] for placed in self._lines}
        self._mark = names.index(LINE) if LINE in names else None
        self._mark_exported_at = places.get(LINE, 0)
        self._amounts = [
            column.name
            for column in table.own
            if column.kind is CellKind.AMOUNT and not column.is_read_only
        ]
        self._known: dict[tuple[str, str], Any] = {}  # values by column and cell

    def merged(self, group: RowGroup, before: ShopDocument | None) -> Merged:
        """Return the data of a record after its rows.

        `before`: as it is stored; None: it is new.
        """
        problems = list(_row_problems(self.heading, group, before))
        if problems:
            return Merged({}, problems)
        stored = rows_of(self.heading.table, before) if before is not None else []
        data = dict(before.data) if before is not None else {}
        changed = set[str]()
        for position, column, exported_at in self._own:
            cell = _own_cell(group, position, column, problems)
            if stored and cell == stored[0][exported_at]:
                continue
            try:
                value = self._value(column, cell)
            except CellError as error:
                problems.append(TableProblem(group.rows[0].number, column.name, str(error)))
                continue
            _set(data, column.path, value)
            changed.add(column.path[0])
        if self._lines:
            self._merge_lines(group, stored, data, problems)
        if not problems:
            problems += self._completed(group, before, data, changed)
        return Merged(data, problems)

    def _value(self, column: Column, cell: str) -> Any:
        """Return the value of a cell; `NOTHING` if it is empty. `CellError` if it is wrong.

        Cells repeat from row to row. Values that may be changed are made anew.
        """
        if not cell:
            return NOTHING
        key = column.name, cell
        value = self._known.get(key, NOTHING)
        if value is NOTHING:
            value = read(column, cell, has_decimal_comma=self.heading.has_decimal_comma)
            if not isinstance(value, list | dict):
                self._known[key] = value
        return value

    # ── lines ────────────────────────────────────────────────────────────────────────────────────

    def _merge_lines(
        self,
        group: RowGroup,
        stored: Sequence[Sequence[str]],
        data: dict[str, Any],
        problems: list[TableProblem],
    ) -> None:
        """Give an order the lines of its rows, if they differ from those that are stored."""
        mark = self._mark
        cells = [[row.cells[placed.position] for placed in self._lines] for row in group.rows]
        if (
            stored
            and cells == [[row[placed.exported_at] for placed in self._lines] for row in stored]
            and (mark is None or group.rows[0].cells[mark] == stored[0][self._mark_exported_at])
        ):
            return
        if len(group.rows) == 1 and not any(cells[0]) and _cell(group.rows[0], mark) in ("", "0"):
            data.pop(LINES, None)
            if _cell(group.rows[0], mark) == "0":
                data[LINES] = []
            return
        earlier = data.get(LINES)
        lines = earlier if isinstance(earlier, list) else []
        data[LINES] = [
            self._line(row, lines[n] if n < len(lines) else None, problems)
            for n, row in enumerate(group.rows)
        ]

    def _line(self, row: TableRow, earlier: Any, problems: list[TableProblem]) -> dict[str, Any]:
        """Return a line. What the file has no column for stays, if it is the same product."""
        line: dict[str, Any] = {}
        for position, column, _ in self._lines:
            try:
                value = self._value(column, row.cells[position])
            except CellError as error:
                problems.append(TableProblem(row.number, column.name, str(error)))
                continue
            _set_member(line, column.path[0], value)
        if not isinstance(earlier, dict) or earlier.get("productId") != line.get("productId"):
            return line
        return {n: v for n, v in earlier.items() if n not in self._line_names} | line

    # ── amounts ──────────────────────────────────────────────────────────────────────────────────

    def _completed(
        self,
        group: RowGroup,
        before: ShopDocument | None,
        data: dict[str, Any],
        changed: set[str],
    ) -> Iterator[TableProblem]:
        """Make the amounts exact in their currency; yield what is missing or wrong."""
        row = group.rows[0].number
        for name in _REQUIRED.get(self.heading.kind, ()) if before is None else ():
            if data.get(name) is None:
                yield TableProblem(row, name, "is needed for a new record")
        consent = data.get("consent")
        if "consent" in changed and isinstance(consent, dict) and "isGiven" not in consent:
            text = "is needed beside the other columns of consent"
            yield TableProblem(row, "consent.isGiven", text)
        currency = data.get("currency")
        for name in self._amounts:
            if data.get(name) is not None and ("currency" in changed or name in changed):
                yield from _exact(data, name, currency, TableProblem(row, name, ""))
        before_lines = before.data.get(LINES) if before is not None else None
        if self.heading.table.line and data.get(LINES) is not before_lines:
            yield from _completed_lines(group, data)


def _row_problems(
    heading: Heading, group: RowGroup, before: ShopDocument | None
) -> Iterator[TableProblem]:
    for row in group.rows:
        if len(row.cells) < len(heading.names):
            yield TableProblem(row.number, "", "has fewer cells than the header")
        elif any(row.cells[len(heading.names) :]):
            yield TableProblem(row.number, "", "has more cells than the header")
    if before is None and _UID_TEXT.fullmatch(group.key) is None:
        text = "may have letters, digits, '-', '_', '.' and ':', at most 256"
        yield TableProblem(group.rows[0].number, SKU if group.is_sku else UID, text)
    if before is None and heading.kind is ImportKind.STOCK:
        name = SKU if group.is_sku else UID
        yield TableProblem(group.rows[0].number, name, "there is no such product")


def _own_cell(group: RowGroup, position: int, column: Column, problems: list[TableProblem]) -> str:
    cell = group.rows[0].cells[position]
    for row in group.rows[1:]:
        if row.cells[position] not in ("", cell):
            text = f"differs from row {group.rows[0].number} of the same order"
            problems.append(TableProblem(row.number, column.name, text))
    return cell


def _set(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value of a record, or remove it. An object whose last member goes, goes too."""
    name = path[0]
    if len(path) > 1:
        parent = data.get(name)
        members = dict(parent) if isinstance(parent, dict) else {}
        _set_member(members, path[1], value)
        value = members or NOTHING
    if value is None or value is NOTHING:  # a record has no null of its own
        data.pop(name, None)
    else:
        data[name] = value


def _set_member(members: dict[str, Any], name: str, value: Any) -> None:
    if value is NOTHING:
        members.pop(name, None)
    else:
        members[name] = value


def _completed_lines(group: RowGroup, data: dict[str, Any]) -> Iterator[TableProblem]:
    """Give the lines of an order their currency, and make their amounts exact."""
    lines = data.get(LINES)
    for line, row in zip(lines if isinstance(lines, list) else (), group.rows, strict=False):
        line.setdefault("currency", data.get("currency"))
        for name in ("unitPrice", "totalPrice"):
            place = TableProblem(row.number, f"line.{name}", "")
            if line.get(name) is not None:
                yield from _exact(line, name, line["currency"], place)


def _exact(
    members: dict[str, Any], name: str, currency: Any, place: TableProblem
) -> Iterator[TableProblem]:
    if not isinstance(currency, str) or not is_currency(currency):
        yield place._replace(text="needs a column `currency` with a known code")
        return
    try:
        members[name] = format_amount(parse_amount(members[name], currency), currency)
    except ValueError as error:
        yield place._replace(text=str(error))
