"""A compiled endpoint: all that attempts need and that does not change between them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tillbell.catalog import KNOWN
from tillbell.clock import Micros
from tillbell.config import Settings
from tillbell.errors import Invalid, Misconfigured
from tillbell.http.address_policy import AddressPolicy, Target
from tillbell.model.endpoints import Endpoint, EndpointStatus
from tillbell.profiles import PROFILES
from tillbell.profiles.base import Profile
from tillbell.rules.delivery.headers import check_custom_headers
from tillbell.rules.delivery.lane_width import WidthBounds, width_bounds
from tillbell.rules.delivery.pace import interval_of
from tillbell.rules.delivery.selectors import Filter, compile_filter, of_source
from tillbell.rules.payload_filter import (
    FilterProblems,
    PayloadFilter,
    read_payload_filter,
)
from tillbell.vault import Vault

if TYPE_CHECKING:  # it loads Jinja, which a start without templates does not need
    from tillbell.profiles.text_template import TemplateProblem, TextTemplate


class Refusal(NamedTuple):
    """Why nothing may be sent to an endpoint. It unpacks as the `error` and `detail` of a reply."""

    error: str  # blocked_url, blocked_address, blocked_header or unusable
    detail: str  # one line for a person: what is wrong, what to do


class _OpenedSecrets(NamedTuple):
    """An endpoint's secrets and custom headers in clear text."""

    secrets: tuple[tuple[str, Micros | None], ...] = ()  # text, expiry
    headers: tuple[tuple[str, str], ...] = ()  # name, value


class CompiledEndpoint(NamedTuple):
    """One endpoint, compiled. It is compiled again whenever the endpoint changes."""

    endpoint: Endpoint
    profile: Profile
    filter: Filter
    payload_filter: PayloadFilter | None  # None: it takes every payload
    text_template: TextTemplate | None  # None: the profile says what it says
    target: Target | None  # None: nothing may be sent, for the reason in `refusal`
    refusal: Refusal | None
    prefix: bytes  # request line and our own headers that never change
    custom_headers: tuple[tuple[str, str], ...]  # name in small letters, whole line
    interval: Micros  # the least time between two attempts; 0: any
    secrets: tuple[tuple[str, Micros | None], ...]  # text, expiry; the current one first
    schedule_s: tuple[int, ...]
    timeout_s: int
    success: str
    width: WidthBounds
    is_active: bool  # whether attempts may be made
    destination: str  # `Endpoint.destination`

    @property
    def takes_messages(self) -> bool:
        """Whether new messages get deliveries. Those of a paused endpoint wait in the store."""
        return self.endpoint.status is not EndpointStatus.DISABLED

    def takes_type(self, event_type: str) -> bool:
        """Whether it asks for this event type, and its profile has a format for it."""
        asks = self.filter._replace(channels=None).wants(event_type, ())
        return asks and bool(self.profile.parts(event_type, self.filter.asked))

    def unrestricted(self) -> CompiledEndpoint:
        """Return the endpoint as it would be if it asked for everything, in the same parts."""
        return self._replace(
            endpoint=msgspec.structs.replace(self.endpoint, product_id=None, own_lines=False),
            filter=self.filter.unrestricted(),
            payload_filter=None,
        )

    def prefix_with(self, content_type: str) -> bytes:
        """Return the prefix with another content type than the profile's."""
        line = b"\r\nContent-Type: %s\r\n"
        own = line % self.profile.content_type.encode()
        return self.prefix.replace(own, line % content_type.encode(), 1)

    def secrets_at(self, now: Micros) -> list[str]:
        """Return the secrets that sign now: the current one, then old ones not yet expired."""
        secrets = self.secrets
        if len(secrets) == 1 and secrets[0][1] is None:  # nearly all endpoints
            return [secrets[0][0]]
        return [text for text, expires_at in secrets if expires_at is None or now < expires_at]


class EndpointCompiler:
    """Compiles endpoints with this server's settings, keys and address policy."""

    def __init__(self, settings: Settings, vault: Vault, policy: AddressPolicy) -> None:
        self._settings = settings
        self._vault = vault
        self._policy = policy

    def compile(self, endpoint: Endpoint, known_types: Collection[str] = KNOWN) -> CompiledEndpoint:
        """Compile an endpoint; never fails. `known_types` are the names of all event types.

        The record may come from another version or have been edited by hand, so it is checked
        again. What is wrong with it becomes its `refusal`; other endpoints are not affected.
        """
        profile = PROFILES.get(endpoint.profile, PROFILES["standard"])
        opened = self._open(endpoint)
        payload_filter = _payload_filter(endpoint)
        target = self._target(endpoint, opened)
        if isinstance(payload_filter, Refusal):
            target = payload_filter
        template = _text_template(endpoint, profile)
        if isinstance(template, tuple):
            target = Refusal("unusable", f"Its text template cannot be used: {template}.")
        opened = opened if isinstance(opened, _OpenedSecrets) else _OpenedSecrets()
        return CompiledEndpoint(
            endpoint=endpoint,
            profile=profile,
            filter=compile_filter(
                endpoint.selectors,
                _channels(endpoint),
                known=known_types,
                platform=profile.has_platform_names,
            ),
            payload_filter=None if isinstance(payload_filter, Refusal) else payload_filter,
            text_template=None if isinstance(template, tuple) else template,
            target=target if isinstance(target, Target) else None,
            refusal=target if isinstance(target, Refusal) else None,
            prefix=self._prefix(target, profile),
            custom_headers=tuple(
                (name.lower(), f"{name}: {value}\r\n") for name, value in opened.headers
            ),
            interval=interval_of(endpoint.throttle_rate, endpoint.allowed_rate),
            secrets=opened.secrets,
            schedule_s=self._schedule(endpoint, profile),
            timeout_s=endpoint.timeout_s or profile.timeout_s,
            success=endpoint.success or profile.success,
            width=self._width(endpoint),
            is_active=endpoint.status is EndpointStatus.ACTIVE,
            destination=endpoint.destination(),
        )

    def _open(self, endpoint: Endpoint) -> _OpenedSecrets | Refusal:
        def open_(sealed: str) -> str:
            return self._vault.open(sealed, endpoint.id)

        try:
            return _OpenedSecrets(
                tuple((open_(secret.sealed), secret.expires_at) for secret in endpoint.secrets),
                tuple((name, open_(sealed)) for name, sealed in endpoint.headers.items()),
            )
        except Misconfigured as error:
            return Refusal("unusable", f"The endpoint's secrets cannot be opened: {error}")

    def _target(self, endpoint: Endpoint, opened: _OpenedSecrets | Refusal) -> Target | Refusal:
        if isinstance(opened, Refusal):
            return opened
        if endpoint.profile not in PROFILES:
            return Refusal("unusable", f"This version has no profile {endpoint.profile!r}.")
        if problems := check_custom_headers(dict(opened.headers)):
            return Refusal("blocked_header", f"A custom header is not allowed: {problems[0].msg}")
        try:
            return self._policy.check_url(endpoint.url)
        except Invalid as error:
            problem = error.problems[0]
            is_address = problem.type.endswith("_address")
            return Refusal("blocked_address" if is_address else "blocked_url", problem.msg)

    def _prefix(self, target: Target | Refusal, profile: Profile) -> bytes:
        if isinstance(target, Refusal):
            return b""
        lines = [
            b"POST " + target.path + b" HTTP/1.1",
            b"Host: " + target.host_header,
            b"User-Agent: " + self._settings.user_agent.encode(),
            b"Accept-Encoding: identity",
            b"Content-Type: " + profile.content_type.encode(),
        ]
        if profile.sends_origin:
            lines.append(b"WebHook-Request-Origin: " + self._settings.origin.encode())
        return b"\r\n".join(lines) + b"\r\n"

    def _schedule(self, endpoint: Endpoint, profile: Profile) -> tuple[int, ...]:
        if endpoint.retry_schedule is not None:
            return endpoint.retry_schedule
        settings = self._settings
        if profile.name == settings.default_profile and settings.retry_schedule is not None:
            return settings.retry_schedule
        return profile.schedule_s

    def _width(self, endpoint: Endpoint) -> WidthBounds:
        settings = self._settings
        return width_bounds(
            endpoint.max_concurrency,
            default=settings.endpoint_concurrency,
            slots=settings.max_in_flight,
        )


def _text_template(endpoint: Endpoint, profile: Profile) -> TextTemplate | TemplateProblem | None:
    if endpoint.text_template is None:
        return None
    from tillbell.profiles.text_template import read_text_template

    return read_text_template(endpoint.text_template, profile)


def _payload_filter(endpoint: Endpoint) -> PayloadFilter | Refusal | None:
    if not endpoint.payload_filter:
        return None
    read = read_payload_filter(endpoint.payload_filter)
    if isinstance(read, FilterProblems):
        return Refusal("unusable", f"Its filter cannot be read: {read.problems[0].msg}")
    return read


def _channels(endpoint: Endpoint) -> tuple[str, ...] | None:
    """Return the channels of an endpoint; that of its source, if it is the webhook of one."""
    if endpoint.source_id is not None:
        return (of_source(endpoint.source_id),)
    return endpoint.channels


Compile = Callable[[Endpoint, Collection[str]], CompiledEndpoint]
