"""The routes of the shop's records: the same for orders, products, customers and all others.

A kind says what differs in a `ShopResource`; `shop_router` makes its routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field, create_model

from tillbell.app import Gateway
from tillbell.errors import Invalid, Problem
from tillbell.model.shop import Customer, Product, ShopDocument, ShopRecord
from tillbell.process.shop_documents import News
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    also_answers,
    resource,
)
from tillbell.web.api.shapes import In, Out
from tillbell.web.api.shop_records import (
    ListedRecordsOf,
    TimelineEntry,
    answer_list,
    news_of,
    present,
    shown,
)
from tillbell.web.edge.patterns import LABEL

S = TypeVar("S", bound=ShopRecord)
D = TypeVar("D", bound=ShopDocument)
Doc = dict[str, Any]
Checked = Callable[[Doc], Doc]

MANY_MAX = 500  # records that are put at once
_TURN = 25  # bodies that are checked in one turn of the event loop


class Words(NamedTuple):
    """How a kind is called in the document of the API."""

    noun: str  # in paths and names of operations: `order`
    phrase: str  # with its article: `an order`
    many: str
    get: str = "Show {phrase} with what happened to it."
    upsert: str = "Replace {phrase}, or create it (201). What changes nothing publishes nothing."
    patch: str = "Change the named members of {phrase}; null removes one."


class Shapes(NamedTuple):
    """The shapes of a kind: bodies that come in, and what callers see."""

    put: type[In]
    patch: type[In]
    out: type[Out]
    listed: type[Out]
    detail: type[Out]


class PutCountsOut(Out):
    """What was done with many records."""

    created: int = Field(description="How many were new.")
    changed: int = Field(description="How many were there and are different now.")
    unchanged: int = Field(description="How many were so already, or are older than what is known.")


class Put(NamedTuple, Generic[S]):
    """A record after it was put, and whether it is new."""

    record: S
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class ShopResource(Generic[S]):
    """What the routes of a kind do. `put` and `patch` take the id, the body and the key's id.

    `checked` returns members with exact amounts, or raises `Invalid`. A kind without it is put
    one by one.
    """

    kind: type[S]
    words: Words
    shapes: Shapes
    shape_of: Callable[[S], Out]
    detail_of: Callable[[Gateway, S], Awaitable[Out]]
    put: Callable[[Gateway, str, str, Any, str], Awaitable[Put[S]]]
    checked: Checked | None = None
    patch: Callable[[Gateway, str, str, Any, str], Awaitable[S]]


def document_resource(
    kind: type[D],
    words: Words,
    shapes: Shapes,
    checked: Checked,
    timeline: Callable[[Gateway, D], Awaitable[list[TimelineEntry]]],
) -> ShopResource[D]:
    """Return the resource of a kind whose members are the shop's.

    `checked` returns the members with exact amounts, or raises `Invalid`.
    """

    def shape_of(record: D) -> Out:
        return shapes.out.model_validate(shown(record))

    async def detail_of(gateway: Gateway, record: D) -> Out:
        entries = await timeline(gateway, record)
        return shapes.detail.model_validate(shown(record) | {"timeline": entries})

    async def put(gateway: Gateway, app_id: str, uid: str, body: In, key_id: str) -> Put[D]:
        news = checked_news(body, checked)
        put = await gateway.shop_records.put(app_id, kind, uid, news, key_id)
        return Put(put.record, put.is_new)

    async def patch(gateway: Gateway, app_id: str, id_: str, body: In, key_id: str) -> D:
        news = news_of(body)
        record = await present(gateway, kind, app_id, id_)
        complete = checked({**record.data, **news.data})
        news = news._replace(data={name: complete[name] for name in news.data})
        uid = record.uid or record.id
        return await gateway.shop_records.patch(app_id, kind, uid, news, key_id)

    return ShopResource(
        kind=kind,
        words=words,
        shapes=shapes,
        shape_of=shape_of,
        detail_of=detail_of,
        put=put,
        checked=checked,
        patch=patch,
    )


def checked_news(body: In, checked: Checked) -> News:
    """Return what a body says of a record, checked as a whole."""
    news = news_of(body)
    return news._replace(data=checked(dict(news.data)))


async def _checked_many(bodies: Mapping[str, In], checked: Checked) -> dict[str, News]:
    """Return what bodies say of records, by their uids; `Invalid` with all that is wrong."""
    news, problems = {}, list[Problem]()
    for number, (uid, body) in enumerate(bodies.items()):
        try:
            news[uid] = checked_news(body, checked)
        except Invalid as error:
            problems += [_within(problem, number) for problem in error.problems]
        if number % _TURN == 0:
            await asyncio.sleep(0)
    if problems:
        raise Invalid(*problems)
    return news


def _within(problem: Problem, number: int) -> Problem:
    """Return a problem of a body as that of a member of `data`."""
    return replace(problem, loc=("body", "data", number, *problem.loc[1:]))


class Caller(NamedTuple):
    """Who writes a record, and of which application."""

    gateway: Gateway
    app_id: str
    key_id: str


async def the_caller(gateway: GatewayOf, app: ApplicationOf, principal: PrincipalOf) -> Caller:
    """Return who writes. A class as the dependency would be made on another thread."""
    return Caller(gateway, app.id, principal.key.id)


CallerOf = Annotated[Caller, Depends(the_caller)]


def shop_router(of: ShopResource[S]) -> APIRouter:
    """Return the routes of a kind: list, get, upsert, patch."""
    router = resource(f"/app/{{app_id}}/{of.words.noun}", of.words.noun.capitalize())
    _add_reads(router, of)
    _add_writes(router, of)
    if of.checked is not None and issubclass(of.kind, ShopDocument):
        _add_write_of_many(router, of, of.kind, of.checked)
    return router


# The framework reads parameters from annotations, so each kind's functions get their own.


def _add_reads(router: APIRouter, of: ShopResource[S]) -> None:
    async def list_(app: ApplicationOf, wanted: ListedRecordsOf, gateway: GatewayOf) -> Any:
        return await answer_list(gateway, of.kind, app.id, wanted, of.shape_of)

    async def get(app: ApplicationOf, record_id: Any, gateway: GatewayOf) -> Any:
        record = await present(gateway, of.kind, app.id, record_id)
        return await of.detail_of(gateway, record)

    get.__annotations__["record_id"] = _record_id(of.words)
    text = f"List {of.words.many} by their last change, the latest first."
    router.get("", response_model=of.shapes.listed, description=text)(list_)
    path, text = f"/{{{of.words.noun}_id}}", of.words.get.format(phrase=of.words.phrase)
    router.get(path, response_model=of.shapes.detail, description=text)(get)


def _add_writes(router: APIRouter, of: ShopResource[S]) -> None:
    noun, phrase, shape = of.words.noun, of.words.phrase, of.shapes.out

    async def upsert(record_uid: Any, body: Any, caller: CallerOf, response: Response) -> Any:
        put = await of.put(caller.gateway, caller.app_id, record_uid, body, caller.key_id)
        response.status_code = 201 if put.is_new else 200
        return of.shape_of(put.record)

    async def patch(record_id: Any, body: Any, caller: CallerOf) -> Any:
        record = await of.patch(caller.gateway, caller.app_id, record_id, body, caller.key_id)
        return of.shape_of(record)

    about = "Your id of it: letters, digits and -_.:"
    upsert.__annotations__["record_uid"] = Annotated[
        str, Path(alias=f"{noun}_uid", description=about, pattern=LABEL, max_length=256)
    ]
    upsert.__annotations__["body"] = of.shapes.put
    patch.__annotations__.update(record_id=_record_id(of.words), body=of.shapes.patch)
    created, text = also_answers(201, shape, "Created."), of.words.upsert.format(phrase=phrase)
    put_route = router.put(
        f"/{{{noun}_uid}}", response_model=shape, description=text, responses=created
    )
    put_route(upsert)
    text = of.words.patch.format(phrase=phrase)
    router.patch(f"/{{{noun}_id}}", response_model=shape, description=text)(patch)


def _add_write_of_many(
    router: APIRouter, of: ShopResource[S], kind: type[ShopDocument], checked: Checked
) -> None:
    noun = of.words.noun
    about = f"{of.words.phrase.capitalize()} to create or replace, with its uid."
    uid = Field(pattern=LABEL, max_length=256, description="Your id of it.")
    members: dict[str, Any] = {"uid": (str, uid)}
    named: Any = create_model(
        f"Named{noun.capitalize()}In", __base__=of.shapes.put, __doc__=about, **members
    )
    about = f"{of.words.many.capitalize()} to create or replace, each of them once."
    data = Field(min_length=1, max_length=MANY_MAX, description=about)
    members = {"data": (list[named], data)}
    many = create_model(f"{noun.capitalize()}sIn", __base__=In, __doc__=about, **members)

    async def upsert_many(body: Any, caller: CallerOf) -> Any:
        bodies: dict[str, In] = {}
        for number, member in enumerate(body.data):
            if member.uid in bodies:
                text = f"{member.uid!a} is there twice"
                raise Invalid(Problem(("body", "data", number, "uid"), text, "duplicate_uid"))
            bodies[member.uid] = member
        news = await _checked_many(bodies, checked)
        put_many = caller.gateway.shop_records.put_many
        counts = await put_many(caller.app_id, kind, news, caller.key_id)
        return PutCountsOut.model_validate(counts._asdict())

    upsert_many.__annotations__["body"] = many
    text = (
        f"Replace or create up to {MANY_MAX} {of.words.many} in one commit: all of them, or none. "
        "What changes nothing publishes nothing."
    )
    router.put("", response_model=PutCountsOut, description=text)(upsert_many)


def _record_id(words: Words) -> Any:
    return Annotated[
        str, Path(alias=f"{words.noun}_id", description="Its id or uid.", max_length=256)
    ]


def add_removal(router: APIRouter, kind: type[Product | Customer], words: Words) -> None:
    """Add the route that removes a record and publishes it."""

    async def delete(record_id: Any, caller: CallerOf) -> Response:
        record = await present(caller.gateway, kind, caller.app_id, record_id)
        uid = record.uid or record.id
        await caller.gateway.shop_records.remove(caller.app_id, kind, uid, caller.key_id)
        return Response(status_code=204)

    delete.__annotations__["record_id"] = _record_id(words)
    path = f"/{{{words.noun}_id}}"
    text = f"Delete {words.phrase}, and publish `{words.noun}.deleted`."
    router.delete(path, status_code=204, response_model=None, description=text)(delete)
