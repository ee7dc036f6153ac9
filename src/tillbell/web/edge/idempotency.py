"""`Idempotency-Key`: a POST that is repeated is done once, and gets the same answer again.

The commit that does what was asked for also stores that the key was used
(`storage/session/idempotency.py`). The answer is stored after it. If the process ends between the
two, a repeat does nothing and gets a 409; the client can look whether it was done.

A key belongs to the API key and to the resource that it was used with, by whichever name the path
has for it, for at least a day. The same key with another body or query, or while the first request
still runs, gets a 409. PUT, PATCH and DELETE may be repeated as they are and take no key: with one
they get a 400. A request that was refused (400 and above) has done nothing: its key is free for the
mended request. Stored answers are encrypted, because the answer of a POST may be the only place
where a secret is ever shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

import msgspec

from tillbell.app import Gateway
from tillbell.errors import ConflictError, Malformed
from tillbell.storage.ports.outbound import IdempotencyUse
from tillbell.storage.session.idempotency import RequestKey, carrying
from tillbell.web.edge.asgi_types import HttpAnswer
from tillbell.web.edge.auth import Principal

KEY_MAX = 256
_REFUSED, _SERVER_ERROR = 400, 500


class _StoredAnswer(msgspec.Struct, array_like=True, frozen=True):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_StoredAnswer).decode


def idempotency_name(principal: Principal, path: str, key: bytes) -> str:
    """Name a use of a key. `Malformed` if it is not 1 to 256 printable ASCII characters.

    `path` has ids only (resolved_path.py). A quoted key (a structured-field string) and a bare one
    are the same.
    """
    bare = key[1:-1] if len(key) > 1 and key[:1] == key[-1:] == b'"' else key
    if not 0 < len(bare) <= KEY_MAX or not all(32 < byte < 127 for byte in bare):
        raise Malformed(
            f"Idempotency-Key must be 1 to {KEY_MAX} printable ASCII characters without blanks.",
            code="idempotency_key_malformed",
        )
    whole = b"\0".join((principal.key.id.encode(), path.encode(), bare))
    return hashlib.sha256(whole).hexdigest()


def fingerprint_of(query: bytes, body: bytes) -> str:
    """Return what tells requests apart that have the same key."""
    return hashlib.sha256(query + b"\0" + body).hexdigest()


def refuse_key(method: str) -> NoReturn:
    """Refuse a key with a method that needs none."""
    raise Malformed(
        f"Idempotency-Key is for POST only. {method} may be repeated as it is: leave the key out.",
        code="idempotency_key_not_supported",
    )


class IdempotentAnswers:
    """Stores the answers to requests with an idempotency key, and repeats them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._running: set[str] = set()
        self._ended = 0  # counts requests that have run

    async def answer(
        self, use: IdempotencyUse, handle: Callable[[], Awaitable[HttpAnswer]]
    ) -> HttpAnswer:
        """Return the stored answer, or else that of `handle`, which is stored.

        `ConflictError` if the key was used with another request or is in use.
        """
        self._refuse_running(use)
        ended = self._ended
        stored = await self._find_answer(use)
        if stored is not None:
            return stored
        self._refuse_running(use)
        self._running.add(use.key)
        try:
            if ended != self._ended:  # perhaps one with this key, since its answer was looked for
                stored = await self._find_answer(use)
            return stored or await self._run(use, handle)
        finally:
            self._running.discard(use.key)
            self._ended += 1

    def _refuse_running(self, use: IdempotencyUse) -> None:
        if use.key in self._running:
            raise ConflictError(
                "A request with this Idempotency-Key is still running; try again later.",
                code="idempotency_key_in_use",
            )

    async def _find_answer(self, use: IdempotencyUse) -> HttpAnswer | None:
        earlier = await self._gateway.database.idempotent_answer(use.key)
        if earlier is None:
            return None
        if earlier.fingerprint != use.fingerprint:
            raise ConflictError(
                "This Idempotency-Key was used with another request. Use a new key.",
                code="idempotency_key_reused",
            )
        if not earlier.answer:
            raise ConflictError(
                "A request with this Idempotency-Key started but has no answer: it still runs, or "
                "its process ended. Check whether it was done. Use a new key for a new request.",
                code="idempotency_key_in_use",
            )
        opened = self._gateway.vault.open(earlier.answer.decode(), use.key)
        stored = _decode(base64.b85decode(opened))
        headers = [*stored.headers, (b"idempotent-replayed", b"true")]
        return HttpAnswer(stored.status, headers, stored.body)

    async def _run(
        self, use: IdempotencyUse, handle: Callable[[], Awaitable[HttpAnswer]]
    ) -> HttpAnswer:
        key = RequestKey(use, self._gateway.clock.now())
        with carrying(key):
            answer = await handle()
        if not key.was_used_before:
            await self.keep(use, answer, has_acted=key.is_attached)
        return answer

    async def keep(
        self, use: IdempotencyUse, answer: HttpAnswer, *, has_acted: bool = False
    ) -> None:
        """Store the answer to a use of a key, unless the request was refused before it acted."""
        if answer.status >= _SERVER_ERROR or (answer.status >= _REFUSED and not has_acted):
            return
        stored = _StoredAnswer(answer.status, answer.headers, answer.body)
        packed = base64.b85encode(_encode(stored)).decode()
        sealed = self._gateway.vault.seal(packed, use.key)
        await self._gateway.database.store_idempotent_answer(
            use._replace(answer=sealed.encode()), self._gateway.clock.now()
        )
