"""The clauses of a filter as tests of a statement, with their bindings."""

from __future__ import annotations

from typing import Any, NamedTuple

from tillbell.rules.filters.clauses import (
    AmountWithin,
    AtPath,
    Clause,
    FilterList,
    Match,
    OneOf,
    StartsWith,
    Within,
)
from tillbell.rules.filters.payload import needles
from tillbell.storage.session.connection import json_list
from tillbell.storage.session.statements import AnyTest, FieldTest, Where

LABELS = ("channel", "tag")  # fields that are lists
REFERENCES = ("uid", "order", "merchant_reference", "psp_transaction_id")
PAYLOAD_FIELD = "data"
_BACKSLASH = b"\\"


class BoundWhere(NamedTuple):
    """The conditions of a filter, and what their parameters are bound to."""

    where: Where
    bindings: dict[str, Any]
    payload: tuple[Clause, ...]  # what only the payload says: its rows are to be checked


def bound(list_: FilterList, clauses: tuple[Clause, ...]) -> BoundWhere:
    """Return the clauses of a list as conditions of its statement."""
    tests = _Tests(list_)
    conditions = [
        AnyTest(tests.of(clause), clause.is_negated)
        for clause in clauses
        if clause.field != PAYLOAD_FIELD
    ]
    payload = tuple(clause for clause in clauses if clause.field == PAYLOAD_FIELD)
    conditions += [AnyTest(tests.holding(texts)) for texts in needles(payload)]
    return BoundWhere(tuple(conditions), tests.bindings, payload)


class _Tests:
    """Numbers the tests of a filter, and collects their bindings."""

    def __init__(self, list_: FilterList) -> None:
        self._list = list_
        self._count = 0
        self.bindings: dict[str, Any] = {}

    def of(self, clause: Clause) -> tuple[FieldTest, ...]:
        fields = REFERENCES if clause.field == "reference" else (clause.field,)
        return tuple(self._test(field, match) for match in clause.matches for field in fields)

    def holding(self, texts: tuple[bytes, ...]) -> tuple[FieldTest, ...]:
        return tuple(
            self._add("holds", "payload", {"needle": text}) for text in (*texts, _BACKSLASH)
        )

    def _test(self, field: str, match: Match) -> FieldTest:
        assert not isinstance(match, AtPath), "payloads are checked when they are read"
        if isinstance(match, OneOf):
            predicate = "any_label" if field in LABELS else "one_of"
            return self._add(predicate, field, {"values": json_list(match.values)})
        if isinstance(match, StartsWith):
            return self._add("starts_with", field, {"prefix": match.prefix})
        if isinstance(match, Within):
            return self._add("within", field, {"low": match.low, "high": match.high})
        assert isinstance(match, AmountWithin)
        values = {"values": json_list(match.currencies), "low": match.low, "high": match.high}
        return self._add("amount_within", field, values)

    def _add(self, predicate: str, field: str, values: dict[str, Any]) -> FieldTest:
        for name, value in values.items():
            self.bindings[f"{name}_{self._count}"] = value
        self._count += 1
        return FieldTest(predicate, self._list, field)
