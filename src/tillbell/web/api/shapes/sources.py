"""Shapes of sources and of the providers that they may be of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from tillbell.configure.sources import SourceChanges
from tillbell.web.api.shapes.base import Flag, In, Metadata, Name, Out, Uid
from tillbell.web.api.shapes.endpoints import WEEK_S

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


class SettingOut(Out):
    """A member of a source's `config`."""

    name: str
    about: str
    type: str
    choices: list[str]
    default: Any
    secret: bool
    required: bool


class CaseOut(Out):
    """A realistic callback that can be simulated."""

    name: str
    about: str


class ProviderOut(Out):
    """A provider whose callbacks are understood."""

    name: str
    title: str
    about: str
    confidence: str
    trust: str = Field(description="Of its callbacks, when a secret is set.")
    trust_without_secret: str | None = Field(description="null: without one they are refused.")
    secret: str | None = Field(description="Where its secret is found; null: it has none.")
    secret_required: bool
    answers: str
    methods: list[str]
    settings: list[SettingOut]
    cases: list[CaseOut]
    bulk: bool = Field(description="Many and of little value: kept off the way of money.")
    note: str


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


class ReadingOut(Out):
    """What a callback says when it is read now."""

    verdict: str = Field(description="accepted or refused.")
    trust: str | None
    why: str = Field(description="Of the verdict.")
    outcome: str | None = Field(description="null: it is processed.")
    outcome_why: str
    dedupe_key: str | None
    notices: list[dict[str, Any]] = Field(description="What it says, in our words.")


class TestOut(Out):
    """What became of a simulated callback."""

    reading: ReadingOut
    answer_status: int = Field(description="What the provider would be told.")
    answer_body: str
    callback_id: str | None = Field(description="null: a dry run.")
