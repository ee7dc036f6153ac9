"""The identity provider by which people may sign in: OpenID Connect, the authorization code flow.

The operator names the provider by its issuer, so it may be on a private network; nobody else has a
say in where it is. What it signs is checked with its own keys, which are read again when a token
names one that is not among them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode

import msgspec

from tillbell.clock import HOUR, MINUTE, SECOND, Clock, Micros
from tillbell.config import Settings
from tillbell.errors import Invalid, Misconfigured, Unauthenticated
from tillbell.http.address_policy import PRIVATE_RANGES, AddressPolicy
from tillbell.http.client import HttpClient
from tillbell.http.pool import PoolLimits
from tillbell.http.resolver import Resolver
from tillbell.logs import log_event
from tillbell.model.messages import Reply
from tillbell.rules.identities import identity_rules

METADATA_LIFE: Micros = HOUR
KEYS_READ_EVERY: Micros = MINUTE  # at most, for a key that is not known
CLOCK_DRIFT_S = 60
TIMEOUT_S = 10.0
_ANSWER_MAX = 64 * 1024
# Only signatures that nobody else can make: no `none`, and none by a secret that we share.
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)


class SignOnRefused(Unauthenticated):
    """The identity provider did not let you in."""


class ProviderMetadata(NamedTuple):
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    secret_in_body: bool  # it takes our secret in the body only


class Flow(NamedTuple):
    """What one sign-in is bound to, from the way to the provider until the way back."""

    redirect_uri: str
    state: str
    nonce: str
    verifier: str


class IdentityProvider:
    """Asks the provider of the settings."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        if find_spec("authlib") is None or find_spec("joserfc") is None:
            raise Misconfigured(
                "oidc_issuer: an identity provider needs: pip install 'tillbell[oidc]'"
            )
        self.rules = identity_rules(
            settings.oidc_domains,
            settings.oidc_role_claim,
            settings.oidc_roles,
            trusts_email=settings.oidc_trust_email,
        )
        self._settings = settings
        self._clock = clock
        is_http = settings.oidc_issuer.startswith("http:")
        self._policy = AddressPolicy(PRIVATE_RANGES, allow_http=is_http)
        self._http_client = HttpClient(
            self._policy,
            Resolver(servers=settings.dns_servers or None),
            clock,
            PoolLimits(body_kept=_ANSWER_MAX),
        )
        self._provider: ProviderMetadata | None = None
        self._keys: Any = None
        self._read_at: Micros = 0
        self._keys_read_at: Micros = 0

    async def close(self) -> None:
        """Close every connection."""
        await self._http_client.close()

    async def authorization_url(self, flow: Flow) -> str:
        """Return where to send a browser. `SignOnRefused` if the provider cannot be asked."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        provider = await self._metadata()
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": flow.redirect_uri,
            "scope": " ".join(self._settings.oidc_scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": create_s256_code_challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        url = provider.authorization_endpoint
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"

    async def claims(self, code: str, flow: Flow) -> Mapping[str, Any]:
        """Return what the provider says of who brings a code. `SignOnRefused` if it is not proven.

        Signature, issuer, audience, time and nonce of the token are checked. If the token has no
        e-mail address, the provider is asked for it.
        """
        provider = await self._metadata()
        tokens = await self._tokens(provider, code, flow)
        claims = await self._checked(provider, tokens, flow.nonce)
        if "email" in claims or not provider.userinfo_endpoint:
            return claims
        headers = {"Authorization": f"Bearer {tokens.get('access_token', '')}"}
        more = await self._ask("GET", provider.userinfo_endpoint, headers)
        return {**more, **claims} if more.get("sub") == claims["sub"] else claims

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────

    async def _tokens(self, provider: ProviderMetadata, code: str, flow: Flow) -> Mapping[str, Any]:
        settings = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret = settings.oidc_client_secret
        if secret is None:
            form["client_id"] = settings.oidc_client_id
        elif provider.secret_in_body:
            form |= {"client_id": settings.oidc_client_id, "client_secret": secret.reveal()}
        else:
            pair = f"{quote_plus(settings.oidc_client_id)}:{quote_plus(secret.reveal())}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return await self._ask("POST", provider.token_endpoint, headers, urlencode(form).encode())

    async def _checked(
        self, provider: ProviderMetadata, tokens: Mapping[str, Any], nonce: str
    ) -> Mapping[str, Any]:
        """Return the claims of a token that is signed, for us, of now and of this sign-in."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError

        try:
            for _ in range(2):
                try:
                    keys = await self._key_set(provider)
                    token = jwt.decode(str(tokens.get("id_token")), keys, algorithms=_ALGORITHMS)
                    break
                except InvalidKeyIdError:
                    self._forget_old_keys()
            else:
                raise SignOnRefused(
                    "The identity provider signed with a key that it does not show."
                )
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": provider.issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._settings.oidc_client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=self._clock.now() // SECOND, leeway=CLOCK_DRIFT_S)
        except (JoseError, ValueError) as error:
            log_event("sign_on.token_refused", error=str(error))
            raise SignOnRefused(
                f"The identity provider's token does not prove who you are: {error}"
            ) from None
        return dict(claims)

    async def _key_set(self, provider: ProviderMetadata) -> Any:
        """Return the provider's keys that may have signed a token."""
        from joserfc.jwk import KeySet

        if self._keys is None:
            answer = await self._ask("GET", provider.jwks_uri, {})
            listed = answer.get("keys")
            read = map(_key, listed) if isinstance(listed, list) else ()
            self._keys = KeySet([key for key in read if key is not None])
            self._keys_read_at = self._clock.now()
        return self._keys

    def _forget_old_keys(self) -> None:
        if self._clock.now() - self._keys_read_at >= KEYS_READ_EVERY:
            self._keys = None

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    async def _metadata(self) -> ProviderMetadata:
        from authlib.oidc.discovery import get_well_known_url

        now = self._clock.now()
        if self._provider is None or now - self._read_at >= METADATA_LIFE:
            issuer = self._settings.oidc_issuer
            answer = await self._ask("GET", get_well_known_url(issuer, external=True), {})
            self._provider, self._read_at = _provider(answer, issuer), now
            self._keys = None
        return self._provider

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Mapping[str, Any]:
        """Return the JSON object that an address of the provider answers with."""
        try:
            target = self._policy.check_url(url)
        except Invalid as error:
            raise _unusable(url, error.problems[0].msg) from None
        lines = [
            f"{method} ".encode() + target.path + b" HTTP/1.1",
            b"Host: " + target.host_header,
            f"User-Agent: {self._settings.user_agent}".encode(),
            b"Accept: application/json",
            b"Accept-Encoding: identity",
            *(f"{name}: {value}".encode() for name, value in headers.items()),
        ]
        head = b"\r\n".join(lines) + b"\r\n"
        return _object(url, await self._http_client.send(target, head, body, TIMEOUT_S))


def _provider(answer: Mapping[str, Any], issuer: str) -> ProviderMetadata:
    """Return what a provider says of itself; `SignOnRefused` if it is another one."""
    named = str(answer.get("issuer", ""))
    if named.rstrip("/") != issuer.rstrip("/"):
        raise _unusable(issuer, f"it calls itself {named[:200]!r}")
    methods = answer.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return ProviderMetadata(
        issuer=named,
        authorization_endpoint=str(answer.get("authorization_endpoint", "")),
        token_endpoint=str(answer.get("token_endpoint", "")),
        jwks_uri=str(answer.get("jwks_uri", "")),
        userinfo_endpoint=str(answer.get("userinfo_endpoint", "")),
        secret_in_body="client_secret_basic" not in methods,
    )


def _key(each: Any) -> Any:
    """Return a key that may have signed a token; None: it is for something else, or of no kind."""
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    if not isinstance(each, dict) or each.get("use", "sig") != "sig":
        return None
    try:
        return import_key(each)
    except (JoseError, ValueError):
        return None


def _object(url: str, reply: Reply) -> Mapping[str, Any]:
    if reply.error:
        raise _unusable(url, reply.detail)
    try:
        answer = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise _unusable(url, f"status {reply.status}, and no JSON object")
    if reply.status != 200:
        raise _unusable(url, f"status {reply.status}: {str(answer.get('error', ''))[:100]}")
    return answer


def _unusable(url: str, reason: str) -> SignOnRefused:
    """Return the refusal of who cannot be let in because the provider does not answer rightly.

    Why is in the log alone: strangers need not know where the provider is.
    """
    log_event("sign_on.provider_failed", url=url, error=reason)
    return SignOnRefused(
        "The identity provider did not answer as it should. The server's log says why: "
        "`sign_on.provider_failed`."
    )
