"""`Idempotency-Key`: the same POST twice does one thing, and both are answered alike.

That a key was used is stored by the commit that does what was asked for
(`storage/session/idempotency.py`), the answer after it. If the process ends between them, a repeat
is a 409: it does nothing, and what was done is there to be looked at.

A key belongs to the API key, method and path it was used with, for a day at least. The same
key with another body, or while the first request still runs, is a 409. Answers of 500 and
above are not kept: the request may be tried again. Kept answers are sealed, because the
answer of a POST may be the only place where a secret is ever shown.
"""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

import msgspec

from tillbell.app import Gateway
from tillbell.errors import Conflict, Malformed
from tillbell.storage.session.idempotency import Mark, under
from tillbell.web.edge.asgi_types import Answer, App, Receive, Scope, Send, send_answer
from tillbell.web.edge.auth import Principal

KEY_MAX = 256
_SERVER_ERROR = 500


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class Attempted(NamedTuple):
    """One use of an idempotency key."""

    name: str
    fingerprint: str


def idempotency_name(principal: Principal, method: str, path: str, key: bytes) -> str:
    """Name a use of a key. `Malformed` if it is not 1 to 256 printable ASCII characters.

    A quoted key (a structured-field string) and a bare one are the same.
    """
    bare = key[1:-1] if len(key) > 1 and key[:1] == key[-1:] == b'"' else key
    if not 0 < len(bare) <= KEY_MAX or not all(32 < byte < 127 for byte in bare):
        raise Malformed(
            f"Idempotency-Key must be 1 to {KEY_MAX} printable ASCII characters without blanks.",
            code="idempotency_key_malformed",
        )
    whole = b"\0".join((principal.key.id.encode(), method.encode(), path.encode(), bare))
    return hashlib.sha256(whole).hexdigest()


class Idempotent:
    """Repeats answers in front of an application."""

    def __init__(self, app: App, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway
        self._running: set[str] = set()

    async def __call__(
        self, attempted: Attempted, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request that carries an idempotency key."""
        if attempted.name in self._running:
            raise Conflict(
                "A request with this Idempotency-Key is still running; try again later.",
                code="idempotency_key_in_use",
            )
        self._running.add(attempted.name)
        try:
            answer = await self._recall(attempted)
            if answer is None:
                answer = await self._run(attempted, scope, receive, send)
        finally:
            self._running.discard(attempted.name)
        await send_answer(send, answer)

    async def _recall(self, attempted: Attempted) -> Answer | None:
        known = await self._gateway.database.recall(attempted.name)
        if known is None:
            return None
        if known.fingerprint != attempted.fingerprint:
            raise Conflict(
                "This Idempotency-Key was used with another request. Use a new key.",
                code="idempotency_key_reused",
            )
        if not known.answer:
            raise Conflict(
                "A request with this Idempotency-Key was begun, and was not answered: it still "
                "runs, or its process has ended. Look whether it was done; for something new use "
                "a new key.",
                code="idempotency_key_in_use",
            )
        opened = self._gateway.vault.open(known.answer.decode(), attempted.name)
        kept = _decode(base64.b85decode(opened))
        return Answer(kept.status, [*kept.headers, (b"idempotent-replayed", b"true")], kept.body)

    async def _run(
        self, attempted: Attempted, scope: Scope, receive: Receive, send: Send
    ) -> Answer:
        collected = Answer(0, [], b"")

        async def collect(event: Scope) -> None:
            nonlocal collected
            if event["type"] == "http.response.start":
                collected = Answer(event["status"], list(event.get("headers", ())), b"")
            else:
                body = collected.body + event.get("body", b"")
                collected = collected._replace(body=body)

        mark = Mark(attempted.name, attempted.fingerprint, self._gateway.clock.now())
        try:
            with under(mark):
                await self._app(scope, receive, collect)
        except Exception:
            # A bug. The framework has answered 500 and raised it again for the server's log.
            await send_answer(send, collected)
            raise
        if collected.status < _SERVER_ERROR and not mark.is_taken:
            await self._remember(attempted, collected)
        return collected

    async def _remember(self, attempted: Attempted, answer: Answer) -> None:
        packed = base64.b85encode(_encode(_Kept(*answer))).decode()
        sealed = self._gateway.vault.seal(packed, attempted.name)
        await self._gateway.database.remember(
            attempted.name, attempted.fingerprint, sealed.encode(), self._gateway.clock.now()
        )
