"""The copying of a move: table by table in the order of keys, batch by batch.

A batch and the position it came to are stored in one commit of the target, and only if the
position is still the one before. So no row is written twice, wherever the move is killed and
whichever process continues it.

**Money passes the same triggers as every other write.** Transactions are written without
transitions first; then transitions and effects follow, in order. A move has no way around the
triggers, so nobody else has one, and rows that pass are consistent: no gap, no effect without its
transition, no refund above what was captured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tillbell.errors import Misconfigured
from tillbell.storage.move.tables import LINKED, PAYMENTS, PLAIN, Key, Table
from tillbell.storage.session.connection import ConcurrentWrite, DbConnection, Row
from tillbell.storage.session.move_marks import IncomingMove
from tillbell.storage.session.transaction import Fault

BATCH_BYTES = 8 * 2**20
_SEQUENCE, _EFFECT_SEQUENCE = 2, 3  # their columns

Put = Callable[[list[Row]], object]


class CopyStage(NamedTuple):
    """One part of the copy: a table, and how its rows are written."""

    name: str
    table: Table
    put: Put


class StoreCopy:
    """Copies one store into another. `on_batch` is called with the stage and all rows so far."""

    def __init__(
        self,
        source: DbConnection,
        target: DbConnection,
        position: IncomingMove,
        *,
        batch_rows: int,
        fault: Fault,
    ) -> None:
        self._source = source
        self._target = target
        self._position = position
        self._batch_rows = batch_rows
        self._fault = fault
        self.on_batch: Callable[[str, int], object] = lambda _stage, _copied: None

    @property
    def copied(self) -> int:
        """How many rows are copied; a transaction counts as one with all that belongs to it."""
        return self._position.copied

    def run(self) -> None:
        """Copy the rows that are not there yet."""
        stages = list(self._stages())
        names = [stage.name for stage in stages]
        first = names.index(self._position.stage) if self._position.stage else 0
        for stage in stages[first:]:
            after = (
                tuple(json.loads(self._position.last_key))
                if stage.name == self._position.stage
                else None
            )
            for batch in batches(stage.table.pages(self._source, after), self._batch_rows):
                self._copy(stage, batch)

    def _stages(self) -> Iterator[CopyStage]:
        for table, statement in PLAIN.items():
            yield CopyStage(table.name, table, self._plain(statement))
        # Payments go first: a refund needs its payment, with its credit.
        yield CopyStage("payments", PAYMENTS, self._money)
        yield CopyStage("linked", LINKED, self._money)

    def _copy(self, stage: CopyStage, batch: list[Row]) -> None:
        last_key = json.dumps(stage.table.key_of(batch[-1]))
        self._fault("begin")
        self._target.query("begin")
        try:
            stage.put(batch)
            self._advance(stage.name, last_key, len(batch))
            self._fault("before commit")
            self._target.commit()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, ConcurrentWrite):
                raise Misconfigured(
                    f"The target already holds rows that are not of this move, in {stage.name}. "
                    "Give it an empty database."
                ) from error
            raise
        self._fault("after commit")
        self.on_batch(stage.name, self._position.copied)

    def _advance(self, stage: str, last_key: str, rows: int) -> None:
        at = self._position
        advanced = self._target.query(
            "advance_incoming_move", (at.id, at.stage, at.last_key, stage, last_key, rows)
        )
        if not advanced:
            raise Misconfigured("Another process is moving this store; let it finish.")
        ((copied,),) = advanced
        self._position = at._replace(stage=stage, last_key=last_key, copied=copied)

    def _roll_back(self) -> None:
        if self._target.in_transaction:
            self._target.rollback()

    # ── how a batch is written ───────────────────────────────────────────────────────────────────

    def _plain(self, statement: str) -> Put:
        return lambda batch: self._target.execute_bulk(statement, batch)

    def _money(self, batch: list[Row]) -> None:
        """Write transactions without transitions, then one transition of each after another."""
        self._target.execute_bulk("put_transaction", batch)
        ids = json.dumps([row[0] for row in batch])
        transitions = rows_by_key(self._source.query("move_steps_of", (ids,)), _SEQUENCE)
        effects = rows_by_key(self._source.query("move_effects_of", (ids,)), _EFFECT_SEQUENCE)
        for sequence in sorted(transitions):
            self._target.execute_bulk("insert_transition", transitions[sequence])
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
