"""Why did it fail? Compute what a slightly different declaration would have expected.

When one of these matches, the sender knows the secret and only the declaration is wrong, so its
owner is told which member to change. Nothing here is ever accepted, and neither the secret nor
the expected signature is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple, get_args

import msgspec

from tillbell.providers.custom.check_types import AnyAlgorithm, Hmac
from tillbell.providers.custom.locations import RequestContent
from tillbell.providers.custom.signatures import DECODERS, KEYS, ClaimedSignature
from tillbell.providers.custom.template import Ambiguous, template
from tillbell.providers.kit.base import Unreadable
from tillbell.providers.kit.proof import SIGNATURE_MAX, is_one_of, mac
from tillbell.providers.kit.reading import json_value
from tillbell.providers.kit.requests import json_body

BODY_MAX = 16_384  # bytes; a longer one is not worth the time
SECRETS_MAX = 2
_USUAL = ("{body}", "{timestamp}.{body}", "{id}.{timestamp}.{body}", "{url}{body}")


class _NearMiss(NamedTuple):
    """One near miss: what to say when it matches, and what it would sign with."""

    advice: str
    key: bytes
    algorithm: str
    message: bytes


def near_miss(made: ClaimedSignature, check: Hmac, secrets: tuple[str, ...]) -> str | None:
    """Name the change with which the signature would match; None if no near one does."""
    if len(made.content.incoming.body) > BODY_MAX:
        return None
    given = _decodings(made, check)
    usable = [secret for secret in secrets if secret][:SECRETS_MAX]
    attempts = chain.from_iterable(_tries(made, check, secret) for secret in usable)
    for attempt in attempts:
        output = _matching(attempt, given)
        if output is not None:
            return _near_miss_text(attempt.advice, output, check)
    return None


def _matching(attempt: _NearMiss, given: dict[str, list[bytes]]) -> str | None:
    """Return the output in which the attempt is what was given; None if it is in none."""
    if not attempt.key:
        return None
    signature = mac(attempt.algorithm, attempt.key, attempt.message)
    found = (output for output, decoded in given.items() if is_one_of(decoded, [signature]))
    return next(found, None)


def _near_miss_text(advice: str, output: str, check: Hmac) -> str:
    changes = [advice] if advice else []
    if output != check.output:
        changes.append(f'the output "{output}"')
    return f"It would match with {' and '.join(changes)}." if changes else ""


def _decodings(made: ClaimedSignature, check: Hmac) -> dict[str, list[bytes]]:
    """Decode what was given in every way, as it stands and without what stands before it."""
    texts = [text for text in made.texts if len(text) <= SIGNATURE_MAX]
    order = sorted(DECODERS, key=lambda output: output != check.output)
    return {output: [DECODERS[output](text) for text in texts] for output in order}


def _tries(made: ClaimedSignature, check: Hmac, secret: str) -> Iterator[_NearMiss]:
    """Go through the near misses, one change at a time, the likeliest first."""
    key = KEYS[check.key](secret)
    try:
        message = made.message(check)
    except (Ambiguous, Unreadable):
        return
    yield _NearMiss("", key, check.algorithm, message)
    if secret != secret.strip():
        trimmed = KEYS[check.key](secret.strip())
        yield _NearMiss("a secret without the space at its ends", trimmed, check.algorithm, message)
    for form, decode in KEYS.items():
        if form != check.key:
            yield _NearMiss(f'the key "{form}"', decode(secret), check.algorithm, message)
    for algorithm in get_args(AnyAlgorithm):
        if algorithm != check.algorithm:
            advice = f'the algorithm "{algorithm}"'
            told = f"{advice}, which is broken and not offered" if algorithm == "md5" else advice
            yield _NearMiss(told, key, algorithm, message)
    for advice, other in chain(_other_targets(made, check), _other_bodies(made, check)):
        yield _NearMiss(advice, key, check.algorithm, other)


def _other_targets(made: ClaimedSignature, check: Hmac) -> Iterator[tuple[str, bytes]]:
    """Sign without the query, and by the templates that are usual."""
    incoming = made.content.incoming
    path, mark, _ = incoming.target.partition("?")
    texts = {text: f"the template {text}" for text in _USUAL if text != check.template}
    if mark:
        bare = RequestContent(incoming._replace(target=path))
        yield from _rendered(made, bare, check.template, "a URL without its query")
    texts[check.template.replace("{body}", "{md5(body)}")] = "{md5(body)} for {body}"
    texts[check.template.replace("{sha512(body)}", "{md5(body)}")] = "{md5(body)} for its hash"
    texts[check.template.replace("{sha256(body)}", "{md5(body)}")] = "{md5(body)} for its hash"
    for text, advice in texts.items():
        if text != check.template:
            yield from _rendered(made, made.content, text, advice)


def _other_bodies(made: ClaimedSignature, check: Hmac) -> Iterator[tuple[str, bytes]]:
    """Sign the body as it may have been before somebody wrote it anew."""
    incoming = made.content.incoming
    advice = "the body as it was before a proxy wrote it anew: let it through byte for byte"
    for body in _rewritten(incoming.body):
        if body != incoming.body:
            other = RequestContent(incoming._replace(body=body))
            yield from _rendered(made, other, check.template, advice)


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
    made: ClaimedSignature, content: RequestContent, text: str, advice: str
) -> Iterator[tuple[str, bytes]]:
    try:
        yield advice, made._replace(content=content).rendered(template(text))
    except (Ambiguous, Unreadable):
        return
