"""Usual upserts of the shop's records, answered without the framework, for a third of its time.

A shop that tells of all its orders sends little else. Taken is a PUT that is right in everything:
its route's shapes read the body and write the answer. Everything else, and every refusal, is left
to the framework, which begins anew. So no rule is written twice, and the answers are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from tillbell.app import Gateway
from tillbell.errors import Forbidden
from tillbell.model.records import Application
from tillbell.web.api.known_names import unknown_members
from tillbell.web.api.routes import note_act
from tillbell.web.api.shapes import In, Out
from tillbell.web.api.shop_routes import ShopResource
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.asgi_types import Receive, Scope, Send
from tillbell.web.edge.auth import PRINCIPAL, Principal
from tillbell.web.edge.paths import APPLICATION, BASE, JSON_BODY
from tillbell.web.edge.patterns import LABEL

_PATH = re.compile(rf"{BASE}/app/([^/]{{1,256}})/([a-z]+)/([^/]{{1,256}})")
_UID = re.compile(LABEL)


class _UpsertRoute(NamedTuple):
    """The route of a kind, and what writes its answers."""

    resource: ShopResource[Any]
    route: APIRoute
    answers: TypeAdapter[Out]


class _UsualUpsert(NamedTuple):
    """A request that is right in everything."""

    of: _UpsertRoute
    application: Application
    uid: str
    body: In


class UsualUpserts:
    """Serves the API: usual upserts by itself, the rest by `api`."""

    def __init__(
        self, api: FastAPI, gateway: Gateway, resources: Iterable[ShopResource[Any]]
    ) -> None:
        self._api = api
        self._gateway = gateway
        routes = {route.unique_id: route for route in api.routes if isinstance(route, APIRoute)}
        self._routes = {
            resource.words.noun: _UpsertRoute(
                resource,
                routes[f"{resource.words.noun}.upsert"],
                TypeAdapter(resource.shapes.out),
            )
            for resource in resources
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        upsert = await self._read(scope) if scope["method"] == "PUT" else None
        if upsert is None:
            await self._api(scope, receive, send)
            return
        status, body = await self._answer(scope, upsert)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _read(self, scope: Scope) -> _UsualUpsert | None:
        """Read an upsert; None: it is another request, or the framework has to refuse it."""
        path = _PATH.fullmatch(scope["path"])
        route = self._routes.get(path[2]) if path is not None else None
        if path is None or route is None or scope["query_string"] or not _UID.fullmatch(path[3]):
            return None
        shape, value = route.resource.shapes.put, scope.get(JSON_BODY)
        if not isinstance(value, dict) or any(unknown_members(shape, value, ())):
            return None
        application = await self._gateway.config_cache.application(path[1])
        principal: Principal = scope[PRINCIPAL]
        if application is None or not principal.may_see(application.id):
            return None
        try:
            principal.require(ACCESS[route.route.unique_id])
            return _UsualUpsert(route, application, path[3], shape.model_validate(value))
        except (Forbidden, ValidationError):
            return None

    async def _answer(self, scope: Scope, upsert: _UsualUpsert) -> tuple[int, bytes]:
        of, app_id = upsert.of, upsert.application.id
        scope["route"], scope[APPLICATION] = of.route, app_id
        ids = {"app_id": app_id, f"{of.resource.words.noun}_uid": upsert.uid}
        note_act(self._gateway, scope, of.route.unique_id, ids)
        key_id = scope[PRINCIPAL].key.id
        put = await of.resource.put(self._gateway, app_id, upsert.uid, upsert.body, key_id)
        body = of.answers.dump_json(of.resource.shape_of(put.record), by_alias=True)
        return 201 if put.is_new else 200, body
