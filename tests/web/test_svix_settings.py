"""A gateway whose endpoints are Svix's by default: header names, keys, schedule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.web.served_gateway import ServedGateway
from tests.web.test_svix import endpoint, made, sent
from tillbell import ed25519
from tillbell.config import PROFILE_NAMES, load
from tillbell.errors import Misconfigured
from tillbell.profiles import PROFILES
from tillbell.testing.behaviours import flaky

pytestmark = pytest.mark.sqlite_first


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    """A gateway with the settings of somebody who comes from Svix."""
    settings = {
        "default_profile": "svix",
        "default_signature": "ed25519",
        "retry_schedule": "0,0,0,0",
    }
    with ServedGateway(tmp_path_factory.mktemp("svix"), **settings) as gateway:
        yield gateway


def test_a_new_endpoint_gets_the_default_profile_and_key(
    served: ServedGateway, app_id: str
) -> None:
    target = endpoint(served, app_id)
    path = f"/app/{app_id}/endpoint/{target}"
    assert served.http.get(path).json()["profile"] == "svix"
    public = served.http.get(f"{path}/secret").json()["key"]
    assert public.startswith(ed25519.PUBLIC_PREFIX)
    message = sent(served, app_id)
    served.wait_for_attempts(message)
    (arrival,) = (r for r in served.receiver.requests if r.header("svix-id") == message)
    assert arrival.header("webhook-id") is None
    signed = f"{message}.{arrival.header('svix-timestamp')}.".encode() + arrival.body
    signature = (arrival.header("svix-signature") or "").removeprefix("v1a,")
    assert ed25519.verifier(public)(ed25519._decode(signature), signed)
    assert served.http.post(f"{path}/secret/rotate").json()["key"].startswith("whpk_")
    upserted = made(served.http.put(f"/app/{app_id}/endpoint/u", json={"url": "https://a.example"}))
    assert upserted["profile"] == "svix"
    operational = {"url": served.receiver.url()}
    added = made(served.http.post("/operational-webhook/endpoint", json=operational))
    assert added["profile"] == "svix"
    served.http.delete(f"/operational-webhook/endpoint/{added['id']}")


def test_what_an_endpoint_names_itself_wins(served: ServedGateway, app_id: str) -> None:
    for body, start in (
        ({"profile": "standard"}, "whpk_"),
        ({"secret": "whsec_" + "QUJD" * 8}, "whsec_"),
        ({"profile": "shoppex"}, "whsec_"),
    ):
        target = endpoint(served, app_id, **body)
        path = f"/app/{app_id}/endpoint/{target}"
        assert served.http.get(path).json()["profile"] == body.get("profile", "svix")
        assert served.http.get(f"{path}/secret").json()["key"].startswith(start)
        rotated = served.http.post(f"{path}/secret/rotate").json()["key"]
        assert rotated.startswith(start), "a new secret is of the kind of the one before"


def test_the_schedule_of_the_settings_is_for_the_default_profile(
    served: ServedGateway, app_id: str
) -> None:
    endpoint(served, app_id, "/status/500")
    other = endpoint(served, app_id, "/status/500", profile="standard")
    message = sent(served, app_id)
    served.wait_for_attempts(message, 6)
    attempts = served.http.get(f"/app/{app_id}/attempt/msg/{message}").json()["data"]
    assert [row["endpointId"] for row in attempts].count(other) == 1
    assert len(attempts) == 6


def test_the_default_profile_is_one_that_there_is(tmp_path: Path) -> None:
    assert {*PROFILE_NAMES} == {*PROFILES}
    for name, value in (("default_profile", "svixx"), ("default_signature", "rsa")):
        with pytest.raises(Misconfigured, match=name):
            load({"data_dir": tmp_path, name: value}, {})


# ── operational webhooks ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def operational(served: ServedGateway, app_id: str) -> Iterator[str]:
    """An operational endpoint; the path where it listens."""
    path = f"/operational/{app_id}"
    body = {"url": served.receiver.url(path)}
    added = made(served.http.post("/operational-webhook/endpoint", json=body))
    yield path
    served.http.delete(f"/operational-webhook/endpoint/{added['id']}")


def told(served: ServedGateway, path: str, *types: str) -> list[dict[str, Any]]:
    """Wait until messages of these types have come, in this order; return their data."""

    async def wait() -> list[dict[str, Any]]:
        while True:
            messages = [msgspec.json.decode(r.body) for r in served.receiver.to(path)]
            named = [m for m in messages if m["type"] in types]
            if len(named) >= len(types):
                return named
            await served.receiver.wait_for(len(served.receiver.requests) + 1)

    messages = sorted(served.do(wait()), key=lambda message: message["timestamp"])
    assert [message["type"] for message in messages] == [*types]
    return [message["data"] for message in messages]


def test_what_happens_to_an_endpoint_is_told_with_the_members_of_svix(
    served: ServedGateway, app_id: str, operational: str
) -> None:
    made(served.http.patch(f"/app/{app_id}", json={"uid": f"u-{app_id}"}))
    target = endpoint(served, app_id, uid="e")
    path = f"/app/{app_id}/endpoint/{target}"
    expected = {"appId": app_id, "appUid": f"u-{app_id}", "endpointId": target, "endpointUid": "e"}
    (data,) = told(served, operational, "endpoint.created")
    assert data.items() >= expected.items()
    changes: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("PUT", path, {"url": served.receiver.url(), "uid": "e"}),
        ("PATCH", path, {"description": "d"}),
        ("POST", f"{path}/secret/rotate", {}),
        ("PATCH", f"{path}/headers", {"headers": {"X-A": "1"}}),
    )
    for number, (method, where, body) in enumerate(changes, start=1):
        assert served.http.request(method, where, json=body).status_code in (200, 204)
        data = told(served, operational, *["endpoint.updated"] * number)[-1]
        assert data.items() >= expected.items()
    assert served.http.delete(path).status_code == 204
    (data,) = told(served, operational, "endpoint.deleted")
    assert data.items() >= expected.items()


def test_how_the_attempts_of_a_message_go_is_told(
    served: ServedGateway, app_id: str, operational: str
) -> None:
    target = endpoint(served, app_id, "/status/500")
    message = sent(served, app_id, eventId="evt")
    served.wait_for_attempts(message, 5)
    types = ("message.attempt.failing", "message.attempt.exhausted")
    for number, data in zip((4, 5), told(served, operational, *types), strict=True):
        expected = {"appId": app_id, "appUid": None, "endpointId": target}
        assert data.items() >= {**expected, "msgId": message, "msgEventId": "evt"}.items()
        last = data["lastAttempt"]
        attempt = served.http.get(f"/app/{app_id}/msg/{message}/attempt/{last['id']}").json()
        assert attempt["number"] == number
        assert last["responseStatusCode"] == 500
        assert last["timestamp"] == attempt["timestamp"]


def test_a_message_that_is_accepted_late_has_recovered(
    served: ServedGateway, app_id: str, operational: str
) -> None:
    path = f"/late/{app_id}"
    served.receiver.on(path, flaky(500, 500, 500, 500, 200))
    endpoint(served, app_id, path)
    message = sent(served, app_id)
    types = ("message.attempt.failing", "message.attempt.recovered")
    assert [data["msgId"] for data in told(served, operational, *types)] == [message] * 2


def test_an_endpoint_that_is_stopped_is_disabled_for_svix(
    served: ServedGateway, app_id: str, operational: str
) -> None:
    target = endpoint(served, app_id, "/status/410")
    served.wait_for_attempts(sent(served, app_id))
    (data,) = told(served, operational, "endpoint.disabled")
    assert (data["endpointId"], data["reason"]) == (target, "gone")
    assert (
        data["failSince"] <= served.http.get(f"/app/{app_id}/endpoint/{target}").json()["updatedAt"]
    )


def test_the_event_types_of_operational_webhooks_can_be_read(served: ServedGateway) -> None:
    for name in (
        *(f"endpoint.{what}" for what in ("created", "updated", "deleted", "disabled", "paused")),
        *(f"message.attempt.{what}" for what in ("failing", "exhausted", "recovered")),
    ):
        shown = served.http.get(f"/event-type/{name}/")
        assert (shown.status_code, shown.json()["name"]) == (200, name)
        assert shown.json()["schemas"]["1"]["properties"]["data"]
    assert served.http.get("/event-type/order.paid").status_code == 404
