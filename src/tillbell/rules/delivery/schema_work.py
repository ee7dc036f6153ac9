"""How much work a JSON Schema may make of a payload. A small schema can make a great deal.

Thirty definitions of which each takes the one before it twice check one value 2^30 times, and
nothing can stop a check that has begun. So the work is counted before it begins.

A subschema either looks at the same value (`allOf`, `$ref`) or at a value inside it
(`properties`, `items`). So for each depth of a payload it can be counted how often all subschemas
together look at one value there; times the number of values is the work.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from tillbell.rules.delivery.payload import DEPTH_MAX

SUBSCHEMAS_MAX = 5_000
REFERENCES_MAX = 1_000
LOOKS_MAX = 10_000  # of all subschemas at the outermost value
WORK_MAX = 500_000  # looks at the values of one payload: about 0.15 s
_CAP = 10**9  # counts above it are not told apart
_STEPS_MAX = 2_000_000  # of counting
_METASCHEMAS = ("https://json-schema.org/", "http://json-schema.org/")
_METASCHEMA_LOOKS = 200
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# To what a keyword applies its subschemas: to the same value, to one member or item, to any.
_SAME, _PLACE, _MEMBER, _ITEM, _NOTHING = "same", "place", "member", "item", "nothing"
_APPLIES_TO = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else"), _SAME),
    **dict.fromkeys(("dependentSchemas", "dependencies"), _SAME),
    **dict.fromkeys(("properties", "prefixItems"), _PLACE),
    **dict.fromkeys(("patternProperties", "additionalProperties"), _MEMBER),
    **dict.fromkeys(("unevaluatedProperties", "propertyNames"), _MEMBER),
    **dict.fromkeys(("items", "contains", "additionalItems", "unevaluatedItems"), _ITEM),
    **dict.fromkeys(("$defs", "definitions"), _NOTHING),
}
_HOLDS_MAP = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)


class SchemaTooLarge(ValueError):
    """A schema that would make too much work; the text says why."""


class _Subschema:
    """One subschema, and the numbers of those that it applies."""

    __slots__ = ("applied", "by_place", "references", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.references: list[str] = []
        self.by_place: list[tuple[str, int]] = []  # to a named member, or an item by its index
        self.applied: dict[str, list[int]] = {_SAME: [], _MEMBER: [], _ITEM: []}

    @property
    def same(self) -> list[int]:
        """Those that it applies to the same value."""
        return self.applied[_SAME]


class SchemaWork:
    """Counts the work of one schema. `SchemaTooLarge` if it may never be used."""

    def __init__(self, schema: Any) -> None:
        self._subschemas: list[_Subschema] = []
        self._by_name: dict[str, int] = {}  # what a reference may name → subschema
        self._add(schema, "#")
        self._resolve(schema)
        self._ranks = self._outer_first()
        self._steps = 0
        self._looks = self._looks_by_depth()
        if self._looks[0] > LOOKS_MAX:
            raise SchemaTooLarge(f"It looks at one value more than {LOOKS_MAX} times.")

    def is_too_much(self, payload: bytes, value: Any) -> bool:
        """Tell whether checking a payload, decoded as `value`, would take too long."""
        values = 1 + payload.count(b",") + payload.count(b"{") + payload.count(b"[")
        if values * max(self._looks) <= WORK_MAX:
            return False
        work = 0
        for depth, count in enumerate(_values_by_depth(value)):
            work += count * self._looks[min(depth, len(self._looks) - 1)]
        return work > WORK_MAX

    def is_small(self, payload: bytes) -> bool:
        """Tell whether a check takes about a millisecond at most."""
        values = 1 + payload.count(b",") + payload.count(b"{") + payload.count(b"[")
        return values * max(self._looks) <= WORK_MAX // 200

    # ── reading the schema ───────────────────────────────────────────────────────────────────────

    def _add(self, schema: Any, pointer: str) -> int:
        number = len(self._subschemas)
        if number >= SUBSCHEMAS_MAX:
            raise SchemaTooLarge(f"It has more than {SUBSCHEMAS_MAX} subschemas.")
        self._by_name[pointer] = number
        if not isinstance(schema, Mapping):
            self._subschemas.append(_Subschema(1))
            return number
        node = _Subschema(1 + _weight(schema))
        self._subschemas.append(node)
        for keyword in ("$anchor", "$dynamicAnchor"):
            self._by_name[f"#{schema.get(keyword)}"] = number
        if isinstance(schema.get("$id"), str):
            self._by_name[schema["$id"]] = number
        node.references = [schema[k] for k in _REFERENCES if isinstance(schema.get(k), str)]
        for target, place, part, at in _parts(schema, pointer):
            applied = self._add(part, at)
            if target is _PLACE:
                node.by_place.append((place, applied))
            elif target is not _NOTHING:
                node.applied[target].append(applied)
        return number

    def _resolve(self, schema: Any) -> None:
        references = 0
        for node in self._subschemas:  # it grows where a reference names a part that is none yet
            references += len(node.references)
            if references > REFERENCES_MAX:
                raise SchemaTooLarge(f"It has more than {REFERENCES_MAX} references.")
            for reference in node.references:
                if reference.startswith(_METASCHEMAS):
                    node.weight += _METASCHEMA_LOOKS
                else:
                    node.same.append(self._target(schema, reference))

    def _target(self, schema: Any, reference: str) -> int:
        base, _, fragment = reference.partition("#")
        names = (reference, base if not fragment else "", base.rpartition("/")[2])
        for name in names:
            if name in self._by_name and not (fragment and name != reference):
                return self._by_name[name]
        if base or not fragment.startswith("/"):
            raise SchemaTooLarge(
                f"The reference {reference} is not followed: name a part of the schema by its "
                "place (#/…), its anchor or its $id."
            )
        return self._add(_part_at(schema, fragment), reference)

    def _outer_first(self) -> list[int]:
        """Rank subschemas so that each comes before those that it applies to the same value."""
        users = Counter(target for node in self._subschemas for target in node.same)
        free = [number for number in range(len(self._subschemas)) if not users[number]]
        order = []
        while free:
            number = free.pop()
            order.append(number)
            for target in self._subschemas[number].same:
                users[target] -= 1
                if not users[target]:
                    free.append(target)
        if len(order) < len(self._subschemas):
            raise SchemaTooLarge("A subschema refers to itself for the same value.")
        ranks = [0] * len(order)
        for rank, number in enumerate(order):
            ranks[number] = rank
        return ranks

    # ── counting ─────────────────────────────────────────────────────────────────────────────────

    def _looks_by_depth(self) -> list[int]:
        counts = self._spread({0: 1})
        looks = [self._total(counts)]
        while len(looks) <= DEPTH_MAX:
            inner: dict[int, int] = {}
            most = 0
            for inside in self._inside(counts):
                spread = self._spread(inside)
                most = max(most, self._total(spread))
                for number, count in spread.items():
                    inner[number] = max(count, inner.get(number, 0))
            if not most or (inner == counts and most == looks[-1]):
                break
            looks.append(most)
            counts = inner
        return looks

    def _total(self, counts: Mapping[int, int]) -> int:
        return min(_CAP, sum(self._subschemas[n].weight * c for n, c in counts.items()))

    def _spread(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Add the looks of the subschemas that are applied to the same value."""
        spread = dict(counts)
        waiting = [(self._ranks[number], number) for number in spread]
        heapq.heapify(waiting)
        while waiting:
            _, number = heapq.heappop(waiting)
            for target in self._subschemas[number].same:
                self._count_step()
                if target not in spread:
                    heapq.heappush(waiting, (self._ranks[target], target))
                spread[target] = min(_CAP, spread.get(target, 0) + spread[number])
        return spread

    def _inside(self, counts: Mapping[int, int]) -> Iterator[dict[int, int]]:
        """Yield the looks at each place inside, and at those that are named nowhere."""
        members: Counter[int] = Counter()
        items: Counter[int] = Counter()
        placed: dict[str, Counter[int]] = {}
        for number, count in counts.items():
            node = self._subschemas[number]
            for target in node.applied[_MEMBER]:
                members[target] += count
            for target in node.applied[_ITEM]:
                items[target] += count
            for place, target in node.by_place:
                self._count_step()
                placed.setdefault(place, Counter())[target] += count
        for place, here in placed.items():
            yield here + (items if place.startswith("[") else members)
        yield members
        yield items

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > _STEPS_MAX:
            raise SchemaTooLarge("It is too large to say how much work it makes.")


def _weight(schema: Mapping[str, Any]) -> int:
    """Return the looks of a subschema's own keywords: one for four, and for eight choices."""
    choices = schema.get("enum")
    return len(schema) // 4 + (len(choices) // 8 if isinstance(choices, list) else 0)


def _parts(schema: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, str, Any, str]]:
    """Yield the subschemas of a schema: to what each is applied, its place, itself, its pointer."""
    for keyword, value in schema.items():
        target = _APPLIES_TO.get(keyword, "")
        at = f"{pointer}/{_escaped(keyword)}"
        if not target:
            continue
        if keyword in _HOLDS_MAP:
            for name, part in _named(value):
                yield target, name, part, f"{at}/{_escaped(name)}"
        elif isinstance(value, list):
            where = _PLACE if keyword == "items" else target
            for index, part in enumerate(value):
                yield where, f"[{index}", part, f"{at}/{index}"
        else:
            yield target, "", value, at


def _named(value: Any) -> list[tuple[str, Any]]:
    """Return the subschemas of a keyword that names each; lists of names are none."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    return [(name, part) for name, part in pairs if isinstance(part, Mapping | bool)]


def _part_at(schema: Any, pointer: str) -> Any:
    part = schema
    for step in unquote(pointer).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, Mapping) and name in part:
            part = part[name]
        elif isinstance(part, list) and name.isdecimal() and int(name) < len(part):
            part = part[int(name)]
        else:
            raise SchemaTooLarge(f"There is nothing at #{pointer}.")
    return part


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _values_by_depth(value: Any) -> Iterator[int]:
    level = [value]
    while level:
        yield len(level)
        inner: list[Any] = []
        for outer in level:
            if isinstance(outer, dict):
                inner += outer.values()
            elif isinstance(outer, list):
                inner += outer
        level = inner
