"""The Svix health check. `/livez` and `/readyz` say more (web/edge/health.py)."""

from __future__ import annotations

from fastapi import Response

from tillbell.web.api.routes import resource

router = resource("/health", "Health")


@router.get("", status_code=204, response_model=None)
async def get() -> Response:
    """Say that the API answers. Needs no key."""
    return Response(status_code=204)
