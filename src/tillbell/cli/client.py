"""A small client of our own API for the command line."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

from tillbell.errors import Misconfigured, Refused, Unavailable
from tillbell.vault import Secret

_TIMEOUT_S = 10


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
        answer = self._request(method, f"/api/v1{path}", body)
        if answer.status >= 500:
            raise Unavailable(f"{self._url} answered {answer.status}: {_reason(answer.body)}")
        if answer.status >= 400:
            raise Refused(f"{self._url} answered {answer.status}: {_reason(answer.body)}")
        return json.loads(answer.body) if answer.body else None

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """Send a request without the key: exactly these headers and bytes."""
        return self._exchange(method, target, dict(headers), body)

    def get_raw(self, path: str) -> RawAnswer:
        """Get a page outside the API, whatever its status."""
        return self._request("GET", path, None)

    def _request(self, method: str, path: str, body: object) -> RawAnswer:
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return self._exchange(method, self._path + path, headers, content)

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], content: bytes | None
    ) -> RawAnswer:
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        try:
            with closing(kind(self._host, self._port, timeout=self._timeout_s)) as connection:
                connection.request(method, target, content, headers)
                answer = connection.getresponse()
                return RawAnswer(answer.status, answer.read(), tuple(answer.getheaders()))
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"no gateway answers at {self._url} ({error}); is it running?"
            ) from error


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
