"""After a new master key: every secret is sealed under it, so that the old key can go."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from tests.web.served_gateway import ServedGateway


def new_master_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_when_all_is_sealed_anew_the_old_key_is_not_needed(tmp_path: Path) -> None:
    old, new = new_master_key(), new_master_key()
    with ServedGateway(tmp_path, master_key=old) as first:
        app = first.http.post("/app", json={"name": "shop"}).json()["id"]
        body = {"url": first.receiver.url(), "headers": {"Authorization": "Bearer kept"}}
        endpoint = first.http.post(f"/app/{app}/endpoint", json=body).json()["id"]
        source = {"name": "Cards", "provider": "allsecure", "secrets": ["shared-secret"]}
        made = first.http.post(f"/app/{app}/source", json=source).json()
        with first.client(None) as provider:
            provider.post(f"{first.url}{made['url'][made['url'].index('/api') :]}", content=b"{}")
        secret = first.http.get(f"/app/{app}/endpoint/{endpoint}/secret").json()
    with ServedGateway(tmp_path, master_key=f"{new},{old}") as both:
        task = both.http.post("/reseal").json()
        done = both.wait_for_task(task["id"])
        assert (done["status"], done["data"]) == (
            "finished",
            {"count": 3, "skipped": {}},
        )
        again = both.wait_for_task(both.http.post("/reseal").json()["id"])
        assert again["data"]["count"] == 0
    with ServedGateway(tmp_path, master_key=new) as last:
        path = f"/app/{app}/endpoint/{endpoint}"
        assert last.http.get(f"{path}/secret").json() == secret
        assert last.gateway.config_cache.cached_view(app) is not None
        assert last.http.get(f"/app/{app}/source/{made['id']}").json()["url"] == made["url"]
        (callback,) = last.http.get(f"/app/{app}/callback").json()["data"]
        shown = last.http.get(f"/app/{app}/callback/{callback['id']}").json()
        assert shown["request"]["body"] is not None
        limited = last.http.post("/key", json={"name": "k", "scopes": ["read"], "rateLimit": 1})
        with last.client(limited.json()["key"]) as slow:
            answers = [slow.get("/app") for _ in range(3)]
        assert answers[0].status_code == 200
        refused = next(each for each in answers if each.status_code == 429)
        assert (refused.headers["ratelimit"], refused.headers["retry-after"]) == (
            '"default";r=0;t=1',
            "1",
        )
        assert last.http.get(f"/key/{limited.json()['id']}").json()["rateLimit"] == 1
