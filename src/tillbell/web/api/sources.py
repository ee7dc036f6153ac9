"""Sources of an application: who sends us callbacks."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.configure.sources import SourceChanges, SourceSettings
from tillbell.errors import Invalid, NotFound, Problem
from tillbell.model.sources import ConfirmationPolicy, Source, Trust
from tillbell.providers.kit.base import (
    DeclaredProof,
    Incoming,
    Provider,
    SimulationCase,
    SourceSetup,
)
from tillbell.providers.kit.cases import samples
from tillbell.receive.receive import answer_to
from tillbell.receive.source_cache import CompiledSource, path_of
from tillbell.receive.verify_and_parse import add_advice, verify_and_parse
from tillbell.rules.payments.trust import confirmation_policy
from tillbell.web.api.endpoints import WEEK_S
from tillbell.web.api.masked_callback import ReadingOut, reading_out
from tillbell.web.api.paging import OrderedPageOf, list_page, row_id
from tillbell.web.api.routes import UID, ApplicationOf, GatewayOf, app_read, app_write, resource
from tillbell.web.api.shapes import Flag, In, Listed, Metadata, Name, Out, Uid

SecretText = Annotated[str, Field(max_length=8192)]
Config = Annotated[dict[str, Any], Field(max_length=100)]


class SourceFields(In):
    """What a source body may say besides its provider. Members left out are told from null."""

    uid: Uid | None = None
    config: Config | None = Field(
        default=None, description="What the provider's adapter needs; see `GET /provider`."
    )
    default: Flag | None = Field(
        default=None, description="Serves the provider's URL without a token; one for each."
    )
    disabled: Flag | None = Field(
        default=None, description="Its callbacks are stored and answered, and cause nothing."
    )
    metadata: Metadata | None = None

    def changes(self) -> SourceChanges:
        """Return what it names as fields of the record; what is left out stays."""
        named = self.model_fields_set
        fields: dict[str, Any] = {name: getattr(self, name) for name in named & {"uid", "name"}}
        if "metadata" in named:
            fields["metadata"] = self.metadata or {}
        if self.default is not None:
            fields["is_default"] = self.default
        if self.disabled is not None:
            fields["is_enabled"] = not self.disabled
        return SourceChanges(fields, self.config)


class SourceIn(SourceFields):
    """A new source."""

    name: Name
    provider: Name
    secrets: Annotated[list[SecretText], Field(max_length=5)] = Field(
        default_factory=list, description="Current first. They are never shown again."
    )


class SourcePatch(SourceFields):
    """What is to change. Of `config` only the members named; null clears one."""

    name: Name = ""


class SourceRotateIn(In):
    """A new secret, as the provider gave it."""

    secret: SecretText
    grace_period_seconds: Annotated[int, Field(strict=True, ge=0, le=WEEK_S)] | None = Field(
        default=None, description="How long the old one is accepted too."
    )


class SourceOut(Out):
    """A source. Its secrets are never shown."""

    id: str
    uid: str | None
    name: str
    provider: str
    url: str = Field(description="What is entered at the provider.")
    path: str
    token: str
    default: bool
    disabled: bool
    trust: str = Field(description="How well its callbacks prove who sent them.")
    allows: str = Field(description="What that is enough for.")
    answers: str = Field(description="What the provider is told.")
    methods: list[str]
    confidence: str = Field(description="How sure we are of the provider's format.")
    note: str = Field(description="What is not known of it.")
    problem: str | None = Field(description="Why it cannot be used at present.")
    secret_expiries: list[datetime | None] = Field(
        description="When each secret ends, newest first; null: it does not."
    )
    config: dict[str, Any] = Field(description="Without what is secret.")
    secret_settings: list[str] = Field(description="Members of `config` that are set and secret.")
    metadata: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime


class TestIn(In):
    """A callback to simulate, signed as the provider would sign it."""

    case: Name | None = Field(
        default=None, description="One of the provider's; default: its first, without `fields`."
    )
    fields: dict[str, Any] = Field(
        default_factory=dict, description="What its body says; over those of the case."
    )
    method: Annotated[str, Field(pattern="^[A-Z]{3,7}$")] | None = None
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    id: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Of the event, where it is no field."
    )
    dry_run: Flag = Field(default=True, description="false: it is stored and processed for real.")


class TestOut(Out):
    """What became of a simulated callback."""

    reading: ReadingOut
    answer_status: int = Field(description="What the provider would be told.")
    answer_body: str
    callback_id: str | None = Field(description="null: a dry run.")


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
    sources = await list_page(
        lambda page: gateway.database.list(Source, app.id, page), page, row_id
    )
    compiled = [gateway.source_cache.compiled(source.id) for source in sources.rows]
    return sources.showing([source_out(gateway, source) for source in compiled if source])


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


async def simulate(gateway: Gateway, live: CompiledSource, body: TestIn) -> TestOut:
    """Sign, verify and read a callback; store and process it too, unless it is a dry run."""
    incoming = _signed(gateway, live, body)
    reading = await asyncio.to_thread(add_advice, live, incoming, verify_and_parse(live, incoming))
    answer = answer_to(live, incoming, reading.intake_status)
    stored = None
    if not body.dry_run:
        stored = await gateway.receiver.store_reading(live, incoming, reading)
    return TestOut(
        reading=reading_out(reading),
        answer_status=answer.status,
        answer_body=answer.body.decode("utf-8", "replace"),
        callback_id=stored.id if stored is not None else None,
    )


def _signed(gateway: Gateway, live: CompiledSource, body: TestIn) -> Incoming:
    now = gateway.clock.now()
    case = _case(live.provider, body)._replace(at=now)
    try:
        url = source_out(gateway, live).url
        return live.provider.sign(case, live.setup_at(now), url)._replace(received_at=now)
    except Exception as error:  # whatever the fields lack, the adapter finds it
        what = f"cannot be made of these fields: {type(error).__name__}"
        raise Invalid(Problem(("body", "fields"), what, "case")) from error


def _case(provider: Provider, body: TestIn) -> SimulationCase:
    """Return the case that is named, or the first, changed as the body says."""
    known = samples(provider.name)
    if body.case is not None and body.case not in known:
        what = f"unknown case; there are {', '.join(known) or 'none'}"
        raise Invalid(Problem(("body", "case"), what, "case"))
    named = body.case if body.case or body.fields else next(iter(known), None)
    usual = "POST" if "POST" in provider.methods else min(provider.methods)
    base = known[named].case if named is not None else SimulationCase({}, usual)
    return base._replace(
        fields=_over(base.fields, body.fields),
        method=body.method or base.method,
        query={**base.query, **body.query},
        headers={**base.headers, **body.headers},
        id=body.id or base.id,
    )


def _over(fields: Any, changes: dict[str, Any]) -> Any:
    """Return a case's fields with some changed; a case may be a list, which is sent as it is."""
    return {**fields, **changes} if isinstance(fields, dict) else fields


_UNSIGNED = {
    ConfirmationPolicy.PULL: (
        "Money moves after the provider, asked at `lookupUrl`, has confirmed it."
    ),
    ConfirmationPolicy.REVIEW: "Money moves after a person has confirmed it.",
    ConfirmationPolicy.TRUST: "Money moves by itself: its owner chose to believe it unproven.",
}


def source_out(gateway: Gateway, live: CompiledSource) -> SourceOut:
    """Show a source. The path of a default one is the provider's, without a token."""
    source, provider = live.source, live.provider
    token = gateway.source_cache.token(source)
    path = path_of(source.provider, None if source.is_default else token)
    told = _trust_text(live)
    trust = told.trust
    settings = gateway.settings
    return SourceOut(
        id=source.id,
        uid=source.uid,
        name=source.name,
        provider=source.provider,
        url=(settings.public_url or settings.local_url) + path,
        path=path,
        token=token,
        default=source.is_default,
        disabled=not source.is_enabled,
        trust=trust.word if trust is not None else "refused",
        allows=_allows(trust, live),
        answers=told.answers,
        methods=sorted(provider.methods),
        confidence=provider.confidence,
        note=told.note,
        problem=live.problem or None,
        secret_expiries=[
            to_datetime(secret.expires_at) if secret.expires_at is not None else None
            for secret in source.secrets
        ],
        config=source.config,
        secret_settings=sorted(source.sealed_config),
        metadata=source.metadata,
        version=source.version,
        created_at=to_datetime(source.created_at),
        updated_at=to_datetime(source.updated_at),
    )


def _trust_text(live: CompiledSource) -> DeclaredProof:
    """Say what a source proves and is answered: its adapter's word, or its owner's."""
    provider = live.provider
    if provider.declared_proof is not None:
        return provider.declared_proof(
            SourceSetup(tuple(text for text, _ in live.secrets), live.config)
        )
    has_proof = bool(live.source.secrets) or provider.secret is None
    trust = provider.best_trust if has_proof else provider.bare_trust
    return DeclaredProof(trust, provider.answers, provider.note)


def _allows(trust: Trust | None, live: CompiledSource) -> str:
    if trust is None:
        return "Nothing: without a secret every callback is refused."
    if trust is Trust.SIGNED:
        return "Money moves by itself."
    return _UNSIGNED[confirmation_policy(live.config)]
