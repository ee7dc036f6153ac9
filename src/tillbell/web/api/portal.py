"""Portal tokens: a link by which a subscriber manages the endpoints of one application.

A token is an API key that is bound to the application, expires, and has capabilities in place
of scopes. It is in the fragment of the link, which browsers do not send to servers or proxies.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import SECOND
from tillbell.errors import Forbidden, NotFound
from tillbell.model.records import Application
from tillbell.web.api.applications import ApplicationIn, get_or_create_application
from tillbell.web.api.routes import AppId, ApplicationOf, GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Decides, Flag, In, Name, Out
from tillbell.web.edge.auth import Capability
from tillbell.web.edge.patterns import COLOUR

HOUR_S = 3600
WEEK_S = 7 * 24 * HOUR_S


class PortalThemeIn(In):
    """How the portal looks by one link, in place of what the settings say."""

    accent: Annotated[str, Field(pattern=COLOUR)] | None = Field(
        default=None, description="Colour of buttons and links, such as `#0a7ea4`."
    )
    mode: Literal["light", "dark", "auto"] | None = Field(
        default=None, description="`auto`: as the reader's system."
    )

    def query(self) -> str:
        """Return the query of the link, by the names that Svix's components use."""
        named = {
            "primaryColor": (self.accent or "").removeprefix("#"),
            "darkMode": {"light": "false", "dark": "true", "auto": "auto"}.get(self.mode or "", ""),
        }
        written = urlencode({name: value for name, value in named.items() if value})
        return f"?{written}" if written else ""


class PortalIn(In):
    """What a portal token allows, and for how long."""

    application: ApplicationIn | None = Field(
        default=None, description="Created first, if the application of the path does not exist."
    )
    read_only: Flag | None = Field(
        default=None,
        description="The token may look at everything but secrets, and change nothing.",
    )
    capabilities: Annotated[list[Capability], Decides()] | None = Field(
        default=None,
        description="What the token may do; all if left out. `ViewBase` is always among them.",
    )
    expiry: Annotated[int, Field(strict=True, ge=HOUR_S, le=WEEK_S)] | None = Field(
        default=None, description="Seconds; 7 days if left out."
    )
    session_id: Name | None = Field(
        default=None, description="A name for the token, by which it can be expired."
    )
    feature_flags: Annotated[list[Name], Field(max_length=250)] | None = Field(
        default=None, description="The token sees event types that need one of these flags."
    )
    theme: PortalThemeIn | None = Field(default=None, description="How the portal looks.")


class PortalOut(Out):
    """A link to the portal, and the token in it."""

    url: str = Field(description="A link with the token in its fragment.")
    token: str = Field(
        description="The token, for `Authorization: Bearer …`. It is not stored: keep it."
    )


class ExpireIn(In):
    """Which portal tokens of the application expire, and when."""

    expiry: Annotated[int, Field(strict=True, ge=0, le=WEEK_S)] | None = Field(
        default=None, description="Seconds from now; at once if left out."
    )
    session_ids: Annotated[list[Name], Decides()] | None = Field(
        default=None,
        description="Only tokens that were made with one of these session ids; all if left out.",
    )


router = resource("/auth", "Authentication")


@router.post("/app-portal-access/{app_id}")
async def app_portal_access(
    app_id: AppId, body: PortalIn, gateway: GatewayOf, principal: PrincipalOf
) -> PortalOut:
    """Create a portal link for an application."""
    app = await _application(gateway, app_id, body, principal)
    token = await gateway.api_keys.create_token(
        app.id,
        _capabilities(body),
        session_id=body.session_id,
        expires_at=gateway.clock.now() + (body.expiry or WEEK_S) * SECOND,
        feature_flags=tuple(body.feature_flags or ()),
    )
    base = gateway.settings.public_url or gateway.settings.local_url
    query = body.theme.query() if body.theme is not None else ""
    return PortalOut(url=f"{base}/portal{query}#key={token.text}", token=token.text)


@router.post("/dashboard-access/{app_id}", deprecated=True)
async def dashboard_access(app_id: AppId, gateway: GatewayOf, principal: PrincipalOf) -> PortalOut:
    """Create a portal link with all capabilities: the older form of `app-portal-access`."""
    return await app_portal_access(app_id, PortalIn(), gateway, principal)


@router.post("/app/{app_id}/expire-all", status_code=204, response_model=None)
async def expire_all(
    app: ApplicationOf, gateway: GatewayOf, body: ExpireIn | None = None
) -> Response:
    """End the portal tokens of an application, or only those of some sessions."""
    body = body or ExpireIn()
    sessions = frozenset(body.session_ids or ())
    await gateway.api_keys.end_tokens(app.id, sessions, (body.expiry or 0) * SECOND)
    return Response(status_code=204)


@router.post("/logout", status_code=204, response_model=None)
async def logout(gateway: GatewayOf, principal: PrincipalOf) -> Response:
    """End the portal token of this request."""
    if not principal.is_portal:
        raise Forbidden(
            "Only portal tokens log out. Revoke an API key with DELETE /api/v1/key/{id}."
        )
    await gateway.api_keys.revoke(principal.key)
    return Response(status_code=204)


async def _application(
    gateway: Gateway, app_id: str, body: PortalIn, principal: PrincipalOf
) -> Application:
    application = await gateway.config_cache.application(app_id)
    if application is not None:
        return application
    if body.application is None:
        raise NotFound("There is no such application.")
    fields = body.application.model_dump(by_alias=True, exclude_unset=True)
    return await get_or_create_application(gateway, app_id, fields, principal)


def _capabilities(body: PortalIn) -> tuple[str, ...]:
    if body.read_only:
        return (Capability.VIEW_BASE,)
    if body.capabilities is None:
        return tuple(Capability)
    return tuple(dict.fromkeys((Capability.VIEW_BASE, *body.capabilities)))
