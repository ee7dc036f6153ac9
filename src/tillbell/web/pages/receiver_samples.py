"""Programs for receivers: how to check the signature of an endpoint, in five languages.

The texts are files in `samples/`. They hold no secret: each reads its own from the environment.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from tillbell import ed25519
from tillbell.deliver.compiled_endpoint import CompiledEndpoint
from tillbell.profiles.base import AttemptContext
from tillbell.profiles.defaults import WEBHOOK_NAMES

SAMPLES = Path(__file__).with_name("samples")
LANGUAGES = ("Python", "JavaScript", "Go", "PHP", "Ruby")
_BODY = b"{}"
# Profiles whose proof is a header of their own: how it is made, its name, what stands before it.
_PLATFORMS = {
    "shoppex": ("body", "X-Shoppex-Signature", ""),
    "zenofy": ("header", "X-Webhook-Secret", ""),
    "mozarto": ("header", "Authorization", ""),
    "mozarto-legacy": ("header", "Authorization", "Bearer "),
}
_SVIX_NAMES = ("svix-id", "svix-timestamp", "svix-signature")


class ReceiverSample(NamedTuple):
    """What a receiver of an endpoint gets, and a program that checks it."""

    language: str
    program: str
    headers: str  # as they are sent, with made-up values
    kind: str  # hmac, ed25519, body, header


def receiver_sample(compiled: CompiledEndpoint, language: str) -> ReceiverSample:
    """Return the program of an endpoint in a language; in Python if it is none of ours."""
    chosen = next((name for name in LANGUAGES if name.lower() == language), LANGUAGES[0])
    kind, header, scheme = _proof(compiled)
    name = "python" if chosen == "Python" else f"{kind}.{chosen.lower()}"
    names = _names(compiled)
    profile = compiled.profile.name
    replacements = {
        "@ID@": names[0],
        "@TIMESTAMP@": names[1],
        "@SIGNATURE@": names[2],
        "@HEADER@": header,
        "@HEADER_SMALL@": header.lower(),
        "@SCHEME@": scheme,
        "@RENAMED@": _renaming(compiled, names),
        "@PROFILE@": "" if profile == "standard" else f', profile="{profile}"',
    }
    program = _text(name)
    for mark, text in replacements.items():
        program = program.replace(mark, text)
    return ReceiverSample(chosen, program.expandtabs(4), _headers(compiled), kind)


def _proof(compiled: CompiledEndpoint) -> tuple[str, str, str]:
    platform = _PLATFORMS.get(compiled.profile.name)
    if platform is not None:
        return platform
    is_ed25519 = any(text.startswith(ed25519.SECRET_PREFIX) for text, _ in compiled.secrets)
    return ("ed25519" if is_ed25519 else "hmac"), "", ""


def _names(compiled: CompiledEndpoint) -> tuple[str, str, str]:
    """Return the names of the three headers that sign, as this endpoint wants them."""
    usual = _SVIX_NAMES if compiled.profile.name == "svix" else WEBHOOK_NAMES
    own = _own_names(compiled)
    first, second, third = (own.get(name, name).lower() for name in usual)
    return first, second, third


def _own_names(compiled: CompiledEndpoint) -> dict[str, str]:
    names = compiled.endpoint.header_names or {}
    return {name.lower(): own for name, own in names.items()}


def _renaming(compiled: CompiledEndpoint, names: tuple[str, str, str]) -> str:
    """Return the line that gives headers of an endpoint the names that the library knows."""
    if not compiled.endpoint.header_names:
        return ""
    pairs = ", ".join(
        f'"{usual}": headers["{own}"]' for usual, own in zip(WEBHOOK_NAMES, names, strict=True)
    )
    return f"    headers = {{{pairs}}}\n"


def _headers(compiled: CompiledEndpoint) -> str:
    """Return the headers of a request; a proof is made up, and no secret is shown."""
    kind, proof, scheme = _proof(compiled)
    made_up = ed25519.new_secret if kind == "ed25519" else compiled.profile.new_secret
    attempt = AttemptContext(
        message_id="msg_06h2dx59gryjxdq34fczt689cw",
        delivery_id="dlv_06h2dx59gs0yq8t3y1kf4m2v7w",
        part="order.paid",
        attempt=1,
        timestamp_s=1_795_955_741,
        body=_BODY,
        secrets=[made_up(bytes(32))] if compiled.secrets else [],
    )
    own = _own_names(compiled)
    lines = [f"content-type: {compiled.profile.content_type}"]
    for name, value in compiled.profile.headers(attempt):
        is_secret = kind == "header" and name == proof
        shown = f"{scheme}(the secret)" if is_secret else value
        lines.append(f"{own.get(name.lower(), name).lower()}: {shown}")
    lines += [f"{name}: …" for name, _ in compiled.custom_headers]
    return "\n".join(lines)


@cache
def _text(name: str) -> str:
    return (SAMPLES / f"{name}.txt").read_text(encoding="utf-8")
