"""Files of the pages: kept for ever, served small, and nothing but them."""

from __future__ import annotations

import httpx

from tests.web.served_gateway import ServedGateway
from tillbell.web.edge.static_files import static_files, static_url


def test_every_file_is_kept_for_ever_and_small_on_the_way(served: ServedGateway) -> None:
    with httpx.Client(base_url=served.url) as visitor:
        for name, file in static_files().items():
            answer = visitor.get(static_url(name))
            assert answer.content == file.body, name
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
            whole = visitor.get(file.url, headers={"accept-encoding": "identity"})
            assert whole.content == file.body
            assert "content-encoding" not in whole.headers
        sent = sum(len(file.gzipped) for file in static_files().values())
        assert sent < 60_000


def test_another_version_and_other_paths_are_not_served(served: ServedGateway) -> None:
    with httpx.Client(base_url=served.url) as visitor:
        for path in ("tillbell-000000000000.css", "tillbell.css", "../page.py", "%2e%2e/page.py"):
            assert visitor.get(f"/static/{path}").status_code == 404, path
        assert visitor.post(static_url("tillbell.css")).status_code == 405
