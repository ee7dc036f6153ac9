"""A small client of our own API for the command line."""

from __future__ import annotations

import http.client
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO, NamedTuple

from tillbell.errors import Misconfigured, Refused, Unavailable
from tillbell.vault import Secret

_TIMEOUT_S = 10
_PIECE = 64 * 1024  # bytes of a download that are read at once


class RawAnswer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class ApiClient:
    """Calls a running gateway with an API key; without one, only public pages."""

    def __init__(self, url: str, key: Secret | None, timeout_s: float | None = None) -> None:
        self._timeout_s = timeout_s or _TIMEOUT_S
        scheme, self._host, self._port, path = _parts(url)
        self._url = url.rstrip("/")
        self._is_tls = scheme == "https"
        self._path = path.rstrip("/")
        self._key = key

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make a call under `/api/v1`; return the JSON of the answer, None without one.

        `Refused` if the gateway says no, `Unavailable` if it cannot be reached or fails.
        """
        answer = self._checked(self._request(method, f"/api/v1{path}", body))
        return json.loads(answer.body) if answer.body else None

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """Send a request without the key: exactly these headers and bytes."""
        return self._exchange(method, target, dict(headers), body)

    def get_raw(self, path: str) -> RawAnswer:
        """Get a page outside the API, whatever its status."""
        return self._request("GET", path, None)

    def download(self, path: str) -> Iterator[bytes]:
        """Yield the parts of an answer of the API as they come. Errors are those of `call`."""
        headers = self._authorization()
        with closing(self._connection()) as connection:
            try:
                connection.request("GET", f"{self._path}/api/v1{path}", None, headers)
                answer = connection.getresponse()
                if answer.status >= 400:
                    self._checked(RawAnswer(answer.status, answer.read()))
                while piece := answer.read(_PIECE):
                    yield piece
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error

    def upload(self, path: str, content: BinaryIO, media_type: str) -> Any:
        """Send a file as the body of a request; return the JSON of the answer, as `call`."""
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        headers = self._authorization() | {"Content-Type": media_type, "Content-Length": str(size)}
        answer = self._exchange("POST", f"{self._path}/api/v1{path}", headers, content)
        return json.loads(self._checked(answer).body)

    def _authorization(self) -> dict[str, str]:
        return {} if self._key is None else {"Authorization": f"Bearer {self._key.reveal()}"}

    def _checked(self, answer: RawAnswer) -> RawAnswer:
        text = f"{self._url} answered {answer.status}: {_reason(answer.body)}"
        if answer.status >= 500:
            raise Unavailable(text)
        if answer.status >= 400:
            raise Refused(text)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_s)

    def _unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(f"no gateway answers at {self._url} ({error}); is it running?")

    def _request(self, method: str, path: str, body: object) -> RawAnswer:
        headers = {"Accept": "application/json"} | self._authorization()
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return self._exchange(method, self._path + path, headers, content)

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], content: bytes | BinaryIO | None
    ) -> RawAnswer:
        try:
            with closing(self._connection()) as connection:
                connection.request(method, target, content, headers)
                answer = connection.getresponse()
                return RawAnswer(answer.status, answer.read(), tuple(answer.getheaders()))
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error


def _parts(url: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path of a URL; `Misconfigured` if it is not one."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:  # half an IPv6 address, or a port beyond 65535
        raise Misconfigured(f"{url!r} is not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii():
        raise Misconfigured(f"{url!r} is not an http or https address")
    return parts.scheme, parts.hostname, port, parts.path


def _reason(body: bytes) -> str:
    """Return the detail of a problem document, in one line."""
    try:
        problem = json.loads(body)
    except ValueError:
        return body[:200].decode("utf-8", "replace")
    detail = problem.get("detail", problem) if isinstance(problem, dict) else problem
    if isinstance(detail, list):
        return "; ".join(map(_described, detail))
    return str(detail)


def _described(problem: Mapping[str, Any]) -> str:
    """Return one problem: where it is, in a filter to the character, and what is wrong."""
    place = ".".join(map(str, problem["loc"]))
    if "position" in problem:
        place += f", character {problem['position'] + 1}"
    return f"{place}: {problem['msg']}"
