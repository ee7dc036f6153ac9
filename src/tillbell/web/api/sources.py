"""Sources of an application: who sends us callbacks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Response

from tillbell.configure.sources import SourceSettings
from tillbell.errors import NotFound
from tillbell.model.sources import Source
from tillbell.receive.source_cache import CompiledSource
from tillbell.storage.ports.outbound import Page
from tillbell.web.api.paging import OrderedPageOf, list_page
from tillbell.web.api.routes import UID, ApplicationOf, GatewayOf, app_read, app_write, resource
from tillbell.web.api.shapes.base import Listed
from tillbell.web.api.shapes.sources import (
    SourceIn,
    SourceOut,
    SourcePatch,
    SourceRotateIn,
    TestIn,
    TestOut,
)
from tillbell.web.api.source_tryout import simulate
from tillbell.web.api.source_view import source_out

router = resource("/app/{app_id}/source", "Source")

# Not for portal tokens: a source's URL is as good as a password where nothing is signed.
READ = app_read("source", None)
WRITE = app_write("source")


async def the_source(
    source_id: Annotated[str, Path(description="Id or uid.", pattern=UID, max_length=256)],
    app: ApplicationOf,
    gateway: GatewayOf,
) -> CompiledSource:
    """Give the source of the path."""
    live = gateway.source_cache.find(app.id, source_id)
    if live is None:
        raise NotFound("There is no such source.")
    return live


async def the_source_settings(gateway: GatewayOf) -> SourceSettings:
    """Give what changes sources."""
    return gateway.source_settings


SourceOf = Annotated[CompiledSource, Depends(the_source)]
SettingsOf = Annotated[SourceSettings, Depends(the_source_settings)]


@router.get("", dependencies=READ)
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[SourceOut]:
    """List an application's sources."""

    async def fetch(page: Page) -> list[Source]:
        return await gateway.database.list(Source, app.id, page)

    found = await list_page(fetch, page, lambda source: source.id)
    lives = (gateway.source_cache.compiled(source.id) for source in found.rows)
    return Listed(**found.shown([source_out(gateway, live) for live in lives if live]))


@router.post("", status_code=201, dependencies=WRITE)
async def create(
    app: ApplicationOf, body: SourceIn, settings: SettingsOf, gateway: GatewayOf
) -> SourceOut:
    """Add a source. The answer has the URL to enter at the provider."""
    return source_out(
        gateway,
        await settings.create(app.id, body.provider, body.secrets, body.changes()),
    )


@router.get("/{source_id}", dependencies=READ)
async def get(source: SourceOf, gateway: GatewayOf) -> SourceOut:
    """Show a source."""
    return source_out(gateway, source)


@router.patch("/{source_id}", dependencies=WRITE)
async def patch(
    source: SourceOf, body: SourcePatch, settings: SettingsOf, gateway: GatewayOf
) -> SourceOut:
    """Change some of a source."""
    return source_out(
        gateway, await settings.patch(source.source.scope, source.source.id, body.changes())
    )


@router.delete("/{source_id}", status_code=204, dependencies=WRITE, response_model=None)
async def delete(source: SourceOf, settings: SettingsOf) -> Response:
    """Remove a source; its URL is unknown from now on. What it sent stays in the log."""
    await settings.remove(source.source.scope, source.source.id)
    return Response(status_code=204)


@router.post("/{source_id}/secret/rotate", dependencies=WRITE)
async def rotate_secret(
    source: SourceOf, body: SourceRotateIn, settings: SettingsOf, gateway: GatewayOf
) -> SourceOut:
    """Use a new secret; for a day (or the grace period) the old one is accepted too."""
    rotated = await settings.rotate(
        source.source.scope, source.source.id, body.secret, body.grace_period_seconds
    )
    return source_out(gateway, rotated)


@router.post("/{source_id}/test", dependencies=WRITE)
async def test(source: SourceOf, body: TestIn, gateway: GatewayOf) -> TestOut:
    """Send a callback as the provider would, signed with the source's secret."""
    return await simulate(gateway, source, body)
