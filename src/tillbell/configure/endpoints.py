"""Changes of endpoints, of applications and operational ones.

Some changes need I/O first: a handshake with the receiver, or a reset of the endpoint's health.
The plain function that computes the change cannot do I/O, so it raises what it needs. That is
done, and the change is computed again from the endpoint as it is stored then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from tillbell import ed25519
from tillbell.configure.endpoint_checks import check_endpoint, check_secret, check_sent_once
from tillbell.configure.names import checked_uid
from tillbell.configure.parts import Parts
from tillbell.configure.secrets import overlap, rotated
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.deliver.handshake import Handshake, Permission
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.errors import ConflictError, Invalid, Problem
from tillbell.http.address_policy import AddressPolicy
from tillbell.ids import token
from tillbell.model.endpoints import Endpoint, EndpointHealth, EndpointStatus, SigningSecret
from tillbell.profiles import PROFILES
from tillbell.rules.delivery.headers import check_custom_headers, is_secret_header
from tillbell.rules.delivery.health import begun_anew

T = TypeVar("T")

ED25519 = "ed25519"
NEEDS_MAX = 5  # of one change; more means that others keep changing the endpoint

# Replacing an endpoint resets these fields unless they are named.
_UNSET: Mapping[str, Any] = {
    "description": "",
    "metadata": {},
    "selectors": None,
    "channels": None,
    "throttle_rate": None,
    "text_template": None,
    "declared_version": 1,
}


class EndpointDefaults(NamedTuple):
    """What a new endpoint gets that names no profile or secret."""

    profile: str = "standard"
    signature: str = "hmac256"  # or "ed25519", where its profile can use that


class EndpointChanges(NamedTuple):
    """The changes of a request. `fields` are fields of the record by name."""

    fields: Mapping[str, Any]
    selectors_named: str | None = None  # the member of the body with the selectors, for problems
    secret: str | None = None  # of a new endpoint; None: generated, if its profile signs
    sets_secret: bool = (
        False  # `secret` replaces that of an endpoint that exists; None: it has none
    )
    headers: Mapping[str, str] | None = None  # of a new endpoint
    hidden_types: frozenset[str] = frozenset()  # event types that do not exist for who asks


class _Preparation(NamedTuple):
    """What has been read and done before a change is computed."""

    known_event_types: frozenset[str]
    permissions: Mapping[str, Permission] = MappingProxyType({})  # by URL, after the handshake
    has_reset_health: bool = False


class _HandshakeNeededError(Exception):
    """The change needs a handshake with the receiver at this URL."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class _HealthResetNeededError(Exception):
    """The change needs a reset of the endpoint's health."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.id)
        self.endpoint = endpoint


class Endpoints:
    """Creates, changes and removes endpoints, their headers and secrets.

    `on_changed` is called after each with `endpoint.created`, `.updated` or `.deleted`.
    """

    def __init__(
        self,
        parts: Parts,
        policy: AddressPolicy,
        handshake: Handshake,
        defaults: EndpointDefaults | None = None,
    ) -> None:
        self._directory, self._clock, self._ids, self._vault, self._overlap_hours = parts
        self._policy = policy
        self._handshake = handshake
        self._defaults = defaults or EndpointDefaults()
        self.on_new_health: Callable[[EndpointHealth], object] = lambda _: None
        self.on_changed: Callable[[str, Endpoint], object] = lambda *_: None

    async def create(self, scope: str, changes: EndpointChanges) -> Endpoint:
        """Add an endpoint to an application. `Conflict` if its uid is taken."""

        async def add(prepared: _Preparation) -> Endpoint:
            endpoint = self._new(scope, changes, prepared)
            await self._directory.add(endpoint)
            return endpoint

        endpoint = await self._prepared(add)
        self.on_changed("endpoint.created", endpoint)
        return endpoint

    async def upsert(
        self, scope: str, id_or_uid: str, changes: EndpointChanges
    ) -> ChangedRecord[Endpoint]:
        """Replace an endpoint, or create it with this uid.

        Secret, headers, status and other fields outside of `_UNSET` stay unless they are named.
        An endpoint that is named by its id loses its uid unless `changes` name one.
        """
        uid = changes.fields.get("uid")
        replacement = changes._replace(fields={**_UNSET, **changes.fields})
        new = changes._replace(fields={**changes.fields, "uid": uid or id_or_uid})

        async def replace(prepared: _Preparation) -> ChangedRecord[Endpoint]:
            def replaced(current: Endpoint | None) -> Endpoint:
                if current is None:
                    return self._new(scope, new, prepared)
                next_uid = uid if current.id == id_or_uid else uid or current.uid
                fields = {**replacement.fields, "uid": next_uid}
                return self._changed(current, replacement._replace(fields=fields), prepared)

            return await self._directory.change_or_add(Endpoint, scope, id_or_uid, replaced)

        changed = await self._prepared(replace)
        is_new = changed.before is None
        self.on_changed("endpoint.created" if is_new else "endpoint.updated", changed.record)
        return changed

    async def patch(self, scope: str, id_: str, changes: EndpointChanges) -> Endpoint:
        """Change the named fields. `NotFound` if the endpoint does not exist, as below."""

        async def change(prepared: _Preparation) -> Endpoint:
            return await self._change(
                scope, id_, lambda current: self._changed(current, changes, prepared)
            )

        return await self._prepared(change)

    async def remove(self, scope: str, id_: str) -> None:
        """Remove an endpoint; its waiting deliveries are discarded."""
        endpoint = await self._directory.endpoint(scope, id_)
        is_removed = await self._directory.remove(Endpoint, id_, scope)
        await self._directory.remove(EndpointHealth, id_, scope)
        if is_removed and endpoint is not None:
            self.on_changed("endpoint.deleted", endpoint)

    async def set_headers(self, scope: str, id_: str, headers: Mapping[str, str]) -> None:
        """Replace all custom headers."""
        await self._change(scope, id_, lambda current: self._with_headers(current, headers))

    async def patch_headers(
        self, scope: str, id_: str, headers: Mapping[str, str], deleted: list[str]
    ) -> None:
        """Set some custom headers and delete others. Names are compared without case."""
        replaced_names = {name.lower() for name in (*headers, *deleted)}

        def patched(current: Endpoint) -> Endpoint:
            opened = self.opened_headers(current)
            others = {n: v for n, v in opened.items() if n.lower() not in replaced_names}
            return self._with_headers(current, {**others, **headers})

        await self._change(scope, id_, patched)

    async def rotate(
        self, scope: str, id_: str, key: str | None = None, grace_s: int | None = None
    ) -> str:
        """Use a new signing secret and return what `shown_secret` shows of it.

        The old ones also sign for the grace period. A secret that is not given is of the kind of
        the one before. `Malformed` if too many old ones are still valid.
        """
        grace = overlap(self._clock.now(), grace_s, self._overlap_hours)

        def with_new_secret(current: Endpoint) -> Endpoint:
            text = key or self._new_secret(current)
            check_secret(current.profile, text, "key")
            secrets = rotated(self._seal(current.id, text), current.secrets, grace)
            return msgspec.structs.replace(current, secrets=secrets)

        return self.shown_secret(await self._change(scope, id_, with_new_secret))

    def shown_secret(self, endpoint: Endpoint) -> str:
        """Return the signing secret in use; of an ed25519 one its public key. "" for none.

        Who reads it can verify, and with HMAC sign too; an ed25519 secret leaves us never.
        """
        text = self._secret(endpoint)
        return ed25519.public_text(text) if text.startswith(ed25519.SECRET_PREFIX) else text

    def _secret(self, endpoint: Endpoint) -> str:
        """Return the signing secret in use, "" if there is none."""
        for secret in endpoint.secrets:
            if secret.expires_at is None:
                return self._vault.open(secret.sealed, endpoint.id)
        return ""

    def opened_headers(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the custom headers in clear text."""
        return {n: self._vault.open(value, endpoint.id) for n, value in endpoint.headers.items()}

    # ── what a change needs first ────────────────────────────────────────────────────────────────

    async def _prepared(self, act: Callable[[_Preparation], Awaitable[T]]) -> T:
        """Run a change, and do what it needs before it can succeed."""
        prepared = _Preparation(self._directory.known_event_types())
        for _ in range(NEEDS_MAX):
            try:
                return await act(prepared)
            except _HandshakeNeededError as need:
                permission = await self._shake_hands(need.url)
                permissions = {**prepared.permissions, need.url: permission}
                prepared = prepared._replace(permissions=permissions)
            except _HealthResetNeededError as need:
                await self._reset_health(need.endpoint)
                prepared = prepared._replace(has_reset_health=True)
        raise ConflictError("The endpoint was changed at the same time; try again.")

    async def _shake_hands(self, url: str) -> Permission:
        permission = await self._handshake.ask(url)
        if permission.refusal is not None:
            raise Invalid(Problem(("body", "handshake"), permission.refusal, "handshake"))
        return permission

    async def _reset_health(self, endpoint: Endpoint) -> None:
        """Reset the health, or the next failure would pause the endpoint again at once."""

        def reset(health: EndpointHealth | None) -> EndpointHealth:
            return begun_anew(health or EndpointHealth(id=endpoint.id, scope=endpoint.scope))

        changed = await self._directory.change_or_add(
            EndpointHealth, endpoint.scope, endpoint.id, reset
        )
        self.on_new_health(changed.record)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, scope: str, id_: str, apply: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        endpoint = (await self._directory.change(Endpoint, scope, id_, apply)).record
        self.on_changed("endpoint.updated", endpoint)
        return endpoint

    def _new(self, scope: str, changes: EndpointChanges, prepared: _Preparation) -> Endpoint:
        now = self._clock.now()
        endpoint = Endpoint(
            id=self._ids.new("ep", now),
            scope=scope,
            created_at=now,
            updated_at=now,
            **{"profile": self._default_profile(scope), **changes.fields},
        )
        endpoint = self._with_new_url(endpoint)
        self._check(endpoint, changes, prepared)
        endpoint = self._with_permission(endpoint, prepared)
        if changes.headers:
            endpoint = self._with_headers(endpoint, changes.headers)
        return self._with_first_secret(endpoint, changes.secret)

    def _default_profile(self, scope: str) -> str:
        """Return the default profile; `standard` if it has no place for operational messages."""
        name = self._defaults.profile
        if scope == OPERATIONAL and not PROFILES[name].parts("endpoint.disabled", None):
            return "standard"
        return name

    def _changed(
        self, current: Endpoint, changes: EndpointChanges, prepared: _Preparation
    ) -> Endpoint:
        endpoint = msgspec.structs.replace(current, **changes.fields)
        if endpoint.profile != current.profile and endpoint.selectors is not None:
            # What the selectors mean depends on the profile.
            changes = changes._replace(selectors_named=changes.selectors_named or "filterTypes")
        if endpoint.url != current.url:
            endpoint = self._with_new_url(endpoint)
        self._check(endpoint, changes, prepared)
        has_new_receiver = (endpoint.url, endpoint.handshake) != (current.url, current.handshake)
        if has_new_receiver:
            endpoint = self._with_permission(endpoint, prepared)
        if changes.sets_secret:
            endpoint = self._with_only_secret(endpoint, changes.secret)
        elif endpoint.profile != current.profile:
            endpoint = self._in_new_profile(endpoint)
        is_reactivated = endpoint.status is EndpointStatus.ACTIVE is not current.status
        if is_reactivated and not prepared.has_reset_health:
            raise _HealthResetNeededError(endpoint)
        return endpoint

    def _with_permission(self, endpoint: Endpoint, prepared: _Preparation) -> Endpoint:
        """Note the rate that the receiver granted; none without a handshake."""
        permission = prepared.permissions.get(endpoint.url)
        if endpoint.handshake and permission is None:
            raise _HandshakeNeededError(endpoint.url)
        rate = permission.allowed_rate if permission and endpoint.handshake else None
        return msgspec.structs.replace(endpoint, allowed_rate=rate)

    def _with_new_url(self, endpoint: Endpoint) -> Endpoint:
        """Write a URL that is saved in its one form. What older versions saved stays as it is."""
        return msgspec.structs.replace(endpoint, url=self._policy.check_new_url(endpoint.url))

    def _check(self, endpoint: Endpoint, changes: EndpointChanges, prepared: _Preparation) -> None:
        checked_uid(changes.fields.get("uid"))
        self._policy.check_url(endpoint.url)
        known = prepared.known_event_types - changes.hidden_types
        problems = check_endpoint(endpoint, known, changes.selectors_named)
        if problems:
            raise Invalid(*problems)

    def _with_first_secret(self, endpoint: Endpoint, chosen: str | None) -> Endpoint:
        profile = PROFILES[endpoint.profile]
        if chosen is not None:
            check_secret(endpoint.profile, chosen, "secret")
        elif profile.makes_secret:
            chosen = self._new_secret(endpoint)
        else:
            return endpoint
        return msgspec.structs.replace(endpoint, secrets=(self._seal(endpoint.id, chosen),))

    def _with_only_secret(self, endpoint: Endpoint, chosen: str | None) -> Endpoint:
        """Use this secret at once and no other; None: the profile's own choice."""
        if chosen is not None and chosen == self._secret(endpoint):
            return endpoint
        return self._with_first_secret(msgspec.structs.replace(endpoint, secrets=()), chosen)

    def _new_secret(self, endpoint: Endpoint) -> str:
        """Make a secret of the kind of the present one; a first one by the server's default."""
        profile, present = PROFILES[endpoint.profile], self._secret(endpoint)
        is_ed25519 = self._defaults.signature == ED25519
        if present:
            is_ed25519 = present.startswith(ed25519.SECRET_PREFIX)
        if is_ed25519:
            text = ed25519.new_secret(token())
            if profile.check_secret(text) is None:
                return text
        return profile.new_secret(token())

    def _in_new_profile(self, endpoint: Endpoint) -> Endpoint:
        """Keep the secret if the new profile can use it."""
        text = self._secret(endpoint)
        if not text:
            return self._with_first_secret(endpoint, None)
        problem = PROFILES[endpoint.profile].check_secret(text)
        if problem is not None:
            message = f"{endpoint.profile} cannot use the present secret: {problem}"
            raise Invalid(Problem(("body", "profile"), message, "secret"))
        return endpoint

    def _with_headers(self, endpoint: Endpoint, headers: Mapping[str, str]) -> Endpoint:
        problems = check_custom_headers(headers)
        if problems:
            raise Invalid(*problems)
        sealed = {name: self._vault.seal(value, endpoint.id) for name, value in headers.items()}
        secret = tuple(sorted(name for name in headers if is_secret_header(name)))
        endpoint = msgspec.structs.replace(endpoint, headers=sealed, secret_headers=secret)
        if problems := list(check_sent_once(endpoint, "headers")):
            raise Invalid(*problems)
        return endpoint

    def _seal(self, endpoint_id: str, text: str) -> SigningSecret:
        return SigningSecret(sealed=self._vault.seal(text, endpoint_id))
