"""For how long things are kept: what counts, and changes of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tillbell.app import Gateway
from tillbell.configure.retention import SETTINGS
from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.shapes import In, Out

Days = Annotated[int, Field(strict=True, ge=1, le=36_500)] | None


class RetentionPatch(In):
    """For how many days things are kept; null: as the settings say. What is left out stays."""

    body_days: Days = Field(default=None, description="Payloads and bytes of callbacks.")
    history_days: Days = Field(
        default=None, description="Messages, deliveries, attempts, callbacks."
    )
    audit_days: Days = Field(default=None, description="Entries of the audit log.")


class RetentionOut(Out):
    """For how many days things are kept."""

    body_days: int = Field(description="Payloads and bytes of callbacks.")
    history_days: int = Field(description="Messages, deliveries, attempts, callbacks.")
    audit_days: int = Field(description="Entries of the audit log.")
    changed: list[str] = Field(
        description="Members that were set here; the others are as the settings say."
    )


router = resource("/retention", "Retention")


@router.get("")
async def get(gateway: GatewayOf) -> RetentionOut:
    """Show for how long things are kept."""
    return await _shown(gateway)


@router.patch("")
async def patch(body: RetentionPatch, gateway: GatewayOf) -> RetentionOut:
    """Keep things for longer or shorter. What is past its time is deleted within minutes."""
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    await gateway.retention.change(sent)
    return await _shown(gateway)


async def _shown(gateway: Gateway) -> RetentionOut:
    chosen, periods = await gateway.retention.chosen(), await gateway.retention.current()
    aliases = {name: RetentionOut.model_fields[name].alias or name for name in SETTINGS}
    changed = [aliases[name] for name in SETTINGS if getattr(chosen, name) is not None]
    return RetentionOut(**periods._asdict(), changed=changed)
