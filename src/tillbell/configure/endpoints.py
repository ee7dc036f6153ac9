"""Endpoints: checked, sealed, stored. Applications' and operational ones.

What must happen outside before a change is stored (a receiver that is asked, a health that begins
anew) cannot be done inside the plain function that makes the change. So that function raises what
it needs; it is done, and the change is made again from what is stored then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell.configure.endpoint_checks import check_endpoint, check_secret
from tillbell.configure.names import checked_uid
from tillbell.configure.parts import Parts
from tillbell.configure.secrets import overlap, rotated
from tillbell.deliver.handshake import Handshake
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.errors import ConflictError, Invalid, Problem
from tillbell.http.address_policy import AddressPolicy
from tillbell.ids import token
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus, SigningSecret
from tillbell.profiles import PROFILES
from tillbell.rules.delivery.headers import check_custom_headers, is_secret_header

T = TypeVar("T")

NEEDS_MAX = 5  # of one change: more, and somebody else moves the endpoint all the time

# What replacing an endpoint sets back where it is not named.
_UNSET: Mapping[str, Any] = {
    "description": "",
    "metadata": {},
    "selectors": None,
    "channels": None,
    "throttle_rate": None,
}


class EndpointChanges(NamedTuple):
    """What a request says of an endpoint. `fields` are fields of the record, by name."""

    fields: Mapping[str, Any]
    selectors_named: str | None = None  # the member of the body that names them, for problems
    secret: str | None = None  # of a new one; None: made, if its profile signs
    headers: Mapping[str, str] | None = None  # of a new one


class _Readiness(NamedTuple):
    """What is known, and what was done, before a change is made."""

    known_event_types: frozenset[str]
    asked: frozenset[str] = frozenset()  # URLs whose receiver wants our messages
    has_new_health: bool = False


class _UnaskedError(Exception):
    """The receiver at this URL must be asked first."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _OldHealthError(Exception):
    """The health of this endpoint must begin anew first."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.id)
        self.endpoint = endpoint


class Endpoints:
    """See the module."""

    def __init__(self, parts: Parts, policy: AddressPolicy, handshake: Handshake) -> None:
        self._directory, self._clock, self._ids, self._vault, self._overlap_hours = parts
        self._policy = policy
        self._handshake = handshake
        self.on_new_health: Callable[[EndpointHealth], object] = lambda _: None

    async def create(self, scope: str, changes: EndpointChanges) -> Endpoint:
        """Add an endpoint to an application. `Conflict` if its uid is taken."""

        async def add(ready: _Readiness) -> Endpoint:
            endpoint = self._made(scope, changes, ready)
            await self._directory.add(endpoint)
            return endpoint

        return await self._when_ready(add)

    async def upsert(
        self, scope: str, id_or_uid: str, changes: EndpointChanges
    ) -> ChangedRecord[Endpoint]:
        """Replace an endpoint, or create it with that uid.

        Secret, headers, status and our own fields (profile, …) stay unless they are named.
        """
        whole = changes._replace(fields={**_UNSET, **changes.fields})
        new = changes._replace(fields={"uid": id_or_uid, **changes.fields})

        async def replace(ready: _Readiness) -> ChangedRecord[Endpoint]:
            def replaced(present: Endpoint | None) -> Endpoint:
                if present is None:
                    return self._made(scope, new, ready)
                return self._changed(present, whole, ready)

            return await self._directory.change_or_add(Endpoint, scope, id_or_uid, replaced)

        return await self._when_ready(replace)

    async def patch(self, scope: str, id_: str, changes: EndpointChanges) -> Endpoint:
        """Change what is named. `NotFound` if the endpoint is gone, as of all that follow."""

        async def change(ready: _Readiness) -> Endpoint:
            return await self._change(
                scope, id_, lambda present: self._changed(present, changes, ready)
            )

        return await self._when_ready(change)

    async def remove(self, scope: str, id_: str) -> None:
        """Remove an endpoint; what still waits for it is discarded."""
        await self._directory.remove(Endpoint, id_, scope)

    async def set_headers(self, scope: str, id_: str, headers: Mapping[str, str]) -> None:
        """Replace all custom headers."""
        await self._change(scope, id_, lambda present: self._with_headers(present, headers))

    async def patch_headers(
        self, scope: str, id_: str, headers: Mapping[str, str], gone: list[str]
    ) -> None:
        """Set some custom headers and delete others; names in any case."""
        dropped = {name.lower() for name in (*headers, *gone)}

        def patched(present: Endpoint) -> Endpoint:
            opened = self.opened_headers(present)
            staying = {n: v for n, v in opened.items() if n.lower() not in dropped}
            return self._with_headers(present, {**staying, **headers})

        await self._change(scope, id_, patched)

    async def rotate(
        self, scope: str, id_: str, key: str | None = None, grace_s: int | None = None
    ) -> str:
        """Use a new signing secret and return it; the old ones sign too for the grace period."""
        going_on = overlap(self._clock.now(), grace_s, self._overlap_hours)

        def with_new_secret(present: Endpoint) -> Endpoint:
            text = key or PROFILES[present.profile].new_secret(token())
            check_secret(present.profile, text, "key")
            secrets = rotated(self._seal(present.id, text), present.secrets, going_on)
            return msgspec.structs.replace(present, secrets=secrets)

        return self.secret(await self._change(scope, id_, with_new_secret))

    def secret(self, endpoint: Endpoint) -> str:
        """Return the signing secret in use, "" if there is none."""
        for secret in endpoint.secrets:
            if secret.expires_at is None:
                return self._vault.open(secret.sealed, endpoint.id)
        return ""

    def opened_headers(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the custom headers in the clear."""
        return {n: self._vault.open(value, endpoint.id) for n, value in endpoint.headers.items()}

    # ── what a change needs first ────────────────────────────────────────────────────────────────

    async def _when_ready(self, act: Callable[[_Readiness], Awaitable[T]]) -> T:
        """Do an act, and first what it turns out to need."""
        ready = _Readiness(self._directory.known_event_types())
        for _ in range(NEEDS_MAX):
            try:
                return await act(ready)
            except _UnaskedError as need:
                await self._ask(need.url)
                ready = ready._replace(asked=ready.asked | {need.url})
            except _OldHealthError as need:
                await self._begin_anew(need.endpoint)
                ready = ready._replace(has_new_health=True)
        raise ConflictError("It is changing all the time; try again.")

    async def _ask(self, url: str) -> None:
        refusal = await self._handshake.refusal(url)
        if refusal is not None:
            raise Invalid(Problem(("body", "handshake"), refusal, "handshake"))

    async def _begin_anew(self, endpoint: Endpoint) -> None:
        """Forget how it failed: else the next failure would pause it again at once."""
        health = EndpointHealth(id=endpoint.id, scope=endpoint.scope)
        self.on_new_health(health)
        await self._directory.change_or_add(
            EndpointHealth, endpoint.scope, endpoint.id, lambda _: health
        )

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, scope: str, id_: str, apply: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        return (await self._directory.change(Endpoint, scope, id_, apply)).record

    def _made(self, scope: str, changes: EndpointChanges, ready: _Readiness) -> Endpoint:
        now = self._clock.now()
        endpoint = Endpoint(
            id=self._ids.new("ep", now),
            scope=scope,
            created_at=now,
            updated_at=now,
            **changes.fields,
        )
        self._check(endpoint, changes, ready)
        if endpoint.handshake and endpoint.url not in ready.asked:
            raise _UnaskedError(endpoint.url)
        if changes.headers:
            endpoint = self._with_headers(endpoint, changes.headers)
        return self._with_first_secret(endpoint, changes.secret)

    def _changed(self, present: Endpoint, changes: EndpointChanges, ready: _Readiness) -> Endpoint:
        endpoint = msgspec.structs.replace(present, **changes.fields)
        self._check(endpoint, changes, ready)
        is_elsewhere = (endpoint.url, endpoint.handshake) != (present.url, present.handshake)
        if endpoint.handshake and is_elsewhere and endpoint.url not in ready.asked:
            raise _UnaskedError(endpoint.url)
        if endpoint.profile != present.profile:
            endpoint = self._in_new_profile(endpoint)
        wakes = endpoint.status is EndpointStatus.ACTIVE is not present.status
        if wakes and not ready.has_new_health:
            raise _OldHealthError(endpoint)
        return endpoint

    def _check(self, endpoint: Endpoint, changes: EndpointChanges, ready: _Readiness) -> None:
        checked_uid(changes.fields.get("uid"))
        self._policy.check_url(endpoint.url)
        problems = check_endpoint(endpoint, ready.known_event_types, changes.selectors_named)
        if problems:
            raise Invalid(*problems)

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

    def _with_headers(self, endpoint: Endpoint, headers: Mapping[str, str]) -> Endpoint:
        problems = check_custom_headers(headers)
        if problems:
            raise Invalid(*problems)
        sealed = {name: self._vault.seal(value, endpoint.id) for name, value in headers.items()}
        secret = tuple(sorted(name for name in headers if is_secret_header(name)))
        return msgspec.structs.replace(endpoint, headers=sealed, secret_headers=secret)

    def _seal(self, endpoint_id: str, text: str) -> SigningSecret:
        return SigningSecret(sealed=self._vault.seal(text, endpoint_id))
