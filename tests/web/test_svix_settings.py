"""A gateway whose endpoints are Svix's by default: header names, keys, schedule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.served_gateway import ServedGateway
from tests.web.test_svix import endpoint, made, sent
from tillbell import ed25519
from tillbell.config import PROFILE_NAMES, load
from tillbell.errors import Misconfigured
from tillbell.profiles import PROFILES

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
