"""Profile cloudevents can ask a receiver for permission before anything is sent to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.site import Site
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first


def _allowing(site: Site, path: str, *headers: str, status: int = 200) -> str:
    async def answer(exchange: ReceiverExchange) -> None:
        await exchange.answer(status, b"", *headers)

    site.receiver.on(path, answer)
    return site.receiver.url(path)


def _create(site: Site, app_id: str, url: str, **fields: Any) -> Any:
    body = {"url": url, "profile": "cloudevents", "handshake": True, **fields}
    return site.http.post(f"/app/{app_id}/endpoint", json=body)


@pytest.mark.parametrize("allowed", ["*", "127.0.0.1"])
def test_a_receiver_that_agrees_is_saved(site: Site, app_id: str, allowed: str) -> None:
    path = f"/agrees/{'all' if allowed == '*' else 'us'}"
    url = _allowing(site, path, f"WebHook-Allowed-Origin: {allowed}")
    made = _create(site, app_id, url)

    assert (made.status_code, made.json()["handshake"]) == (201, True)
    (asked,) = site.receiver.to(path)
    assert (asked.method, asked.header("webhook-request-origin")) == ("OPTIONS", "127.0.0.1")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, []),
        (200, ["WebHook-Allowed-Origin: other.example"]),
        (405, ["WebHook-Allowed-Origin: *"]),
    ],
)
def test_a_receiver_that_does_not_agree_is_not_saved(
    site: Site, app_id: str, status: int, headers: list[str]
) -> None:
    url = _allowing(site, "/disagrees", *headers, status=status)
    refused = _create(site, app_id, url)

    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "handshake"]
    urls = [one["url"] for one in site.http.get(f"/app/{app_id}/endpoint").json()["data"]]
    assert url not in urls


def test_another_address_is_asked_again(site: Site, app_id: str) -> None:
    made = _create(site, app_id, _allowing(site, "/first", "WebHook-Allowed-Origin: *"))
    where = f"/app/{app_id}/endpoint/{made.json()['id']}"

    assert site.http.patch(where, json={"description": "same place"}).status_code == 200
    assert len(site.receiver.to("/first")) == 1
    moved = site.http.patch(where, json={"url": _allowing(site, "/second")})
    assert moved.status_code == 422


def test_only_cloudevents_has_a_handshake(site: Site, app_id: str) -> None:
    refused = _create(site, app_id, site.receiver.url("/ok"), profile="standard")

    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "handshake"]
