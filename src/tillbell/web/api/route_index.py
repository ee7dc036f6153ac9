"""The routes of the API by the parts of their paths, so that a request tries only a few of them.

The framework tries its routes one after the other, and there are more than two hundred. Here a
tree of parts says which of them a path may mean. Those are tried by the framework itself and in
their order, so every answer stays the same: also 404, 405 and that to HEAD.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send


class _PathStep:
    """What may follow in a path. Routes are named by their places in the order of all."""

    def __init__(self) -> None:
        self.literals: dict[str, _PathStep] = {}
        self.value: _PathStep | None = None  # a part that may be any text
        self.ends: list[int] = []  # routes whose path ends here
        self.rests: list[int] = []  # routes that take all that follows, whatever it is

    def add(self, parts: Sequence[str], route: int) -> None:
        """Add a route, by the parts of its path that follow."""
        if not parts:
            self.ends.append(route)
            return
        part, *following = parts
        if part.endswith(":path}"):
            self.rests.append(route)
        elif "{" in part:
            self.value = self.value or _PathStep()
            self.value.add(following, route)
        else:
            self.literals.setdefault(part, _PathStep()).add(following, route)

    def routes(self, parts: Sequence[str], at: int = 0) -> Iterator[int]:
        """Find the routes that the parts from this place on may mean."""
        yield from self.rests
        if at == len(parts):
            yield from self.ends
            return
        literal = self.literals.get(parts[at])
        if literal is not None:
            yield from literal.routes(parts, at + 1)
        if self.value is not None and parts[at]:
            yield from self.value.routes(parts, at + 1)


class _RouteIndex:
    """All routes, and a router for each group of them that one path may mean."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._routers: dict[tuple[int, ...], APIRouter] = {}
        self._first = _PathStep()
        for number, route in enumerate(routes):
            self._first.add(getattr(route, "path", "").split("/"), number)

    def router_for(self, path: str) -> APIRouter:
        """Return a router with the routes that a path may mean, in the order of all."""
        numbers = tuple(sorted(self._first.routes(path.split("/"))))
        router = self._routers.get(numbers)
        if router is None:
            routes = [self._routes[number] for number in numbers]
            router = self._routers[numbers] = APIRouter(routes=routes, redirect_slashes=False)
        return router


class IndexedRouter(APIRouter):
    """A router that looks its routes up. All of them are there before the first request."""

    _index: _RouteIndex | None = None

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the routes that the path may mean answer it, or say that there is none."""
        scope["router"] = self
        await self._router_for(scope["path"]).app(scope, receive, send)

    def routes_for(self, path: str) -> Sequence[BaseRoute]:
        """Return the routes that are tried for a path, in the order of all."""
        return self._router_for(path).routes

    def _router_for(self, path: str) -> APIRouter:
        if self._index is None:
            self._index = _RouteIndex(self.routes)
        return self._index.router_for(path)
