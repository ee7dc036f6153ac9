"""An HMAC over a template; and why one did not match.

A near miss is what a slightly different declaration would have expected. When one matches, the
sender knows the secret and only the declaration is wrong, so the advice names the member to
change. A near miss is never accepted, and the advice holds no secret and no expected signature.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import msgspec

from tillbell.model.sources import Trust
from tillbell.providers.custom.check import CheckContext
from tillbell.providers.custom.draft import RequestDraft
from tillbell.providers.custom.locations import RequestContent, place
from tillbell.providers.custom.signature import DECODERS, ENCODERS, ClaimedSignature, Signature
from tillbell.providers.custom.template import Ambiguous, TemplateValues, template
from tillbell.providers.kit.base import Unreadable, Verdict
from tillbell.providers.kit.proof import (
    NO_SECRET,
    SIGNATURE_MAX,
    from_base64,
    from_hex,
    is_one_of,
    key_bytes,
    mac,
    verify_with_secrets,
)
from tillbell.providers.kit.reading import json_value
from tillbell.providers.kit.requests import json_body
from tillbell.rules.delivery.signing import key_of, normal_standard_secret

NEAR_MISS_BODY_MAX = 16_384  # bytes; a longer body is not worth the time
NEAR_MISS_SECRETS_MAX = 2
_USUAL_TEMPLATES = ("{body}", "{timestamp}.{body}", "{id}.{timestamp}.{body}", "{url}{body}")

Algorithm = Literal["sha256", "sha512", "sha384", "sha1"]
KeyForm = Literal["utf8", "hex", "base64", "whsec"]


class Hmac(Signature, frozen=True, kw_only=True, tag="hmac"):
    """A keyed hash over the template."""

    secret: str | None = None  # the credential with the key; None: the source's secrets
    algorithm: Algorithm = "sha256"
    key: KeyForm = "utf8"

    def verify(self, context: CheckContext) -> Verdict:
        """Find the signature, check its time, then compare it with that of each secret."""
        if not any(context.secrets(self.secret)):
            return NO_SECRET
        return super().verify(context)

    def compare(self, context: CheckContext, claimed: ClaimedSignature) -> Verdict:
        """Compare with the HMAC of each secret; name a near miss if the context wants that."""
        secrets = context.secrets(self.secret)
        message = claimed.render(template(self.template))
        verdict = verify_with_secrets(
            secrets,
            lambda secret: is_one_of(claimed.signatures, [self._mac(secret, message)]),
            f"The HMAC at {self.at}",
            self.covered_trust(context),
        )
        if verdict.trust is not None:
            return verdict
        is_decoded = any(claimed.signatures)
        why = verdict.why if is_decoded else f"What stands at {self.at} is no {self.output}."
        advice = _near_miss_advice(self, claimed, secrets) if context.is_explained else None
        return Verdict(None, why if advice is None else f"{why} {advice}")

    def declared_trust(self, context: CheckContext) -> Trust | None:
        """Return how much it proves; None without a secret."""
        return self.covered_trust(context) if any(context.secrets(self.secret)) else None

    def sign(self, draft: RequestDraft) -> RequestDraft:
        """Write the time, then the signature of the request as it is then."""
        where, time, timestamp = place(self.at), self.timestamp, ""
        if time is not None:
            timestamp = time.write(draft.case.at)
            if place(time.at) != where:
                draft = draft.put(place(time.at), time.prefix + timestamp)
        content = draft.content
        id_ = content.raw(place(draft.id_at)) if draft.id_at is not None else ""
        message = template(self.template).render(TemplateValues(content, "", timestamp, id_))
        signature = self._mac(draft.secret(self.secret), message)
        text = self.prefix + ENCODERS[self.output](signature) if signature else ""
        if time is not None and place(time.at) == where:
            text = f"{time.prefix}{timestamp}{self.separator}{text}"
        return draft.put(where, text)

    def _mac(self, secret: str, message: bytes) -> bytes:
        """Return the HMAC; b"" if the secret is no key of the form that the check wants."""
        key = KEYS[self.key](secret)
        return mac(self.algorithm, key, message) if key else b""


def _standard_key(secret: str) -> bytes:
    """Return the key of a Standard Webhooks secret: base64 after `whsec_`."""
    try:
        return key_of(normal_standard_secret(secret))
    except ValueError:
        return b""


KEYS: Mapping[str, Callable[[str], bytes]] = MappingProxyType(
    {"utf8": key_bytes, "hex": from_hex, "base64": from_base64, "whsec": _standard_key}
)


# ── near misses ──────────────────────────────────────────────────────────────────────────────────


class _NearMiss(NamedTuple):
    """A change of the declaration, and what would be signed with it."""

    advice: str
    key: bytes
    algorithm: str
    message: bytes


class _OtherMessage(NamedTuple):
    """A change of what is signed."""

    advice: str
    message: bytes


def _near_miss_advice(
    check: Hmac, claimed: ClaimedSignature, secrets: tuple[str, ...]
) -> str | None:
    """Name the change with which the signature would match; None if no near one does."""
    if len(claimed.content.incoming.body) > NEAR_MISS_BODY_MAX:
        return None
    decoded = _decoded_signatures(check, claimed)
    usable = [secret for secret in secrets if secret][:NEAR_MISS_SECRETS_MAX]
    for near_miss in chain.from_iterable(_near_misses(check, claimed, key) for key in usable):
        output = _matching_output(near_miss, decoded)
        if output is not None:
            return _advice_text(check, near_miss.advice, output)
    return None


def _matching_output(near_miss: _NearMiss, decoded: Mapping[str, list[bytes]]) -> str | None:
    """Return the output in which the near miss matches; None if it does in none."""
    if not near_miss.key:
        return None
    signature = mac(near_miss.algorithm, near_miss.key, near_miss.message)
    outputs = (output for output, claimed in decoded.items() if is_one_of(claimed, [signature]))
    return next(outputs, None)


def _advice_text(check: Hmac, advice: str, output: str) -> str:
    changes = [advice] if advice else []
    if output != check.output:
        changes.append(f'the output "{output}"')
    return f"It would match with {' and '.join(changes)}." if changes else ""


def _decoded_signatures(check: Hmac, claimed: ClaimedSignature) -> dict[str, list[bytes]]:
    """Decode the signatures in every output, the declared one first."""
    texts = [text for text in claimed.texts if len(text) <= SIGNATURE_MAX]
    outputs = sorted(DECODERS, key=lambda output: output != check.output)
    return {output: [DECODERS[output](text) for text in texts] for output in outputs}


def _near_misses(check: Hmac, claimed: ClaimedSignature, secret: str) -> Iterator[_NearMiss]:
    """Go through the near misses, one change at a time, the likeliest first."""
    key = KEYS[check.key](secret)
    try:
        message = claimed.render(template(check.template))
    except (Ambiguous, Unreadable):
        return
    yield _NearMiss("", key, check.algorithm, message)
    if secret != secret.strip():
        trimmed = KEYS[check.key](secret.strip())
        advice = "a secret without the space at its ends"
        yield _NearMiss(advice, trimmed, check.algorithm, message)
    for form, key_of_form in KEYS.items():
        if form != check.key:
            yield _NearMiss(f'the key "{form}"', key_of_form(secret), check.algorithm, message)
    for algorithm in (*get_args(Algorithm), "md5"):
        if algorithm != check.algorithm:
            broken = ", which is broken and not offered" if algorithm == "md5" else ""
            yield _NearMiss(f'the algorithm "{algorithm}"{broken}', key, algorithm, message)
    for variant in chain(_other_templates(check, claimed), _other_bodies(check, claimed)):
        yield _NearMiss(variant.advice, key, check.algorithm, variant.message)


def _other_templates(check: Hmac, claimed: ClaimedSignature) -> Iterator[_OtherMessage]:
    """Sign without the query, then by the usual templates, then MD5 for another hash."""
    incoming = claimed.content.incoming
    path, mark, _ = incoming.target.partition("?")
    if mark:
        bare = RequestContent(incoming._replace(target=path))
        yield from _rendered(claimed, bare, check.template, "a URL without its query")
    templates = {text: f"the template {text}" for text in _USUAL_TEMPLATES}
    templates[check.template.replace("{body}", "{md5(body)}")] = "{md5(body)} for {body}"
    for hash_ in ("{sha512(body)}", "{sha256(body)}"):
        templates[check.template.replace(hash_, "{md5(body)}")] = "{md5(body)} for its hash"
    for text, advice in templates.items():
        if text != check.template:
            yield from _rendered(claimed, claimed.content, text, advice)


def _other_bodies(check: Hmac, claimed: ClaimedSignature) -> Iterator[_OtherMessage]:
    """Sign the body as it may have been before a proxy wrote it anew."""
    incoming = claimed.content.incoming
    advice = "the body as it was before a proxy wrote it anew: let it through byte for byte"
    for body in _rewritten(incoming.body):
        if body != incoming.body:
            content = RequestContent(incoming._replace(body=body))
            yield from _rendered(claimed, content, check.template, advice)


def _rewritten(body: bytes) -> Iterator[bytes]:
    yield body.strip()
    yield body + b"\n"
    try:
        value = json_value(body)
        yield json_body(value)
        yield json.dumps(value, default=str).encode()
        yield json.dumps(value, default=str, separators=(",", ":")).encode()
        yield json.dumps(value, default=str, sort_keys=True, separators=(",", ":")).encode()
    except (Unreadable, msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return


def _rendered(
    claimed: ClaimedSignature, content: RequestContent, text: str, advice: str
) -> Iterator[_OtherMessage]:
    try:
        yield _OtherMessage(advice, claimed._replace(content=content).render(template(text)))
    except (Ambiguous, Unreadable):
        return
