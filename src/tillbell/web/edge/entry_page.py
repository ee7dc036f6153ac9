"""`/`: says what answers here, to people as a page and to programs as JSON."""

from __future__ import annotations

import html

import msgspec

from tillbell import __version__
from tillbell.errors import MethodNotAllowed
from tillbell.web.edge.asgi_types import HttpAnswer, Receive, Scope, header
from tillbell.web.edge.paths import BASE, ROUTE

LINKS = {
    "docs": "/docs",
    "openapi": f"{BASE}/openapi.json",
    "ready": "/readyz?verbose",
    "metrics": "/metrics",
}
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"vary", b"accept"),
)
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tillbell</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em }}
</style>
<h1>Tillbell {html.escape(__version__)}</h1>
<p>The webhook gateway for commerce and payments. This is its server: it runs.</p>
<ul>
<li><a href="{LINKS["docs"]}">API reference</a>, and its
<a href="{LINKS["openapi"]}">OpenAPI document</a>. Every request needs
<code>Authorization: Bearer &lt;API key&gt;</code>.</li>
<li>Guides: <code>README.md</code> and <code>docs/</code> of this release.</li>
<li><a href="{LINKS["ready"]}">Is it ready?</a> · <a href="{LINKS["metrics"]}">Metrics</a></li>
</ul>
</html>
""".encode()


async def show_entry_page(scope: Scope, _: Receive) -> HttpAnswer:
    """Answer GET and HEAD: HTML if the caller asks for it, else JSON."""
    scope[ROUTE] = "/"
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed(("GET", "HEAD"))
    if b"text/html" in (header(scope, b"accept") or b""):
        return HttpAnswer(200, [(b"content-type", b"text/html; charset=utf-8"), *_HEADERS], _PAGE)
    body = msgspec.json.encode({"name": "Tillbell", "version": __version__, **LINKS})
    return HttpAnswer(200, [(b"content-type", b"application/json"), *_HEADERS], body)
