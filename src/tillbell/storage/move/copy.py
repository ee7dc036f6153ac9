"""The copying of a move: table by table in the order of keys, batch by batch.

A batch and the note of how far it came are one commit of the target, and the note is only taken
where the last one stood: whatever is killed, and whoever goes on, no row is written twice.

**Money goes the way it came.** Transactions are begun without steps; then steps and effects follow
in turn, through the same triggers that guard every other write. There is no door past them for a
move, which anybody else could find open; and that the rows pass is a proof of its own: no gap, no
effect without its step, no refund above what was captured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tillbell.errors import Misconfigured
from tillbell.storage.move.marks import IncomingMove
from tillbell.storage.move.tables import LINKED, PAYMENTS, PLAIN, Key, Table
from tillbell.storage.session.connection import ConcurrentWrite, DbConnection, Row
from tillbell.storage.session.transaction import Fault

BATCH_BYTES = 8 * 2**20
_SEQUENCE, _EFFECT_SEQUENCE = 2, 3  # where they are in their rows

Put = Callable[[list[Row]], object]


class CopyStage(NamedTuple):
    """One part of the way: what is read, and what is done with it."""

    name: str
    table: Table
    put: Put


class StoreCopy:
    """One store on its way into another. `on_batch` is told the stage, and rows copied in all."""

    def __init__(
        self,
        source: DbConnection,
        target: DbConnection,
        coming: IncomingMove,
        *,
        batch_rows: int,
        fault: Fault,
    ) -> None:
        self._source = source
        self._target = target
        self._at = coming
        self._batch_rows = batch_rows
        self._fault = fault
        self.on_batch: Callable[[str, int], object] = lambda _stage, _copied: None

    @property
    def copied(self) -> int:
        """How many rows are there; a transaction counts with its steps and effects as one."""
        return self._at.copied

    def run(self) -> None:
        """Copy what is not there yet."""
        stages = list(self._stages())
        names = [stage.name for stage in stages]
        first = names.index(self._at.stage) if self._at.stage else 0
        for stage in stages[first:]:
            after = tuple(json.loads(self._at.last_key)) if stage.name == self._at.stage else None
            for batch in batches(stage.table.pages(self._source, after), self._batch_rows):
                self._copy(stage, batch)

    def _stages(self) -> Iterator[CopyStage]:
        for table, statement in PLAIN.items():
            yield CopyStage(table.name, table, self._plain(statement))
        # A refund's parent must be there, and its credit: all payments go before what names them.
        yield CopyStage("payments", PAYMENTS, self._money)
        yield CopyStage("linked", LINKED, self._money)

    def _copy(self, stage: CopyStage, batch: list[Row]) -> None:
        last_key = json.dumps(stage.table.key_of(batch[-1]))
        self._fault("begin")
        self._target.query("begin")
        try:
            stage.put(batch)
            self._note(stage.name, last_key, len(batch))
            self._fault("before commit")
            self._target.commit()
        except BaseException as error:
            self._give_up()
            if isinstance(error, ConcurrentWrite):
                raise Misconfigured(
                    f"The target holds rows of its own that stand in the way of {stage.name}. "
                    "Give it an empty database."
                ) from error
            raise
        self._fault("after commit")
        self.on_batch(stage.name, self._at.copied)

    def _note(self, stage: str, last_key: str, rows: int) -> None:
        was = (self._at.id, self._at.stage, self._at.last_key)
        noted = self._target.query("advance_incoming_move", (*was, stage, last_key, rows))
        if not noted:
            raise Misconfigured("Another process is moving this store; let it finish.")
        self._at = self._at._replace(stage=stage, last_key=last_key, copied=noted[0][0])

    def _give_up(self) -> None:
        if self._target.in_transaction:
            self._target.rollback()

    # ── what a batch is written with ─────────────────────────────────────────────────────────────

    def _plain(self, statement: str) -> Put:
        return lambda batch: self._target.execute_bulk(statement, batch)

    def _money(self, batch: list[Row]) -> None:
        """Begin transactions, then take them all one step further at a time."""
        self._target.execute_bulk("put_transaction", batch)
        ids = json.dumps([row[0] for row in batch])
        steps = rows_by_key(self._source.query("move_steps_of", (ids,)), _SEQUENCE)
        effects = rows_by_key(self._source.query("move_effects_of", (ids,)), _EFFECT_SEQUENCE)
        for sequence in sorted(steps):
            self._target.execute_bulk("insert_transition", steps[sequence])
            if sequence in effects:
                self._target.execute_bulk("insert_effect", effects[sequence])


def batches(pages: Iterable[list[Row]], most_rows: int) -> Iterator[list[Row]]:
    """Cut rows into batches of at most `most_rows`, and not much above `BATCH_BYTES`."""
    batch: list[Row] = []
    size = 0
    for row in (row for page in pages for row in page):
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, (bytes, str)))
        if len(batch) >= most_rows or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def rows_by_key(rows: Iterable[Row], place: int) -> dict[Key | int, list[Row]]:
    """Sort rows into lists by one of their values."""
    sorted_: dict[Key | int, list[Row]] = {}
    for row in rows:
        sorted_.setdefault(row[place], []).append(row)
    return sorted_
