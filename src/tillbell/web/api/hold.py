"""The hold of a gateway that was started with `--hold`: whether it sends, and its release."""

from __future__ import annotations

from pydantic import Field

from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.shapes import Out


class HoldOut(Out):
    """Whether this gateway sends."""

    held: bool = Field(description="true: it accepts and stores, but sends nothing.")


router = resource("/hold", "Hold")


@router.get("")
async def get(gateway: GatewayOf) -> HoldOut:
    """Show whether this process is held: it sends nothing until it is released."""
    return HoldOut(held=gateway.hold.is_on)


@router.post("/release")
async def release(gateway: GatewayOf) -> HoldOut:
    """Let every process of this gateway send; those of a cluster begin within two seconds."""
    await gateway.hold.release()
    return HoldOut(held=gateway.hold.is_on)
