"""Imports: the rows of a table become the shop's records, with what their changes publish.

Rows are decided in batches; a batch is one decision, so one commit. A file that is small is decided
at once, and if every row has to be right it is one commit as a whole. A larger one is kept in parts
and read by a background task, which first checks all rows if every row has to be right, and then
writes them; it goes on where it was after a restart, and cannot be canceled while it writes such a
file: all of it is written, or nothing. What a row does not change is not written, so a part that is
done again does nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tillbell.deliver.tasks import TaskProgress, TaskRunner
from tillbell.errors import Invalid, Problem
from tillbell.ids import IdMaker
from tillbell.model.imports import ImportPart
from tillbell.model.records import Task, TaskStatus
from tillbell.model.shop import ShopDocument
from tillbell.process.decision import DecidedBy, Decision
from tillbell.process.decisions import Decisions
from tillbell.process.order_payments import create_document, expect_payments_of_new
from tillbell.process.shop_documents import News, rewrite
from tillbell.rules.tables.changes import (
    Grouper,
    HeaderError,
    Heading,
    ImportKind,
    Merged,
    RowGroup,
    RowMerger,
    TableProblem,
    column_names,
    read_heading,
)
from tillbell.rules.tables.reader import TableError, TableReader, TableRow

IMPORT = "import"
AT_ONCE = 1_000  # rows that are decided before the answer
BATCH = 250  # records of one commit
PARTS_AT_ONCE = 4  # of a large file: while one is written, the next is decided
_TURN = 25  # records that are decided in one turn of the event loop: a few milliseconds
PROBLEMS_MAX = 100  # that a report names; all are counted
_COUNTS = ("rows", "created", "changed", "unchanged", "failed")


class ImportOptions(NamedTuple):
    """How a file is imported. `skips`: a row that is wrong is left out, and the others written."""

    kind: ImportKind
    is_dry_run: bool = False
    skips: bool = False
    encoding: str | None = None


class ImportReport(NamedTuple):
    """What an import did, in records; `rows` and `failed` are rows. A dry run would do it."""

    rows: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    problems: tuple[TableProblem, ...] = ()

    def with_(self, other: ImportReport) -> ImportReport:
        """Return both together."""
        return ImportReport(
            rows=self.rows + other.rows,
            created=self.created + other.created,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            failed=self.failed + other.failed,
            problems=(self.problems + other.problems)[:PROBLEMS_MAX],
        )

    def unwritten(self) -> ImportReport:
        """Return it without what would have been done."""
        return self._replace(created=0, changed=0, unchanged=0)

    def as_plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        counts = dict(zip(_COUNTS, self, strict=False))
        return counts | {"problems": [problem._asdict() for problem in self.problems]}


class _Upload:
    """Reads a file into records, part by part."""

    def __init__(self, options: ImportOptions) -> None:
        self._kind = options.kind
        self._reader = TableReader(column_names(options.kind), options.encoding)
        self._grouper: Grouper | None = None
        self._keys = set[int]()
        self.heading: Heading | None = None
        self.report = ImportReport()

    def feed(self, data: bytes | None) -> list[RowGroup]:
        """Return the records that are whole; None: the file has ended. `Invalid` if it is wrong."""
        try:
            rows = self._reader.feed(data) if data is not None else self._reader.end()
        except TableError as error:
            raise _invalid([TableProblem(error.row, "", error.text)]) from error
        if self.heading is None and rows:
            self._begin(rows.pop(0).cells)
        if self._grouper is None:
            if data is None:
                raise _invalid([TableProblem(1, "", "the file is empty")])
            return []
        self.report = self.report._replace(rows=self.report.rows + len(rows))
        groups, problems = self._grouper.add(rows)
        groups += self._grouper.end() if data is None else []
        self.add_problems(problems)
        return [group for group in groups if self._is_first(group)]

    def _begin(self, cells: Sequence[str]) -> None:
        try:
            self.heading = read_heading(self._kind, cells, self._reader.delimiter)
        except HeaderError as error:
            raise _invalid(error.problems) from error
        self._grouper = Grouper(self.heading)

    def _is_first(self, group: RowGroup) -> bool:
        key = hash((group.key, group.is_sku))
        if key not in self._keys:
            self._keys.add(key)
            return True
        text = f"{group.key[:60]!r} is in the file already"
        self.add_problems([TableProblem(row.number, "", text) for row in group.rows])
        return False

    def add_problems(self, problems: Sequence[TableProblem]) -> None:
        """Count rows that are wrong."""
        self.report = self.report.with_(
            ImportReport(failed=len(problems), problems=tuple(problems))
        )


class _RowsAreWrong(Exception):
    """Nothing is stored, because every row has to be right."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


class Importer:
    """Imports files. `Invalid` if a file cannot be read, or its header cannot be used."""

    def __init__(self, decisions: Decisions, tasks: TaskRunner, ids: IdMaker) -> None:
        self._decisions = decisions
        self._database = decisions.database
        self._tasks = tasks
        self._ids = ids
        tasks.register(IMPORT, self._step, _is_all_or_nothing)

    async def run(
        self, app_id: str, options: ImportOptions, data: AsyncIterator[bytes], actor: str
    ) -> ImportReport | Task:
        """Import a file, and report; a large one is imported by a background task."""
        upload = _Upload(options)
        groups: list[RowGroup] = []
        parts: _StoredFile | None = None
        try:
            async for piece in _pieces(data):
                groups += upload.feed(piece)
                if parts is None and upload.report.rows > AT_ONCE:
                    parts = _StoredFile(self, app_id)
                if parts is not None:
                    groups = await parts.keep(groups, is_last=piece is None)
        except BaseException:  # the file is wrong, or the client has gone
            if parts is not None:
                await parts.discard()
            raise
        assert upload.heading is not None, "an empty file was refused"
        if parts is None:
            return await self._at_once(app_id, options, upload, groups, actor)
        return await parts.begin(options, upload, actor)

    async def _at_once(
        self,
        app_id: str,
        options: ImportOptions,
        upload: _Upload,
        groups: list[RowGroup],
        actor: str,
    ) -> ImportReport:
        heading = upload.heading
        assert heading is not None, "an empty file was refused"
        is_wrong = upload.report.failed > 0 and not options.skips
        batch = _Batch(heading, groups, skips=options.skips)
        if options.is_dry_run or is_wrong:
            report = upload.report.with_(await self._previewed(app_id, batch))
            return report if options.is_dry_run else report.unwritten()
        try:
            return upload.report.with_(await self._written(app_id, batch, actor))
        except _RowsAreWrong as wrong:
            return upload.report.with_(wrong.report).unwritten()

    # ── a batch ──────────────────────────────────────────────────────────────────────────────────

    async def _previewed(self, app_id: str, batch: _Batch) -> ImportReport:
        tolerant = batch._replace(skips=True)
        return await self._decisions.preview(app_id, lambda d: self._decide(d, tolerant))

    async def _written(self, app_id: str, batch: _Batch, actor: str) -> ImportReport:
        by = DecidedBy(actor=actor)
        return await self._decisions.commit(app_id, by, lambda d: self._decide(d, batch))

    async def _decide(self, decision: Decision, batch: _Batch) -> ImportReport:
        """Write the records of a batch; `_RowsAreWrong` if a row is and none may be."""
        kind = batch.heading.table.kind
        assert issubclass(kind, ShopDocument), "parcels are not imported"
        stored = await self._stored(decision.app_id, batch)
        uids = [group.key for group in batch.groups]
        await expect_payments_of_new(self._database, decision, kind, uids)
        counts = Counter[str]()
        problems: list[TableProblem] = []
        merger = RowMerger(batch.heading)
        for number, group in enumerate(batch.groups, 1):
            if number % _TURN == 0:
                await asyncio.sleep(0)
            records = stored.get((group.key, group.is_sku), ())
            before = records[0] if records else None
            change = _merged(merger, group, records)
            if change.problems:
                problems += change.problems
                counts["failed"] += len(group.rows)
            elif before is None:
                self._decisions.check_accepting()
                news = News(change.data)
                await create_document(self._database, decision, kind, group.key, news)
                counts["created"] += 1
            else:
                news = News(change.data)
                is_same = change.data == before.data
                after = before if is_same else rewrite(decision, before, change.data, news)
                counts["unchanged" if after is before else "changed"] += 1
        report = ImportReport(**counts, problems=tuple(problems[:PROBLEMS_MAX]))
        if problems and not batch.skips:
            raise _RowsAreWrong(report)
        return report

    async def _stored(
        self, app_id: str, batch: _Batch
    ) -> dict[tuple[str, bool], Sequence[ShopDocument]]:
        """Return the stored records of a batch by what names them in the file."""
        kind = batch.heading.table.kind
        assert issubclass(kind, ShopDocument), "parcels are not imported"
        stored: dict[tuple[str, bool], list[ShopDocument]] = {}
        for is_sku in (False, True):
            keys = [group.key for group in batch.groups if group.is_sku is is_sku]
            if not keys:
                continue
            read = self._database.shop_records_with
            for record in await read(kind, app_id, keys, is_number=is_sku):
                name = record.columns.number if is_sku else record.uid
                stored.setdefault((name or "", is_sku), []).append(record)
        return {key: tuple(records) for key, records in stored.items()}

    # ── a task ───────────────────────────────────────────────────────────────────────────────────

    async def store_part(self, app_id: str, id_: str, groups: Sequence[RowGroup]) -> None:
        """Keep some rows of a file."""
        rows = tuple((row.number, tuple(row.cells)) for group in groups for row in group.rows)
        await self._decisions.config_cache.add(ImportPart(id=id_, scope=app_id, rows=rows))

    async def begin_task(self, app_id: str, arguments: dict[str, Any]) -> Task:
        """Begin to import what was kept."""
        return await self._tasks.begin(IMPORT, app_id, arguments)

    def new_file(self) -> str:
        """Return a new id, under which the parts of a file are kept."""
        return self._ids.new("imp", self._decisions.clock.now())

    async def _step(self, task: Task) -> TaskProgress:
        """Check or write some parts. The cursor is `<check or write>:<number of the first>`."""
        arguments = task.arguments
        stage, _, text = (task.cursor or _first_cursor(arguments)).partition(":")
        first = int(text)
        numbers = range(first, min(first + PARTS_AT_ONCE, arguments["parts"]))
        parts = await asyncio.gather(*(self._part(task, stage, number) for number in numbers))
        report = _report_of(task)
        for of_part, _ in parts:
            report = report.with_(of_part)
        following, is_last = _following(arguments, stage, first + len(numbers) - 1, report)
        if is_last:
            await self._discard(task)  # before it is stored that the task has ended
        rows = sum(count for _, count in parts)
        return TaskProgress(following, rows, is_last, report=_plain(report, stage))

    async def _part(self, task: Task, stage: str, number: int) -> tuple[ImportReport, int]:
        """Check or write one part; return what that did, and the number of its rows."""
        arguments = task.arguments
        part_id = f"{arguments['file']}-{number:06}"
        part = await self._database.get(ImportPart, part_id, task.scope)
        heading = Heading(
            ImportKind(arguments["kind"]), tuple(arguments["columns"]), arguments["decimalComma"]
        )
        groups = _groups_of(heading, part) if part is not None else []
        batch = _Batch(heading, groups, skips=True)
        if stage == "check":
            report = await self._previewed(task.scope, batch)
            report = report if arguments["dryRun"] else report.unwritten()
        else:
            report = await self._written(task.scope, batch, arguments["actor"])
        return report, sum(len(group.rows) for group in groups)

    async def remove_ended(self) -> None:
        """Remove the files of tasks that were canceled or have failed."""
        for task in await self._decisions.config_cache.read_all(Task):
            if task.kind == IMPORT and task.status in (TaskStatus.CANCELED, TaskStatus.FAILED):
                last = f"{task.arguments['file']}-{task.arguments['parts'] - 1:06}"
                if await self._database.get(ImportPart, last, task.scope) is not None:
                    await self._discard(task)

    async def _discard(self, task: Task) -> None:
        await self.discard(task.scope, task.arguments["file"], task.arguments["parts"])

    async def discard(self, app_id: str, file: str, parts: int) -> None:
        """Remove the parts of a file."""
        for number in range(parts):
            part_id = f"{file}-{number:06}"
            await self._decisions.config_cache.remove(ImportPart, part_id, app_id)


class _Batch(NamedTuple):
    heading: Heading
    groups: Sequence[RowGroup]
    skips: bool


class _StoredFile:
    """The parts of a large file, as they are kept."""

    def __init__(self, importer: Importer, app_id: str) -> None:
        self._importer = importer
        self._app_id = app_id
        self._file = importer.new_file()
        self._number = 0

    async def keep(self, groups: list[RowGroup], *, is_last: bool) -> list[RowGroup]:
        """Keep what fills a part; return the rest."""
        while len(groups) >= BATCH or (is_last and groups):
            part, groups = groups[:BATCH], groups[BATCH:]
            part_id = f"{self._file}-{self._number:06}"
            await self._importer.store_part(self._app_id, part_id, part)
            self._number += 1
        return groups

    async def discard(self) -> None:
        """Remove what was kept."""
        await self._importer.discard(self._app_id, self._file, self._number)

    async def begin(self, options: ImportOptions, upload: _Upload, actor: str) -> Task:
        """Begin the task that reads the parts."""
        heading = upload.heading
        assert heading is not None, "an empty file was refused"
        arguments = {
            "kind": options.kind.value,
            "dryRun": options.is_dry_run,
            "onError": "skip" if options.skips else "stop",
            "columns": list(heading.names),
            "decimalComma": heading.has_decimal_comma,
            "file": self._file,
            "parts": self._number,
            "actor": actor,
            "read": upload.report.as_plain(),
        }
        return await self._importer.begin_task(self._app_id, arguments)


def _merged(merger: RowMerger, group: RowGroup, records: Sequence[ShopDocument]) -> Merged:
    if len(records) > 1:
        text = "several products have it; name the `uid`"
        return Merged({}, [TableProblem(group.rows[0].number, "sku", text)])
    return merger.merged(group, records[0] if records else None)


def _groups_of(heading: Heading, part: ImportPart) -> list[RowGroup]:
    grouper = Grouper(heading)
    rows = [TableRow(number, list(cells)) for number, cells in part.rows]
    groups, _ = grouper.add(rows)
    return groups + grouper.end()


def _is_all_or_nothing(task: Task) -> bool:
    """Tell whether a task has begun to write a file of which every row has to be right.

    All of its rows were checked, and it goes on after a crash until all are written.
    """
    is_writing = (task.cursor or _first_cursor(task.arguments)).startswith("write:")
    return is_writing and task.arguments.get("onError") == "stop"


# ── a task's report ──────────────────────────────────────────────────────────────────────────────


def _first_cursor(arguments: Mapping[str, Any]) -> str:
    is_checked = arguments["dryRun"] or arguments["onError"] == "stop"
    return "check:0" if is_checked else "write:0"


def _following(
    arguments: Mapping[str, Any], stage: str, number: int, report: ImportReport
) -> tuple[str, bool]:
    """Return the next cursor, and whether this was the last step."""
    if number + 1 < arguments["parts"]:
        return f"{stage}:{number + 1}", False
    may_write = stage == "check" and not arguments["dryRun"] and not report.failed
    return "write:0", not may_write


def _report_of(task: Task) -> ImportReport:
    plain = task.result or task.arguments["read"]
    problems = [TableProblem(**problem) for problem in plain["problems"]]
    return ImportReport(**{name: plain[name] for name in _COUNTS}, problems=tuple(problems))


def _plain(report: ImportReport, stage: str) -> dict[str, Any]:
    return report.as_plain() | {"stage": stage, "isWritten": stage == "write"}


async def _pieces(data: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """Yield the parts of a file, and None at its end."""
    async for piece in data:
        if piece:
            yield piece
    yield None


def _invalid(problems: Iterable[TableProblem]) -> Invalid:
    """Return problems of a file as those of the request."""
    return Invalid(
        *(
            Problem(("body", problem.row, *filter(None, (problem.column,))), problem.text, "csv")
            for problem in problems
        )
    )
