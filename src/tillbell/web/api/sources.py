"""Sources of an application: each is one configured sender of callbacks at one provider."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Response
from pydantic import Field

from tillbell.app import Gateway
from tillbell.clock import to_datetime
from tillbell.configure.sources import SourceChanges, SourceSettings
from tillbell.configure.webhooks import WebhookOwner, WebhookSetting
from tillbell.errors import Forbidden, Invalid, NotFound, Problem
from tillbell.model.endpoints import Endpoint
from tillbell.model.sources import ConfirmationPolicy, Source, Trust
from tillbell.profiles import PROFILES
from tillbell.providers.kit.base import (
    Confidence,
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
from tillbell.web.api.endpoints import WEEK_S, Url
from tillbell.web.api.masked_callback import ReadingOut, reading_out
from tillbell.web.api.paging import OrderedPageOf, list_page, row_id
from tillbell.web.api.routes import (
    ApplicationOf,
    GatewayOf,
    PrincipalOf,
    resource,
)
from tillbell.web.api.shapes import (
    Decides,
    Flag,
    In,
    Listed,
    Metadata,
    Name,
    Out,
    Uid,
    optional_time,
    words,
)
from tillbell.web.edge.auth import Principal
from tillbell.web.edge.patterns import METHOD, UID

WEBHOOK_PROFILE = "mozarto"
SecretText = Annotated[str, Field(max_length=8192), Decides()]
WebhookSecret = Annotated[str, Field(min_length=1, max_length=256), Decides()]
Config = Annotated[dict[str, Any], Field(max_length=100), Decides()]


class SourceFields(In):
    """Members of every source body. A member that is left out is not the same as null."""

    uid: Uid | None = None
    config: Config | None = Field(
        default=None,
        description=(
            "Settings of the provider's adapter, and those that every source may have; "
            "`GET /provider` lists them. `allowedNetworks`, for example, is a list of addresses "
            "and networks (`192.0.2.0/24`, `2001:db8::1`): callbacks from elsewhere are refused "
            "with 403."
        ),
    )
    default: Flag | None = Field(
        default=None,
        description=(
            "Whether it uses the provider's URL without a token. Only one source of a provider "
            "can, and a key that is bound to one application cannot ask for it."
        ),
    )
    disabled: Flag | None = Field(
        default=None, description="Its callbacks are stored and answered, but not processed."
    )
    metadata: Metadata | None = None
    webhook_url: Url | None = Field(
        default=None,
        description=(
            "Where each step of its transactions is sent too, in the format of `mozarto`; null: "
            "nowhere."
        ),
    )
    webhook_secret: WebhookSecret | None = Field(
        default=None,
        description="Sent in `Authorization` with each request to `webhookUrl`; null: none.",
    )

    def changes(self) -> SourceChanges:
        """Return the named members as fields of the record; what is left out stays."""
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
        default_factory=list, description="The current one first. They are never shown again."
    )


class SourcePatch(SourceFields):
    """Changes to a source. Of `config` only the named members change; null clears one."""

    name: Name = ""


class SourceRotateIn(In):
    """A new secret from the provider."""

    secret: SecretText = Field(description="The secret as the provider shows it.")
    grace_period_seconds: Annotated[int, Field(strict=True, ge=0, le=WEEK_S)] | None = Field(
        default=None, description="How long the old secret is accepted too; default: a day."
    )


class SourceOut(Out):
    """A source. Its secrets are never shown."""

    id: str
    uid: str | None
    name: str
    provider: str
    url: str = Field(description="The URL to enter at the provider.")
    path: str = Field(description="The path of `url`.")
    token: str = Field(
        description=(
            "The part of the URL that belongs to this source alone. It is as good as a "
            "password where callbacks are not signed."
        ),
    )
    default: bool = Field(description="Whether it uses the provider's URL without a token.")
    disabled: bool = Field(
        description="Whether its callbacks are stored and answered, but not processed."
    )
    trust: Annotated[str, words("refused", *(trust.word for trust in Trust))] = Field(
        description="How well its callbacks prove their sender."
    )
    allows: str = Field(description="What this proof is enough for.")
    answers: str = Field(description="What its callbacks are answered.")
    methods: list[str] = Field(description="HTTP methods that the provider may use.")
    confidence: Confidence = Field(description="How certain the provider's format is.")
    note: str = Field(description="What is not known about the format.")
    problem: str | None = Field(description="Why it does not work at present; null: it works.")
    secret_expiries: list[datetime | None] = Field(
        description="When each secret expires, newest first; null: never."
    )
    config: dict[str, Any] = Field(description="Without its secret members.")
    secret_settings: list[str] = Field(description="Secret members of `config` that are set.")
    webhook_url: str | None = Field(
        description="Where each step of its transactions is sent too; null: nowhere."
    )
    is_webhook_secured: bool = Field(description="Whether `Authorization` is sent with it.")
    webhook_endpoint_id: str | None = Field(
        description="The endpoint that sends to `webhookUrl`; null: there is none."
    )
    metadata: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime


class TestIn(In):
    """A callback to simulate, signed as the provider would sign it."""

    case: Name | None = Field(
        default=None,
        description="A case of the provider. Default without `fields`: the first.",
    )
    fields: dict[str, Any] = Field(
        default_factory=dict, description="Members of its body; they replace those of the case."
    )
    method: Annotated[str, Field(pattern=METHOD)] | None = Field(
        default=None, description="HTTP method of the simulated request; default: the case's."
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description="Members of its query; they are added to those of the case.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of it; they are added to those of the case."
    )
    id: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Event id, if it is not one of the fields."
    )
    dry_run: Flag = Field(
        default=True,
        description=(
            "false: the callback is stored in the log too, marked as simulated. It moves nothing "
            "and publishes nothing."
        ),
    )


class TestOut(Out):
    """The result of a simulated callback."""

    reading: ReadingOut = Field(description="What the callback says and how well it is proven.")
    answer_status: int = Field(description="What the provider would be answered.")
    answer_body: str = Field(description="Body of that answer, as text.")
    callback_id: str | None = Field(description="null after a dry run.")


router = resource("/app/{app_id}/source", "Source")

# Not for portal tokens: where nothing is signed, the URL of a source is a password.


async def the_source(
    source_id: Annotated[
        str, Path(description="The source: its id or uid.", pattern=UID, max_length=256)
    ],
    app: ApplicationOf,
    gateway: GatewayOf,
) -> CompiledSource:
    """Give the source of the path."""
    compiled = gateway.source_cache.find(app.id, source_id)
    if compiled is None:
        raise NotFound("There is no such source.")
    return compiled


async def the_source_settings(gateway: GatewayOf) -> SourceSettings:
    """Give the use cases that change sources."""
    return gateway.source_settings


SourceOf = Annotated[CompiledSource, Depends(the_source)]
SettingsOf = Annotated[SourceSettings, Depends(the_source_settings)]


@router.get("")
async def list_(app: ApplicationOf, page: OrderedPageOf, gateway: GatewayOf) -> Listed[SourceOut]:
    """List an application's sources."""
    sources = await list_page(
        lambda page: gateway.database.list(Source, app.id, page), page, row_id
    )
    in_use = [gateway.source_cache.compiled(source.id) for source in sources.rows]
    return sources.showing([await source_out(gateway, compiled) for compiled in in_use if compiled])


@router.post("", status_code=201)
async def create(
    app: ApplicationOf,
    body: SourceIn,
    settings: SettingsOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> SourceOut:
    """Add a source. The answer has the URL to enter at the provider."""
    _refuse_default_of_one(principal, body)
    _check_webhook(gateway, body, None)
    created = await settings.create(app.id, body.provider, body.secrets, body.changes())
    await _set_webhook(gateway, created.source, body)
    return await source_out(gateway, created)


def _refuse_default_of_one(principal: Principal, body: SourceFields) -> None:
    """Raise `Forbidden` if a key of one application asks for a URL of the whole installation."""
    if body.default and principal.key.app_id is not None:
        raise Forbidden(
            "This key is bound to one application, and the URL without a token belongs to all; "
            "leave `default` out."
        )


@router.get("/{source_id}")
async def get(compiled: SourceOf, gateway: GatewayOf) -> SourceOut:
    """Show a source."""
    return await source_out(gateway, compiled)


@router.patch("/{source_id}")
async def patch(
    compiled: SourceOf,
    body: SourcePatch,
    settings: SettingsOf,
    gateway: GatewayOf,
    principal: PrincipalOf,
) -> SourceOut:
    """Change the named members of a source."""
    _refuse_default_of_one(principal, body)
    source = compiled.source
    _check_webhook(gateway, body, await _webhook(gateway, source))
    changed = await settings.patch(source.scope, source.id, body.changes())
    await _set_webhook(gateway, changed.source, body)
    return await source_out(gateway, changed)


@router.delete("/{source_id}", status_code=204, response_model=None)
async def delete(compiled: SourceOf, settings: SettingsOf, gateway: GatewayOf) -> Response:
    """Delete a source and its webhook. Its URL stops working; its callbacks stay in the log."""
    source = compiled.source
    if await _webhook(gateway, source) is not None:
        await gateway.webhooks.remove(source.scope, WebhookOwner(source_id=source.id))
    await settings.remove(source.scope, source.id)
    return Response(status_code=204)


@router.post("/{source_id}/secret/rotate")
async def rotate_secret(
    compiled: SourceOf, body: SourceRotateIn, settings: SettingsOf, gateway: GatewayOf
) -> SourceOut:
    """Use a new secret. The old one is accepted too, for a day or the grace period."""
    rotated = await settings.rotate(
        compiled.source.scope, compiled.source.id, body.secret, body.grace_period_seconds
    )
    return await source_out(gateway, rotated)


@router.post("/{source_id}/test")
async def test(compiled: SourceOf, body: TestIn, gateway: GatewayOf) -> TestOut:
    """Simulate a callback of the provider, signed with the source's secret.

    It comes from an address that `allowedNetworks` allows. Nothing follows from it: it shows how
    the provider's callback would be verified, read and answered. Unless it is a dry run, it is
    stored in the log too, with the trust `simulated`. To play the provider in full, sign with the
    secret yourself and send it to the source's URL: `tillbell trigger` does that.
    """
    now = gateway.clock.now()
    case = _case(compiled.provider, body)._replace(at=now)
    incoming = _signed(gateway, compiled, case)
    reading = verify_and_parse(compiled, incoming)
    reading = await asyncio.to_thread(add_advice, compiled, incoming, reading)
    answer = answer_to(compiled, incoming, reading.intake_status)
    callback = None
    if not body.dry_run:
        unsigned = _unsigned(incoming, case)
        callback = await gateway.receiver.store_simulated(compiled, unsigned, reading)
    return TestOut(
        reading=reading_out(reading),
        answer_status=answer.status,
        answer_body=answer.body.decode("utf-8", "replace"),
        callback_id=callback.id if callback is not None else None,
    )


async def _webhook(gateway: Gateway, source: Source) -> Endpoint | None:
    return await gateway.webhooks.find(source.scope, WebhookOwner(source_id=source.id))


def _check_webhook(gateway: Gateway, body: SourceFields, present: Endpoint | None) -> None:
    """Raise `Invalid` if the webhook of a body cannot be set, before anything is stored."""
    if body.webhook_url is not None:
        try:
            gateway.policy.check_new_url(body.webhook_url)
        except Invalid as error:
            (problem, *_) = error.problems
            loc = ("body", "webhookUrl")
            raise Invalid(Problem(loc, problem.msg, problem.type)) from error
    elif body.webhook_secret is not None and (present is None or _ends_webhook(body)):
        raise Invalid(Problem(("body", "webhookSecret"), "needs a webhookUrl", "webhook_url"))
    if body.webhook_secret is not None:
        text = PROFILES[WEBHOOK_PROFILE].check_secret(body.webhook_secret)
        if text is not None:
            raise Invalid(Problem(("body", "webhookSecret"), text, "secret"))


def _ends_webhook(body: SourceFields) -> bool:
    return body.webhook_url is None and "webhook_url" in body.model_fields_set


async def _set_webhook(gateway: Gateway, source: Source, body: SourceFields) -> None:
    """Set or remove the webhook of a source, as far as a body names it."""
    if not body.model_fields_set & {"webhook_url", "webhook_secret"}:
        return
    owner, present = WebhookOwner(source_id=source.id), await _webhook(gateway, source)
    if _ends_webhook(body):
        if present is not None:
            await gateway.webhooks.remove(source.scope, owner)
        return
    url = body.webhook_url or (present.url if present is not None else "")
    if not url:
        return
    setting = WebhookSetting(
        url,
        secret=body.webhook_secret,
        sets_secret="webhook_secret" in body.model_fields_set,
        fields={
            "description": f"Webhook of the source {source.name}",
            "profile": present.profile if present is not None else WEBHOOK_PROFILE,
        },
    )
    await gateway.webhooks.put(source.scope, owner, setting)


def _signed(gateway: Gateway, compiled: CompiledSource, case: SimulationCase) -> Incoming:
    now = case.at
    try:
        url = url_of(gateway, compiled)
        signed = compiled.provider.sign(case, compiled.setup_at(now), url)
    except Exception as error:  # adapters fail in many ways when a field is missing or odd
        problem = f"no callback can be made of these fields ({type(error).__name__}); check them"
        raise Invalid(Problem(("body", "fields"), problem, "case")) from error
    allowed = compiled.allowed_networks
    peer = str(allowed[0].network_address) if allowed else ""
    return signed._replace(received_at=now, peer=peer)


def _unsigned(incoming: Incoming, case: SimulationCase) -> Incoming:
    """Return what the log stores of a test: nobody who reads it learns a valid signature."""
    fields = json.dumps(case.fields, ensure_ascii=False, default=str).encode()
    path, _, _ = incoming.target.partition("?")
    return incoming._replace(headers=(), target=path, body=fields)


def _case(provider: Provider, body: TestIn) -> SimulationCase:
    """Return the named case, or the first, with the changes of the body."""
    cases = samples(provider.name)
    if body.case is not None and body.case not in cases:
        problem = f"unknown case; the provider has {', '.join(cases) or 'none'}"
        raise Invalid(Problem(("body", "case"), problem, "case"))
    name = body.case if body.case or body.fields else next(iter(cases), None)
    method = "POST" if "POST" in provider.methods else min(provider.methods)
    base = cases[name].case if name is not None else SimulationCase({}, method)
    return base._replace(
        fields=_replaced(base.fields, body.fields),
        method=body.method or base.method,
        query={**base.query, **body.query},
        headers={**base.headers, **body.headers},
        id=body.id or base.id,
    )


def _replaced(fields: Any, changes: dict[str, Any]) -> Any:
    """Return the fields of a case with these changes. A case that is a list is not changed."""
    return {**fields, **changes} if isinstance(fields, dict) else fields


_UNSIGNED = {
    ConfirmationPolicy.PULL: "Money moves after the provider has confirmed it at `lookupUrl`.",
    ConfirmationPolicy.REVIEW: "Money moves after a person has confirmed it.",
    ConfirmationPolicy.TRUST: "Money moves without proof: its owner chose to allow this.",
}


def url_of(gateway: Gateway, compiled: CompiledSource) -> str:
    """Return the URL to enter at the provider."""
    return (gateway.settings.public_url or gateway.settings.local_url) + _path(gateway, compiled)


def _path(gateway: Gateway, compiled: CompiledSource) -> str:
    """Return the path of a source; that of a default source has no token."""
    source = compiled.source
    token = None if source.is_default else gateway.source_cache.token(source)
    return path_of(source.provider, token)


async def source_out(gateway: Gateway, compiled: CompiledSource) -> SourceOut:
    """Return a source in the shape that callers see."""
    source, provider = compiled.source, compiled.provider
    proof, webhook = _proof(compiled), await _webhook(gateway, source)
    return SourceOut(
        id=source.id,
        uid=source.uid,
        name=source.name,
        provider=source.provider,
        url=url_of(gateway, compiled),
        path=_path(gateway, compiled),
        token=gateway.source_cache.token(source),
        default=source.is_default,
        disabled=not source.is_enabled,
        trust=proof.trust.word if proof.trust is not None else "refused",
        allows=_allows(proof.trust, compiled),
        answers=proof.answers,
        methods=sorted(provider.methods),
        confidence=provider.confidence,
        note=proof.note,
        problem=compiled.problem or None,
        secret_expiries=[optional_time(secret.expires_at) for secret in source.secrets],
        config=source.config,
        secret_settings=sorted(source.sealed_config),
        webhook_url=webhook.url if webhook is not None else None,
        is_webhook_secured=webhook is not None and bool(webhook.secrets),
        webhook_endpoint_id=webhook.id if webhook is not None else None,
        metadata=source.metadata,
        version=source.version,
        created_at=to_datetime(source.created_at),
        updated_at=to_datetime(source.updated_at),
    )


def _proof(compiled: CompiledSource) -> DeclaredProof:
    """Return what callbacks of a source prove and how they are answered."""
    provider = compiled.provider
    if provider.declared_proof is not None:
        return provider.declared_proof(
            SourceSetup(tuple(text for text, _ in compiled.secrets), compiled.config)
        )
    has_proof = bool(compiled.source.secrets) or provider.secret is None
    trust = provider.best_trust if has_proof else provider.bare_trust
    return DeclaredProof(trust, provider.answers, provider.note)


def _allows(trust: Trust | None, compiled: CompiledSource) -> str:
    """Return what callbacks with this trust may do."""
    if trust is None:
        return "Nothing: without a secret every callback is refused."
    if trust is Trust.SIGNED:
        return "Money moves by itself."
    return _UNSIGNED[confirmation_policy(compiled.config)]
