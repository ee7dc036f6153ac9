"""A small identity provider: OpenID Connect with a code, PKCE and one signing key."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "tillbell", "a secret+of two"


class IdentityProvider:
    """Answers on this machine. `claims` is what it says of whoever asks; tests change it."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", parameters={"kid": "k1", "use": "sig"})
        self.shown_key = self.key
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}  # those that it still takes
        self.begun: dict[str, dict[str, str]] = {}  # what each was asked for with
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, b"")

            def do_POST(self) -> None:
                provider._answer(self, self.rfile.read(int(self.headers["content-length"])))

            def log_request(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def authorize(self, url: str) -> str:
        """Return the code for a browser that was sent to this URL."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.asked)}-{len(self.codes)}-{time.monotonic_ns()}"
        self.codes[code] = self.begun[code] = query
        return code

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.asked.append(request.path)
        status, answer = self._answer_to(request.path, request.headers, body)
        text = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _answer_to(self, path: str, headers: Any, body: bytes) -> tuple[int, Mapping[str, Any]]:
        if path == "/.well-known/openid-configuration":
            ends = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
            return 200, {"issuer": self.issuer, **{end: f"{self.issuer}/{end}" for end in ends}}
        if path == "/jwks_uri":
            unknown = {"kty": "of-tomorrow", "kid": "k0", "use": "sig"}
            return 200, {"keys": [unknown, self.shown_key.as_dict(private=False)]}
        if path == "/userinfo_endpoint":
            assert headers["authorization"] == "Bearer an access token"
            return 200, self.userinfo
        return self._tokens(headers, {k: v[0] for k, v in parse_qs(body.decode()).items()})

    def _tokens(self, headers: Any, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        pair = base64.b64encode(f"{CLIENT}:{SECRET.replace('+', '%2B').replace(' ', '+')}".encode())
        assert headers["authorization"] == f"Basic {pair.decode()}"
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        is_same = asked is not None and challenge == asked["code_challenge"]
        if asked is None or not is_same or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.claims}
        said = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "ES256", "kid": self.key.kid}
        return 200, {
            "access_token": "an access token",
            "token_type": "Bearer",
            "id_token": jwt.encode(header, said, self.key),
        }
