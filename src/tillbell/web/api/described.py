"""Routes that are served in front of the framework, described for the OpenAPI document.

They are never called: `web/edge/api_middleware.py` sends message creation to
`web/edge/publish_route.py`. The test of access rights reads them too.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query

from tillbell.web.api.messages import MessageIn, PublishedOut
from tillbell.web.api.routes import AppId, resource

router = resource("", "Message")


@router.post(
    "/app/{app_id}/msg",
    status_code=202,
    response_model=PublishedOut,
    name="create",
)
async def create_message(
    app_id: AppId,
    body: MessageIn,
    with_content: Annotated[bool, Query()] = True,
    idempotency_key: Annotated[str | None, Header(max_length=258)] = None,
) -> None:
    """Publish a message. The answer is sent when it and all its deliveries are stored."""
