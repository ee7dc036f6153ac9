"""The rate limit of a key."""

from pathlib import Path

import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.errors import TooMany
from tillbell.testing import ManualClock
from tillbell.web.edge.asgi_types import Headers
from tillbell.web.edge.limits import RateLimit

pytestmark = pytest.mark.sqlite_first


def shown(limit: RateLimit, key: str = "key") -> dict[bytes, bytes]:
    """Count a request; return the fields of its answer."""
    headers: Headers = []
    limit.take(key, headers=headers)
    return dict(headers)


def test_a_second_holds_no_more_than_the_limit_and_then_fills_again(clock: ManualClock) -> None:
    limit = RateLimit(10, clock)
    for left in range(9, -1, -1):
        assert shown(limit)[b"ratelimit"] == b'"default";r=%d;t=1' % left
    with pytest.raises(TooMany):
        limit.take("key")
    assert shown(limit, "another key")
    clock.advance(0.2)
    limit.take("key")
    limit.take("key")
    with pytest.raises(TooMany):
        limit.take("key")


def test_no_limit_tells_nothing(clock: ManualClock) -> None:
    limit = RateLimit(0, clock)
    assert [shown(limit) for _ in range(100)] == [{}] * 100


def test_keys_at_rest_are_forgotten(clock: ManualClock) -> None:
    limit = RateLimit(1, clock)
    for number in range(10_000):
        limit.take(str(number))
    clock.advance(2)
    limit.take("one more")
    assert len(limit._full_at) == 1


def test_a_limited_key_is_told_on_every_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServedGateway(tmp_path, api_rate_limit=3) as served:
        app_id = served.http.post("/app", json={"name": "a"}).json()["id"]
        now = served.gateway.clock.now()
        monkeypatch.setattr(served.gateway.clock, "now", lambda: now)  # all in one second
        body = {"eventType": "order.paid", "payload": {}}
        answers = [served.http.post(f"/app/{app_id}/msg", json=body) for _ in range(4)]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=1'
        refused = answers[-1]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
