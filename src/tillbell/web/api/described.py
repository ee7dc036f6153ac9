"""Routes that are served in front of the framework, described as its own are.

Never mounted: `web/edge/router.py` sends message creation to `web/edge/publish_route.py`. What is
here gives it its place in the OpenAPI document and in the table of who may do what.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query

from tillbell.web.api.messages import MessageIn, PublishedOut
from tillbell.web.api.routes import AppId, guard, resource
from tillbell.web.edge.auth import PUBLISH

router = resource("", "Message")


@router.post(
    "/app/{app_id}/msg",
    status_code=202,
    dependencies=guard(*PUBLISH),
    response_model=PublishedOut,
    name="create",
)
async def create_message(
    app_id: AppId,
    body: MessageIn,
    with_content: Annotated[bool, Query()] = True,
    idempotency_key: Annotated[str | None, Header(max_length=258)] = None,
) -> None:
    """Publish a message: stored with all its deliveries before this answers."""
