"""Profile cloudevents can ask a receiver for permission before anything is sent to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.testing.exchange import ReceiverExchange

pytestmark = pytest.mark.sqlite_first


def _allowing(served: ServedGateway, path: str, *headers: str, status: int = 200) -> str:
    async def answer(exchange: ReceiverExchange) -> None:
        await exchange.answer(status, b"", *headers)

    served.receiver.on(path, answer)
    return served.receiver.url(path)


def _create(served: ServedGateway, app_id: str, url: str, **fields: Any) -> Any:
    body = {"url": url, "profile": "cloudevents", "handshake": True, **fields}
    return served.http.post(f"/app/{app_id}/endpoint", json=body)


@pytest.mark.parametrize("allowed", ["*", "127.0.0.1"])
def test_a_receiver_that_agrees_is_saved(served: ServedGateway, app_id: str, allowed: str) -> None:
    path = f"/agrees/{'all' if allowed == '*' else 'us'}"
    url = _allowing(served, path, f"WebHook-Allowed-Origin: {allowed}")
    made = _create(served, app_id, url)

    assert (made.status_code, made.json()["handshake"]) == (201, True)
    (asked,) = served.receiver.to(path)
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
    served: ServedGateway, app_id: str, status: int, headers: list[str]
) -> None:
    url = _allowing(served, "/disagrees", *headers, status=status)
    refused = _create(served, app_id, url)

    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "handshake"]
    urls = [one["url"] for one in served.http.get(f"/app/{app_id}/endpoint").json()["data"]]
    assert url not in urls


def test_each_delivery_names_its_origin_and_keeps_the_granted_rate(
    served: ServedGateway, app_id: str
) -> None:
    """Six a minute are one in ten seconds: of twenty messages one is sent at once."""
    headers = ("WebHook-Allowed-Origin: *", "WebHook-Allowed-Rate: 6")
    made = _create(served, app_id, _allowing(served, "/slow", *headers))
    other = _create(served, app_id, served.receiver.url("/fast"), handshake=False)
    assert (made.status_code, other.status_code) == (201, 201)
    for number in range(20):
        message = {"eventType": "order.paid", "payload": {"n": number}}
        published = served.http.post(f"/app/{app_id}/msg", json=message)
        assert published.status_code == 202
        served.wait_for_attempts(published.json()["id"], 2 if number == 0 else 1)

    sent = [r for r in served.receiver.to("/slow") if r.method == "POST"]
    assert len(sent) == 1
    for request in (*sent, *served.receiver.to("/fast")):
        assert request.header("webhook-request-origin") == "127.0.0.1"


def test_a_receiver_that_grants_no_requests_is_not_saved(
    served: ServedGateway, app_id: str
) -> None:
    headers = ("WebHook-Allowed-Origin: *", "WebHook-Allowed-Rate: 0")
    assert _create(served, app_id, _allowing(served, "/none", *headers)).status_code == 422


def test_another_address_is_asked_again(served: ServedGateway, app_id: str) -> None:
    made = _create(served, app_id, _allowing(served, "/first", "WebHook-Allowed-Origin: *"))
    where = f"/app/{app_id}/endpoint/{made.json()['id']}"

    assert served.http.patch(where, json={"description": "same place"}).status_code == 200
    assert len(served.receiver.to("/first")) == 1
    moved = served.http.patch(where, json={"url": _allowing(served, "/second")})
    assert moved.status_code == 422


def test_only_cloudevents_has_a_handshake(served: ServedGateway, app_id: str) -> None:
    refused = _create(served, app_id, served.receiver.url("/ok"), profile="standard")

    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "handshake"]
