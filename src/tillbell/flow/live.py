"""An endpoint made ready to send to: everything that does not change between attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tillbell.clock import Micros
from tillbell.config import Settings
from tillbell.errors import Invalid
from tillbell.flow.addresses import AddressPolicy, Target
from tillbell.models import Endpoint, EndpointStatus, SigningSecret
from tillbell.profiles import PROFILES
from tillbell.profiles.base import Profile
from tillbell.rules.selectors import Filter, compile_filter
from tillbell.rules.width import Width, bounds
from tillbell.vault import Vault


class Live(NamedTuple):
    """One endpoint, compiled. Rebuilt whenever the endpoint changes."""

    endpoint: Endpoint
    profile: Profile
    filter: Filter
    target: Target | None  # None: the URL may not be called; the next two say why
    url_error: str  # blocked_url or blocked_address
    url_problem: str
    prefix: bytes  # request line and the headers that never change
    secrets: tuple[tuple[str, Micros | None], ...]  # text, expiry
    schedule_s: tuple[int, ...]
    timeout_s: int
    success: str
    width: Width
    is_active: bool  # whether attempts may be made

    @property
    def takes_messages(self) -> bool:
        """Tell whether new messages make deliveries. A paused endpoint's are kept for later."""
        return self.endpoint.status is not EndpointStatus.DISABLED

    def secrets_at(self, now: Micros) -> list[str]:
        """Return the secrets that sign now: the current one, then those in their overlap."""
        return [text for text, expires_at in self.secrets if expires_at is None or now < expires_at]


class LiveMaker:
    """Compiles endpoints with this server's settings, keys and address policy."""

    def __init__(self, settings: Settings, vault: Vault, policy: AddressPolicy) -> None:
        self._settings = settings
        self._vault = vault
        self._policy = policy

    def make(self, endpoint: Endpoint) -> Live:
        """Compile an endpoint."""
        profile = PROFILES[endpoint.profile]
        target, error, problem = self._target(endpoint.url)
        return Live(
            endpoint=endpoint,
            profile=profile,
            filter=compile_filter(endpoint.selectors, endpoint.channels),
            target=target,
            url_error=error,
            url_problem=problem,
            prefix=self._prefix(endpoint, target, profile.content_type) if target else b"",
            secrets=tuple(self._secrets(endpoint)),
            schedule_s=self._schedule(endpoint, profile),
            timeout_s=endpoint.timeout_s or profile.timeout_s,
            success=endpoint.success or profile.success,
            width=self._width(endpoint),
            is_active=endpoint.status is EndpointStatus.ACTIVE,
        )

    def _target(self, url: str) -> tuple[Target | None, str, str]:
        try:
            return self._policy.check_url(url), "", ""
        except Invalid as refusal:
            problem = refusal.problems[0]
            is_address = problem.type.endswith("_address")
            return None, "blocked_address" if is_address else "blocked_url", problem.msg

    def _prefix(self, endpoint: Endpoint, target: Target, content_type: str) -> bytes:
        lines = [
            b"POST " + target.path + b" HTTP/1.1",
            b"Host: " + target.host_header,
            b"User-Agent: " + self._settings.user_agent.encode(),
            b"Accept-Encoding: identity",
            b"Content-Type: " + content_type.encode(),
        ]
        for name, sealed in endpoint.headers.items():
            value = self._vault.open(sealed, endpoint.id)
            lines.append(f"{name}: {value}".encode("ascii"))
        return b"\r\n".join(lines) + b"\r\n"

    def _secrets(self, endpoint: Endpoint) -> list[tuple[str, Micros | None]]:
        def opened(secret: SigningSecret) -> tuple[str, Micros | None]:
            return self._vault.open(secret.sealed, endpoint.id), secret.expires_at

        return [opened(secret) for secret in endpoint.secrets]

    def _schedule(self, endpoint: Endpoint, profile: Profile) -> tuple[int, ...]:
        if endpoint.retry_schedule is not None:
            return endpoint.retry_schedule
        if profile.name == "standard" and self._settings.retry_schedule is not None:
            return self._settings.retry_schedule
        return profile.schedule_s

    def _width(self, endpoint: Endpoint) -> Width:
        settings = self._settings
        return bounds(
            endpoint.max_concurrency,
            default=settings.endpoint_concurrency,
            slots=settings.max_in_flight,
        )


Compile = Callable[[Endpoint], Live]
