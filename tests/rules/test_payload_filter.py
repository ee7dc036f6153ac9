"""Payload filters: which payloads meet them, what is said of the others, and what is refused."""

import json
from typing import Any

import pytest

from tillbell.rules.exact_json import decoded_exactly
from tillbell.rules.payload_filter import (
    CONDITIONS_MAX,
    LOOKS_MAX,
    FilterProblems,
    PayloadFilter,
    read_payload_filter,
)

ORDER = (
    b'{"id":"o-1","status":"paid","amount":"149.99","fee":0.1,"big":12345678901234567.25,'
    b'"createdAt":"2026-05-01T10:30:00+02:00","note":null,"express":true,'
    b'"customer":{"email":"ada@example.com","tags":["new","vip"]},'
    b'"items":[{"sku":"a","quantity":1},{"sku":"b","quantity":5}],"hours":[5,30]}'
)


def compiled(text: str) -> PayloadFilter:
    read = read_payload_filter(json.loads(text))
    assert isinstance(read, PayloadFilter), read
    return read


@pytest.mark.parametrize(
    ("filter_", "passes"),
    [
        ('{"status": "paid"}', True),
        ('{"status": "paid", "express": false}', False),
        ('{"status": {"$eq": "Paid"}}', False),
        ('{"status": {"$neq": "paid"}}', False),
        ('{"status": {"$in": ["paid", "shipped"]}}', True),
        ('{"status": {"$nin": ["paid", "shipped"]}}', False),
        ('{"status": {"$in": "ai"}}', True),
        ('{"status": {"$startsWith": "pa", "$endsWith": "id"}}', True),
        ('{"status": {"$not": {"$startsWith": "pa"}}}', False),
        ('{"amount": {"$gte": 149.99, "$lt": 150}}', True),
        ('{"amount": {"$gt": 149.99}}', False),
        ('{"amount": {"$gt": "20"}}', True),
        ('{"amount": 149.99}', True),
        ('{"amount": {"$lte": "149.990"}}', True),
        ('{"fee": 0.1}', True),
        ('{"fee": {"$gt": "0.1"}}', False),
        ('{"big": {"$gt": "12345678901234567"}}', True),
        ('{"big": {"$lt": "12345678901234567.26"}}', True),
        ('{"status": {"$gt": 1}}', False),
        ('{"express": 1}', False),
        ('{"express": {"$gte": 0}}', False),
        ('{"createdAt": {"$gte": "2026-05-01T08:30:00Z", "$lt": "2026-05-01T08:30:01Z"}}', True),
        ('{"createdAt": {"$startsWith": "2026-05"}}', True),
        ('{"note": null}', True),
        ('{"note": {"$exists": true}}', True),
        ('{"absent": null}', False),
        ('{"absent": {"$exist": false}}', True),
        ('{"absent": {"$exists": true}}', False),
        ('{"absent": {"$neq": 1}}', True),
        ('{"absent": {"deeper": {"$gt": 1}}}', False),
        ('{"customer": {"email": {"$endsWith": "@example.com"}}}', True),
        ('{"customer": {"$eq": {"email": "ada@example.com"}}}', False),
        ('{"customer": {"tags": "vip"}}', True),
        ('{"customer": {"tags": ["vip", "new"]}}', True),
        ('{"customer": {"tags": ["vip", "old"]}}', False),
        ('{"customer": {"tags": {"$eq": ["new", "vip"]}}}', True),
        ('{"customer": {"tags": {"$contains": "vip"}}}', True),
        ('{"customer": {"tags": {"$nin": ["vip"]}}}', False),
        ('{"items": {"sku": "b", "quantity": {"$gte": 5}}}', True),
        ('{"items": {"$and": [{"sku": "a"}, {"quantity": {"$gte": 5}}]}}', True),
        ('{"hours": {"$gte": 10, "$lt": 20}}', False),
        ('{"hours": {"$gte": 10}}', True),
        ('{"$or": [{"status": "new"}, {"express": true}]}', True),
        ('{"$and": [{"status": "paid"}, {"express": false}]}', False),
        ('{"$not": {"items": {"sku": "c"}}, "status": {"$or": ["paid", "new"]}}', True),
    ],
)
def test_a_payload_meets_a_filter_or_not(filter_: str, passes: bool) -> None:
    read = compiled(filter_)

    assert read.passes(decoded_exactly(ORDER)) is passes
    assert (read.mismatch(ORDER) is None) is passes


@pytest.mark.parametrize(
    ("filter_", "words"),
    [
        ('{"amount": {"$gte": 200}}', '`amount` is at least 200, and it is "149.99".'),
        ('{"status": {"$neq": "paid"}}', '`status` is not "paid", and it is "paid".'),
        ('{"absent": {"deep": 1}}', "`absent.deep` is 1, and there is no such member."),
        ('{"note": {"$exists": false}}', "there is no `note`, and there is one."),
        ('{"items": {"sku": "z"}}', '`items.sku` is "z", and no item of the list is so.'),
        (
            '{"$or": [{"id": "o-2"}, {"fee": {"$lt": 0.1}}]}',
            '`id` is "o-2", or `fee` is less than 0.1; none of that is so.',
        ),
        ('{"express": true, "fee": {"$in": [1, 2]}}', "`fee` is one of 1, 2, and it is 0.1."),
    ],
)
def test_the_first_condition_that_is_not_met_is_said_in_words(filter_: str, words: str) -> None:
    assert compiled(filter_).mismatch(ORDER) == f"The endpoint's filter asks that {words}"


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("members", "place", "text"),
    [
        ({"amount": {"$gtee": 1}}, ("amount", "$gtee"), "did you mean `$gte`?"),
        ({"a": [{"b": {"$regex": "x"}}]}, ("a", 0, "b", "$regex"), "there are $eq, $neq"),
        ({"$gte": 1}, ("$gte",), "stands within one"),
        ({"a": {"$gte": 1, "b": 2}}, ("a", "b"), "use `$and`"),
        ({"a": {"$gt": True}}, ("a", "$gt"), "must be a number or a text"),
        ({"a": {"$startsWith": 1}}, ("a", "$startsWith"), "must be a text"),
        ({"a": {"$exists": 1}}, ("a", "$exists"), "must be true or false"),
        ({"a": {"$in": []}}, ("a", "$in"), "must hold 1 to"),
        ({"a": {"$in": 5}}, ("a", "$in"), "must be a list of values"),
        ({"$or": {"a": 1}}, ("$or",), "must be a list of conditions"),
        ({"a": {}}, ("a",), "an empty object asks for nothing"),
        ({"a": []}, ("a",), "an empty list asks for nothing"),
        ({"a": 0.12345678901234567}, ("a",), "too many digits"),
        ({"a": 10**18}, ("a",), "too many digits"),
        ({"a": "x" * 2_000}, ("a",), "must have at most 1,024 characters"),
        (nested(13), ("a",) * 13, "is nested deeper than 12 levels"),
        ({"a": {"$eq": nested(11)}}, ("a", "$eq", *("a",) * 11), "is nested deeper"),
        ({"a": {"$or": list(range(CONDITIONS_MAX + 1))}}, (), "must have at most 100 conditions"),
    ],
)
def test_a_wrong_filter_is_refused_with_the_path_of_what_is_wrong(
    members: dict[str, Any], place: tuple[str | int, ...], text: str
) -> None:
    read = read_payload_filter(members, ("body", "filter"))

    assert isinstance(read, FilterProblems)
    (problem,) = read.problems
    assert problem.loc == ("body", "filter", *place)
    assert text in problem.msg


def test_a_filter_looks_at_a_limited_number_of_values() -> None:
    wanted = compiled('{"items": {"sku": "z"}}')
    few = b'{"items":[%s{"sku":"z"}]}' % (b'{"sku":"a"},' * 1_000)
    many = b'{"items":[%s{"sku":"z"}]}' % (b'{"sku":"a"},' * LOOKS_MAX)

    assert wanted.passes(decoded_exactly(few))
    assert not wanted.passes(decoded_exactly(many))
    assert "its lists are too long" in (wanted.mismatch(many) or "")


def test_what_is_no_json_meets_no_filter() -> None:
    wanted = compiled('{"a": {"$exists": false}}')

    assert not wanted.passes(decoded_exactly(b"a=1"))
    assert wanted.passes(decoded_exactly(b"[1]"))
    assert "is no JSON" in (wanted.mismatch(b"a=1") or "")
