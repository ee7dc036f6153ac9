"""Event types as an OpenAPI document: imported from one, and exported as one."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from tillbell.configure.openapi_events import described_types, openapi_of
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.errors import Malformed
from tillbell.model.records import EventType
from tillbell.web.api.event_types import Schemas
from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.shapes import Flag, In, Out
from tillbell.web.api.yaml_text import yaml_as_json
from tillbell.web.edge.strict_json import check_json


class EventTypeImportOpenApiIn(In):
    """An OpenAPI document whose `webhooks` (or `x-webhooks`) are event types."""

    spec: dict[str, Any] | None = Field(
        default=None, description="The document as JSON. Either this or `specRaw`."
    )
    spec_raw: str | None = Field(
        default=None, description="The document as a text, in YAML or JSON, without aliases."
    )
    dry_run: Flag = Field(default=False, description="Only say what would change.")
    replace_all: Flag = Field(
        default=False, description="Archive all event types that are not in the document."
    )


class EventTypeFromOpenApi(Out):
    """An event type as it would be after the import."""

    name: str
    description: str = Field(description="For people: when such a message is published.")
    schemas: Schemas | None = Field(description="Version → JSON Schema of the payload.")
    deprecated: bool = Field(description="Whether subscribers should stop to use it.")
    group_name: str | None = Field(description="Under which name user interfaces group it.")
    feature_flags: list[str] | None = Field(
        description="Hidden from portal tokens that have none of these flags; null: shown to all."
    )

    @classmethod
    def of(cls, event_type: EventType) -> EventTypeFromOpenApi:
        """Return an event type in the shape that callers see."""
        flags = event_type.feature_flags
        return cls(
            name=event_type.uid or event_type.id,
            description=event_type.description,
            schemas=event_type.schemas,
            deprecated=event_type.deprecated,
            group_name=event_type.group_name,
            feature_flags=list(flags) if flags is not None else None,
        )


class EventTypeImportOpenApiOutData(Out):
    """What an import changes."""

    modified: list[str] = Field(
        description="Names of the event types that were registered or changed; none in a dry run."
    )
    to_modify: list[EventTypeFromOpenApi] | None = Field(
        alias="to_modify",
        description="In a dry run: the event types that would be registered or changed.",
    )
    archived: list[str] = Field(
        description="Names of those that were archived, or in a dry run would be."
    )


class EventTypeImportOpenApiOut(Out):
    """What an import has changed, or would change."""

    data: EventTypeImportOpenApiOutData = Field(description="The event types, by what happens.")


router = resource("/event-type", "Event Type")


@router.post("/import/openapi")
async def import_openapi(
    body: EventTypeImportOpenApiIn, gateway: GatewayOf
) -> EventTypeImportOpenApiOut:
    """Register the webhooks of an OpenAPI document as event types, all or none.

    A registered event type gets what the document says of it, and is restored if it was archived.
    Its flags, group, description and schema stay if the document does not name them. The name is
    the webhook's, or `x-svix-event-type` of its operation; `x-svix-group-name` and
    `x-svix-feature-flags` are read too. The schema is that of the JSON body, with all that it
    refers to in the document; a body's example becomes the sample.
    """
    if (body.spec is None) == (body.spec_raw is None):
        raise Malformed("Send either `spec` or `specRaw`.")
    if body.spec is not None:
        described = described_types(body.spec, ("body", "spec"))
    else:
        document = await asyncio.to_thread(_read, body.spec_raw or "")
        described = described_types(document, ("body", "specRaw"))
    changes = await gateway.event_types.import_all(
        described, replace_all=body.replace_all, is_dry_run=body.dry_run
    )
    archived = [_name(change) for change in changes if change.record.archived]
    written = [change for change in changes if not change.record.archived]
    return EventTypeImportOpenApiOut(
        data=EventTypeImportOpenApiOutData(
            modified=[] if body.dry_run else [_name(change) for change in written],
            to_modify=(
                [EventTypeFromOpenApi.of(change.record) for change in written]
                if body.dry_run
                else None
            ),
            archived=archived,
        )
    )


@router.get("/export/openapi")
async def export_openapi(gateway: GatewayOf) -> dict[str, Any]:
    """Write all registered event types as an OpenAPI document, which can be imported elsewhere.

    Archived ones are left out. Of several versions of a schema it has the latest.
    """
    registered = await gateway.event_types.all()
    return openapi_of(event_type for event_type in registered if not event_type.archived)


def _name(change: ChangedRecord[EventType]) -> str:
    return change.record.uid or change.record.id


def _read(text: str) -> Any:
    """Read a document in JSON or YAML, with the limits that every body has."""
    if text.lstrip().startswith("{"):
        return check_json(text.encode())
    return check_json(yaml_as_json(text))
