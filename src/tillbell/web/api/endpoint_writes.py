"""Changes of endpoints: checked, sealed, stored. Used for applications' and operational ones.

One change at a time: each is a read, a decision and a write, and two at once must not undo
each other (a rotation and a new description, say).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tillbell.app import Gateway
from tillbell.clock import HOUR, SECOND
from tillbell.errors import Invalid, Problem
from tillbell.ids import token
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus, SigningSecret
from tillbell.profiles import PROFILES
from tillbell.rules.delivery.headers import check_custom_headers, is_secret_header
from tillbell.web.api.endpoint_checks import changes_of, check_endpoint, check_secret
from tillbell.web.api.secret_ends import expiring
from tillbell.web.api.shapes.endpoints import (
    EndpointFields,
    EndpointIn,
    EndpointPatch,
    EndpointUpsertIn,
    RotateIn,
)

SECRETS_MAX = 5  # in overlap at once; the oldest goes first

# What a PUT that leaves it out sets back.
_UNSET: dict[str, Any] = {
    "description": "",
    "metadata": {},
    "selectors": None,
    "channels": None,
    "throttle_rate": None,
}


class EndpointWriter:
    """See the module."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._turn = asyncio.Lock()

    async def create(self, scope: str, body: EndpointIn) -> Endpoint:
        """Add an endpoint to an application."""
        now = self._gateway.clock.now()
        blank = Endpoint(
            id=self._gateway.ids.new("ep", now),
            scope=scope,
            url=body.url,
            created_at=now,
            updated_at=now,
        )
        endpoint = msgspec.structs.replace(blank, **changes_of(body))
        await self._check(endpoint, body)
        await self._shake_hands(endpoint)
        if body.headers:
            endpoint = self._with_headers(endpoint, body.headers)
        endpoint = self._with_first_secret(endpoint, body.secret)
        await self._gateway.directory.put(endpoint)
        return endpoint

    async def upsert(
        self, scope: str, id_or_uid: str, body: EndpointUpsertIn
    ) -> tuple[Endpoint, bool]:
        """Replace an endpoint or create it with that uid; say whether it is new.

        Secret, headers, status and our own fields (profile, …) stay unless the body names them.
        """
        async with self._turn:
            present = await self._gateway.directory.endpoint(scope, id_or_uid)
            if present is not None:
                return await self._change(present, _UNSET | changes_of(body), body), False
            named = {"uid": id_or_uid} | body.model_dump(by_alias=True, exclude_unset=True)
            return await self.create(scope, EndpointIn.model_validate(named)), True

    async def patch(self, scope: str, id_: str, body: EndpointPatch) -> Endpoint | None:
        """Change what the body names; None if the endpoint is gone."""
        async with self._turn:
            present = await self._gateway.directory.endpoint(scope, id_)
            return await self._change(present, changes_of(body), body) if present else None

    async def set_headers(self, scope: str, id_: str, headers: dict[str, str]) -> bool:
        """Replace all custom headers."""
        async with self._turn:
            present = await self._gateway.directory.endpoint(scope, id_)
            if present is None:
                return False
            await self._store(self._with_headers(present, headers))
            return True

    async def patch_headers(
        self, scope: str, id_: str, headers: dict[str, str], gone: list[str]
    ) -> bool:
        """Set some custom headers and delete others; names in any case."""
        async with self._turn:
            present = await self._gateway.directory.endpoint(scope, id_)
            if present is None:
                return False
            dropped = {name.lower() for name in (*headers, *gone)}
            opened = self.opened_headers(present)
            kept = {n: v for n, v in opened.items() if n.lower() not in dropped}
            await self._store(self._with_headers(present, {**kept, **headers}))
            return True

    async def rotate(self, scope: str, id_: str, body: RotateIn) -> str | None:
        """Use a new signing secret; the old ones go on signing for the grace period."""
        async with self._turn:
            present = await self._gateway.directory.endpoint(scope, id_)
            if present is None:
                return None
            now = self._gateway.clock.now()
            grace_s = body.grace_period_seconds
            overlap = self._gateway.settings.secret_overlap_hours * HOUR
            until = now + (grace_s * SECOND if grace_s is not None else overlap)
            text = body.key or PROFILES[present.profile].new_secret(token())
            check_secret(present.profile, text, "key")
            old = expiring(present.secrets, now, until)
            secrets = (self._seal(present.id, text), *old)[:SECRETS_MAX]
            await self._store(msgspec.structs.replace(present, secrets=secrets))
            return text

    def secret(self, endpoint: Endpoint) -> str:
        """Return the signing secret in use, "" if there is none."""
        for secret in endpoint.secrets:
            if secret.expires_at is None:
                return self._gateway.vault.open(secret.sealed, endpoint.id)
        return ""

    def opened_headers(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the custom headers in the clear."""
        vault = self._gateway.vault
        return {name: vault.open(value, endpoint.id) for name, value in endpoint.headers.items()}

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, present: Endpoint, changes: dict[str, Any], body: EndpointFields
    ) -> Endpoint:
        endpoint = msgspec.structs.replace(present, **changes)
        await self._check(endpoint, body)
        if (endpoint.url, endpoint.handshake) != (present.url, present.handshake):
            await self._shake_hands(endpoint)
        if endpoint.profile != present.profile:
            endpoint = self._in_new_profile(endpoint)
        if endpoint.status is EndpointStatus.ACTIVE is not present.status:
            await self._forgive(endpoint)
        return await self._store(endpoint)

    async def _store(self, endpoint: Endpoint) -> Endpoint:
        fresh = msgspec.structs.replace(
            endpoint, version=endpoint.version + 1, updated_at=self._gateway.clock.now()
        )
        await self._gateway.directory.put(fresh)
        return fresh

    async def _check(self, endpoint: Endpoint, body: EndpointFields) -> None:
        self._gateway.policy.check_url(endpoint.url)
        known = await self._gateway.directory.known_event_types()
        problems = check_endpoint(endpoint, body, known)
        if problems:
            raise Invalid(*problems)

    async def _shake_hands(self, endpoint: Endpoint) -> None:
        if not endpoint.handshake:
            return
        refusal = await self._gateway.handshake.refusal(endpoint.url)
        if refusal is not None:
            raise Invalid(Problem(("body", "handshake"), refusal, "handshake"))

    async def _forgive(self, endpoint: Endpoint) -> None:
        """Begin anew with its health: else the next failure would pause it again at once."""
        health = EndpointHealth(id=endpoint.id, scope=endpoint.scope)
        await self._gateway.directory.put(health)
        self._gateway.dispatcher.remember_health(health)

    def _with_first_secret(self, endpoint: Endpoint, chosen: str | None) -> Endpoint:
        profile = PROFILES[endpoint.profile]
        if chosen is not None:
            check_secret(endpoint.profile, chosen, "secret")
        elif profile.makes_secret:
            chosen = profile.new_secret(token())
        else:
            return endpoint
        return msgspec.structs.replace(endpoint, secrets=(self._seal(endpoint.id, chosen),))

    def _in_new_profile(self, endpoint: Endpoint) -> Endpoint:
        """Keep the secret if the new profile can use it."""
        text = self.secret(endpoint)
        if not text:
            return self._with_first_secret(endpoint, None)
        wrong = PROFILES[endpoint.profile].check_secret(text)
        if wrong is not None:
            message = f"{endpoint.profile} cannot use the present secret: {wrong}"
            raise Invalid(Problem(("body", "profile"), message, "secret"))
        return endpoint

    def _with_headers(self, endpoint: Endpoint, headers: dict[str, str]) -> Endpoint:
        problems = check_custom_headers(headers)
        if problems:
            raise Invalid(*problems)
        vault = self._gateway.vault
        sealed = {name: vault.seal(value, endpoint.id) for name, value in headers.items()}
        secret = tuple(sorted(name for name in headers if is_secret_header(name)))
        return msgspec.structs.replace(endpoint, headers=sealed, secret_headers=secret)

    def _seal(self, endpoint_id: str, text: str) -> SigningSecret:
        return SigningSecret(sealed=self._gateway.vault.seal(text, endpoint_id))
