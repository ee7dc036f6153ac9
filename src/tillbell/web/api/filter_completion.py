"""Completion of a filter that is being written: qualifiers, and values that are known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated

from fastapi import Query
from pydantic import Field

from tillbell.app import Gateway
from tillbell.providers import PROVIDERS
from tillbell.rules.filters.clauses import FilterList
from tillbell.rules.filters.completion import (
    CompletionItem,
    qualifier_items,
    qualifier_typed,
    typed_at,
    value_items,
)
from tillbell.rules.filters.grammar import TEXT_MAX
from tillbell.rules.filters.qualifiers import NameOf, Qualifier
from tillbell.web.api.overviews import ScopeOf
from tillbell.web.api.routes import GatewayOf, PrincipalOf, may, resource
from tillbell.web.api.shapes import Out
from tillbell.web.edge.auth import Principal

_NAMES_MAX = 500


class CompletionItemOut(Out):
    """A text that may stand at the place."""

    text: str = Field(description="It takes the place of what was typed.")
    detail: str = Field(description="What it is about, for a person; empty for a value.")


class CompletionOut(Out):
    """What may stand at a place of a filter."""

    position: int = Field(description="Where the text to replace begins, in characters.")
    length: int = Field(description="How many characters are replaced.")
    items: list[CompletionItemOut] = Field(description="The texts, at most 20.")


router = resource("/filter", "Filter")


@router.get("/completion")
async def completion(
    scope: ScopeOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
    list_: Annotated[FilterList, Query(alias="list", description="The list to be filtered.")],
    text: Annotated[
        str, Query(alias="filter", max_length=TEXT_MAX, description="The text as far as it is.")
    ] = "",
    at: Annotated[
        int | None, Query(ge=0, description="Place of the cursor, in characters; default: the end.")
    ] = None,
) -> CompletionOut:
    """Complete a filter at a place: its qualifiers, and the values that are known."""

    async def known(qualifier: Qualifier) -> Iterable[str]:
        return await visible_values(gateway, principal, scope, qualifier)

    return await complete(list_, text, len(text) if at is None else at, known)


async def complete(
    list_: FilterList, text: str, at: int, known: Callable[[Qualifier], Awaitable[Iterable[str]]]
) -> CompletionOut:
    """Return what may stand at a place of a filter. `known` gives the values of a qualifier."""
    typed = typed_at(text, min(at, len(text)))
    items: list[CompletionItem] = []
    if typed.value is None:
        items = qualifier_items(list_, typed.name)
    elif (qualifier := qualifier_typed(list_, typed)) is not None:
        items = value_items(qualifier, typed.value, await known(qualifier))
    return CompletionOut(
        position=typed.place.start,
        length=typed.place.length,
        items=[CompletionItemOut(text=item.text, detail=item.detail) for item in items],
    )


async def visible_values(
    gateway: Gateway, principal: Principal, scope: str | None, qualifier: Qualifier
) -> Iterable[str]:
    """Return values that are configured, as far as the key may see them."""
    values = await _configured_values(gateway, scope, qualifier)
    if qualifier.field == "type":
        registered = gateway.config_cache.registered_event_types()
        hidden = {t.uid or t.id for t in registered if not principal.may_see_type(t)}
        return sorted(set(values) - hidden)
    is_source, is_endpoint = (qualifier.names is kind for kind in (NameOf.SOURCE, NameOf.ENDPOINT))
    if is_source and not may(principal, "source.list"):
        return []
    return [] if is_endpoint and not may(principal, "endpoint.list") else values


async def _configured_values(
    gateway: Gateway, scope: str | None, qualifier: Qualifier
) -> Iterable[str]:
    """Return the values of a qualifier that are configured in a scope; None: everywhere."""
    if qualifier.field == "type":
        return sorted(gateway.config_cache.known_event_types())
    if qualifier.field == "provider":
        return sorted(PROVIDERS)
    if qualifier.names is NameOf.SOURCE:
        sources = [compiled.source for compiled in gateway.source_cache.of_scope(scope)]
        return [source.uid or source.name for source in sources[:_NAMES_MAX]]
    if qualifier.names is NameOf.ENDPOINT and scope is not None:
        endpoints = await gateway.config_cache.endpoints(scope)
        return [endpoint.uid or endpoint.id for endpoint in endpoints[:_NAMES_MAX]]
    return []
