"""What a route does not read: names in its query and members of its body, and odd numbers.

- A number in a query is decimal digits, perhaps after a minus: not `1_0`, `+5` or ` 5`.
- A query with an unknown name, or with a name twice of which one value is read, is refused: a
  filter that is not applied shows the wrong rows.
- A member that is nearly a known one is refused: it is a typing error.
- Any unknown member is refused in a body that decides who gets what: one with a member whose type
  is marked with `Decides`.
- Other unknown members are ignored, so that newer SDKs work. The answer names them.
- What the route answers with is no typing error. Every `PUT` and `PATCH` takes an answer that is
  sent back with its `id`, so that a client can read, change a member and write.

A member that is null says nothing and is always taken.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from tillbell.errors import Invalid, Problem
from tillbell.rules.nearest import hint, nearest
from tillbell.setting_text import is_whole_number
from tillbell.web.api.shapes import Decides, In
from tillbell.web.edge.paths import IGNORED, JSON_BODY
from tillbell.web.edge.patterns import ITERATOR

Loc = tuple[str | int, ...]


class UnknownMember(NamedTuple):
    """A member of a body that its shape does not have."""

    loc: Loc
    near: str | None  # the member that was probably meant
    is_refused: bool


def check_names(request: Request) -> None:
    """Raise `Invalid` for unknown names that are refused; note those that are ignored."""
    route: APIRoute = request.scope["route"]
    problems = [
        *_query_problems(request, route),
        *_number_problems(request, route),
        *_iterator_problems(request, route),
    ]
    unknown = _unknown_in_body(request, route)
    problems += [_member_problem(member) for member in unknown if member.is_refused]
    problems += _status_problems(request, unknown)
    if problems:
        raise Invalid(*problems)
    if unknown:
        request.scope[IGNORED] = [".".join(map(str, member.loc[1:])) for member in unknown]


def _query_problems(request: Request, route: APIRoute) -> Iterator[Problem]:
    if not request.query_params:
        return
    known = _query_names(route.unique_id, route)
    for name in dict.fromkeys(request.query_params):
        if name not in known:
            text = f"unknown parameter{hint(nearest(name, known))}"
            yield Problem(("query", name), text, "unknown_parameter")
        elif len(request.query_params.getlist(name)) > 1 and name not in _lists(route):
            yield Problem(("query", name), "may be there once only", "repeated_parameter")


def _number_problems(request: Request, route: APIRoute) -> Iterator[Problem]:
    """Refuse what Python reads as a number and nobody else does."""
    if not request.query_params:
        return
    numbers = _number_names(route.unique_id, route)
    for name, value in request.query_params.multi_items():
        if name in numbers and not is_whole_number(value):
            yield Problem(("query", name), "must be a whole number in digits", "int_parsing")


# The prefix of the ids in a list, by the last step of its path that is not a parameter.
_KINDS = {
    "app": "app",
    "audit": "aud",
    "background-task": "qtask",
    "callback": "cbk",
    "conflict": "cfl",
    "customer": "cus",
    "delivery": "dlv",
    "email": "eml",
    "endpoint": "ep",
    "event-type": "et",
    "inbox": "inb",
    "alert": "alt",
    "key": "key",
    "msg": "msg",
    "order": "ord",
    "product": "prd",
    "request": "irq",
    "shipment": "shp",
    "source": "src",
    "subscription": "sub",
    "suppression": "sup",
    "transaction": "trx",
}
_OF_DELIVERIES = "/endpoint/{endpoint_id}/msg"  # lists messages in the order of their deliveries


def kind_listed(path: str) -> str | None:
    """Return the prefix of the ids in a list; None if its iterators have no fixed one."""
    if path.endswith(_OF_DELIVERIES):
        return _KINDS["delivery"]
    return _KINDS.get(path.rsplit("/", maxsplit=1)[-1])


def _iterator_problems(request: Request, route: APIRoute) -> Iterator[Problem]:
    """Refuse an iterator of another list: it would begin anywhere, for ever."""
    iterator, kind = request.query_params.get("iterator"), kind_listed(route.path)
    if not iterator or not kind or not re.match(ITERATOR, iterator):
        return
    if iterator.lstrip("-").partition("_")[0] != kind:
        text = "is an iterator of another list; pass one of this list, as it is"
        yield Problem(("query", "iterator"), text, "iterator")


_names_of_routes: dict[str, frozenset[str]] = {}  # by operation id


def _query_names(operation: str, route: APIRoute) -> frozenset[str]:
    names = _names_of_routes.get(operation)
    if names is None:
        names = _names_of_routes[operation] = frozenset(_names_read(route.dependant))
    return names


_numbers_of_routes: dict[str, frozenset[str]] = {}  # by operation id


def _number_names(operation: str, route: APIRoute) -> frozenset[str]:
    names = _numbers_of_routes.get(operation)
    if names is None:
        names = frozenset(_numbers_read(route.dependant))
        _numbers_of_routes[operation] = names
    return names


def _numbers_read(dependant: Dependant) -> Iterator[str]:
    """Find the parameters whose values are whole numbers, also those that are enums."""
    for field in dependant.query_params:
        if any(map(_is_number, _types_in(field.field_info.annotation))):
            yield field.alias
    for inner in dependant.dependencies:
        yield from _numbers_read(inner)


def _lists(route: APIRoute) -> frozenset[str]:
    """Return the parameters that may be there more than once."""
    return frozenset(_lists_read(route.dependant))


def _lists_read(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        if any(get_origin(part) is list for part in _types_in(field.field_info.annotation)):
            yield field.alias
    for inner in dependant.dependencies:
        yield from _lists_read(inner)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def _is_number(annotation: Any) -> bool:
    return (
        isinstance(annotation, type)
        and issubclass(annotation, int)
        and not issubclass(annotation, bool)
    )


def _names_read(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names_read(inner)


def _unknown_in_body(request: Request, route: APIRoute) -> list[UnknownMember]:
    value, shape = request.scope.get(JSON_BODY), body_shape(route)
    if shape is None or not isinstance(value, dict):
        return []
    answered = _answered(route) if request.method in ("PUT", "PATCH") else frozenset()
    _, decides = _members(shape)
    if decides and not _is_sent_back(request, value):
        answered = frozenset()
    return [
        member._replace(is_refused=member.is_refused and member.loc[1:] not in answered)
        for member in unknown_members(shape, value, ("body",))
    ]


def _is_sent_back(request: Request, value: dict[str, Any]) -> bool:
    """Tell whether a body is an answer of the resource of the path, perhaps with a change."""
    in_path = next(reversed(request.path_params.values()), "")
    return "id" in value and in_path in (value["id"], value.get("uid"))


def _answered(route: APIRoute) -> frozenset[Loc]:
    """Return the members of the answers of a route."""
    fields = getattr(route.response_model, "model_fields", {})
    return frozenset((field.alias or name,) for name, field in fields.items())


def _status_problems(request: Request, unknown: list[UnknownMember]) -> Iterator[Problem]:
    """Refuse a status that does not fit `disabled`, which is what changes it."""
    loc = ("body", "status")
    if any(member.loc == loc and not member.is_refused for member in unknown):
        body = request.scope[JSON_BODY]
        if (body["status"] != "active") is not body.get("disabled"):
            yield Problem(loc, "cannot be changed: set `disabled`", "read_only")


def body_shape(route: APIRoute) -> type[In] | None:
    """Return the shape of the bodies that a route takes."""
    field = route.body_field
    return _shape_in(field.field_info.annotation) if field is not None else None


def unknown_members(shape: type[In], value: dict[str, Any], loc: Loc) -> Iterator[UnknownMember]:
    """Find the members of a JSON object that a shape does not have, also in objects inside."""
    known, decides = _members(shape)
    for name, member in value.items():
        if name in known:
            yield from _unknown_inside(known[name], member, (*loc, name))
        elif member is not None:
            near = nearest(name, known)
            yield UnknownMember((*loc, name), near, decides or near is not None)


def _unknown_inside(shape: type[In] | None, member: Any, loc: Loc) -> Iterator[UnknownMember]:
    """Find them in a member that is an object, or a list of objects."""
    if shape is None:
        return
    if isinstance(member, dict):
        yield from unknown_members(shape, member, loc)
    elif isinstance(member, list):
        for number, part in enumerate(member):
            if isinstance(part, dict):
                yield from unknown_members(shape, part, (*loc, number))


def _member_problem(member: UnknownMember) -> Problem:
    return Problem(member.loc, f"unknown member{hint(member.near)}", "unknown_member")


@functools.cache
def _members(shape: type[In]) -> tuple[dict[str, type[In] | None], bool]:
    """Return the members of a shape with the shapes inside; whether one decides who gets what."""
    fields = shape.model_fields
    members = {field.alias or name: _shape_in(field.annotation) for name, field in fields.items()}
    decides = any(
        _is_marked(field.annotation) or any(isinstance(item, Decides) for item in field.metadata)
        for field in fields.values()
    )
    return members, decides


def _shape_in(annotation: Any) -> type[In] | None:
    """Return the request shape of a member that is an object."""
    if isinstance(annotation, type) and issubclass(annotation, In):
        return annotation
    return next(filter(None, map(_shape_in, get_args(annotation))), None)


def _is_marked(annotation: Any) -> bool:
    marks = getattr(annotation, "__metadata__", ())
    return any(isinstance(mark, Decides) for mark in marks) or any(
        map(_is_marked, get_args(annotation))
    )
