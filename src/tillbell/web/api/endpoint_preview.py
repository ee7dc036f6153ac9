"""What an endpoint would be sent of a message, without sending it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pydantic import Field

from tillbell.configure.endpoint_checks import template_problems
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.deliver.preview import previewed_parts
from tillbell.errors import Forbidden, Invalid, NotFound
from tillbell.profiles.text_template import SOURCE_MAX, TemplateProblem, read_text_template
from tillbell.web.api.endpoints import ExampleIn, HiddenTypes, example_payload
from tillbell.web.api.routes import ApplicationOf, EndpointOf, GatewayOf, PrincipalOf, resource
from tillbell.web.api.shapes import Decides, Out


class PreviewIn(ExampleIn):
    """What to show: the sample of an event type, or a payload of your own."""

    text_template: Annotated[str, Field(max_length=SOURCE_MAX), Decides()] | None = Field(
        default=None,
        description="Try this text template; left out: that of the endpoint; null: none.",
    )


class PreviewPartOut(Out):
    """One request."""

    part: str = Field(description="The profile's name of what is sent.")
    body: str = Field(description="The body, as it would be sent.")
    problem: str | None = Field(description="Why the text template made no text; null: it did.")


class EndpointPreviewOut(Out):
    """What an endpoint would be sent."""

    event_type: str
    content_type: str = Field(description="The header `Content-Type` of each request.")
    data: list[PreviewPartOut] = Field(
        description="One entry for each request; none: its profile has no format for the type."
    )


router = resource("/app/{app_id}/endpoint", "Endpoint")


@router.post("/{endpoint_id}/preview")
async def preview(
    app: ApplicationOf,
    endpoint: EndpointOf,
    body: PreviewIn,
    gateway: GatewayOf,
    principal: PrincipalOf,
    hidden: HiddenTypes,
) -> EndpointPreviewOut:
    """Show what the endpoint would be sent of a message. Nothing is sent or stored."""
    if principal.is_portal and body.payload is not None:
        raise Forbidden("A portal token sees the sample of a type; leave `payload` out.")
    compiled = await gateway.config_cache.compiled_endpoint(app.id, endpoint.id)
    if compiled is None:
        raise NotFound("There is no such endpoint.")
    if "text_template" in body.model_fields_set:
        compiled = _with_template(compiled, body.text_template)
    payload = msgspec.json.encode(example_payload(gateway, body, hidden))
    parts = previewed_parts(compiled, body.event_type, payload, gateway.clock.now())
    return EndpointPreviewOut(
        event_type=body.event_type,
        content_type=compiled.profile.content_type,
        data=[
            PreviewPartOut(part=part.part, body=part.body.decode(), problem=part.problem)
            for part in parts
        ],
    )


def _with_template(compiled: CompiledEndpoint, source: str | None) -> CompiledEndpoint:
    if not source:
        return compiled._replace(text_template=None)
    endpoint = msgspec.structs.replace(compiled.endpoint, text_template=source)
    if problems := list(template_problems(endpoint)):
        raise Invalid(*problems)
    template = read_text_template(source, compiled.profile)
    assert not isinstance(template, TemplateProblem)
    return compiled._replace(text_template=template)
