"""Sources over the API: made, shown without secrets, changed, rotated, removed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web import pretend
from tests.web.served_gateway import ServedGateway
from tillbell.configure.source_checks import check_secrets
from tillbell.providers import PROVIDERS

SECRET = "pretend-secret-1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(
        tmp_path_factory.mktemp("site"), public_url="https://hooks.example/in"
    ) as made:
        pretend.use(made)
        yield made


@pytest.fixture
def sources(served: ServedGateway, app_id: str) -> str:
    return f"/app/{app_id}/source"


def body(**fields: Any) -> dict[str, Any]:
    return {"name": "till", "provider": "pretend", "secrets": [SECRET], **fields}


def made(served: ServedGateway, sources: str, **fields: Any) -> dict[str, Any]:
    answer = served.http.post(sources, json=body(**fields))
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def problems(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(".".join(map(str, p["loc"])), p["msg"]) for p in answer.json()["detail"]]


def send(
    served: ServedGateway, source: dict[str, Any], content: bytes, secret: str = SECRET
) -> int:
    headers = {pretend.SIGNATURE: pretend.signature(secret, content)}
    return httpx.post(
        served.url + source["path"], content=content, headers=headers, verify=False
    ).status_code


def test_a_new_source_tells_what_to_enter_at_the_provider(
    served: ServedGateway, sources: str
) -> None:
    shown = made(served, sources, uid="front", config={"confirm": "review"})
    assert shown["url"] == f"https://hooks.example/in/api/webhooks/pretend/{shown['token']}"
    assert shown["path"] == f"/api/webhooks/pretend/{shown['token']}"
    assert len(shown["token"]) == 32
    assert (shown["trust"], shown["allows"]) == ("signed", "Money moves by itself.")
    assert (shown["answers"], shown["confidence"]) == ("200 with [OK].", "verified")
    assert served.http.get(f"{sources}/front").json() == shown
    assert served.http.get(sources).json()["data"] == [shown]


def test_no_secret_is_ever_shown_or_stored_in_clear(served: ServedGateway, sources: str) -> None:
    shown = made(served, sources, config={"apiPassword": "hush-hush-hush"})
    later = served.http.get(f"{sources}/{shown['id']}").text
    for text in (SECRET, "hush-hush-hush"):
        assert text not in str(shown)
        assert text not in later
    assert shown["secretSettings"] == ["apiPassword"]
    files = b"".join(path.read_bytes() for path in Path(served.folder).glob("tillbell.db*"))
    for text in (SECRET, "hush-hush-hush", shown["token"]):
        assert text.encode() not in files


@pytest.mark.parametrize(
    ("fields", "where", "told"),
    [
        ({"provider": "pretended"}, "body.provider", "did you mean pretend?"),
        ({"secrets": []}, "body.secrets", "is needed"),
        ({"secrets": [""]}, "body.secrets.0", "is empty"),
        ({"secrets": ["  "]}, "body.secrets.0", "is empty"),
        ({"secrets": ["short"]}, "body.secrets.0", "8 characters"),
        ({"provider": "hint"}, "body.secrets", "has no secret"),
        ({"config": {"sucessUrl": "https://a.b"}}, "body.config.sucessUrl", "mean successUrl?"),
        ({"config": {"successUrl": "javascript:x"}}, "body.config.successUrl", "http or https"),
        ({"config": {"mode": "prod"}}, "body.config.mode", "one of test, live"),
        ({"config": {"limit": True}}, "body.config.limit", "of type integer"),
        ({"config": {"confirm": "maybe"}}, "body.config.confirm", "one of pull"),
        ({"uid": "operational"}, "body.uid", "reserved"),
        (
            {"provider": "worldpay", "secrets": [], "config": {"networks": ["192.0.2.0/33"]}},
            "body.config.networks.0",
            "is no address",
        ),
        ({"config": {"allowedNetworks": []}}, "body.config.allowedNetworks", "null removes"),
        ({"config": {"allowedNetworks": "::1"}}, "body.config.allowedNetworks", "type array"),
        (
            {"config": {"allowedNetworks": ["192.0.2.1"] * 201}},
            "body.config.allowedNetworks",
            "1 to 200",
        ),
        *(
            ({"config": {"allowedNetworks": ["::1", bad]}}, "body.config.allowedNetworks.1", said)
            for bad, said in (
                ("192.0.2.0/33", "is no address"),
                ("hooks.example", "is no address"),
                ("", "is no address"),
                (3_221_225_985, "is no address"),
                (["192.0.2.0", 24], "is no address"),
                (None, "is no address"),
                ("::ffff:192.0.2.0/120", "write it as IPv4"),
            )
        ),
    ],
)
def test_what_is_wrong_is_told_where_it_is(
    served: ServedGateway, sources: str, fields: dict[str, Any], where: str, told: str
) -> None:
    ((place, message),) = problems(served.http.post(sources, json=body(**fields)))
    assert place == where
    assert told in message
    assert "short" not in message


# What people paste in place of a secret, by the forms that each provider documents; then a secret.
PASTED = [
    ("stripe", "sk_test_51H8abcdefghijklmnop", "whsec_" + "a" * 32),
    ("paddle", "pdl_sdbx_apikey_01gtgztp8f", "pdl_ntfset_01gtgztp8f4kek3yd4g1wrksa3_abc"),
    ("paypal", "EBWKjlELKMYqRNQ6sYvFo64FtaRLRR5BdHEESmha49TM", "0EH40505U7160970P"),
    ("square", "EAAAEOuLQObrVwJvCvoio3H13b8Ssqz1", "0wcD3pkgVxpRvQqiCrMYdw"),
    ("shopify", "shpat_1234567890abcdef1234567890abcdef", "shpss_" + "0a" * 16),
    ("mollie", "live_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM", "a-signing-secret-of-mollie"),
    ("razorpay", "rzp_live_ILgsfZCZoFIKMb", "a-secret-of-ours"),
    ("checkoutcom", "sk_sbox_abcdefghijklmnopqrstuvwx", "8V8x0dLK%AyD*DNS8JJr"),
    ("gocardless", "live_40characters_of_an_access_token_0000", "pAZ0Aq-the-secret-of-it"),
    ("woocommerce", "ck_" + "0a" * 20, "cs_" + "0a" * 20),
    ("mercadopago", "APP_USR-1234567890-0101-abcdef", "0a" * 32),
    ("authorizenet", "SimonKey16chars1", "0A" * 64),
    ("payu", "300746", "13a980d4f851f3d9a1cfc792fb1f5e50"),
    ("worldpay-access", "a password", "00112233445566778899aabbccddeeff"),
    (
        "adyen",
        "AQEyhmfxK4zPYhZCw0m",
        "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    ),
    ("braintree", "access_token$sandbox$abc$def", "1c3e9f0a1b2c3d4e5f60718293a4b5c6"),
    ("github", "github_pat_11ABCDEFG0abcdefghijkl", "a-secret-of-ours"),
    ("resend", "re_123456789_abcdefghijklmnop", "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("postmark", "a-server-token", "user:a-password"),
]


@pytest.mark.parametrize(("provider", "pasted", "secret"), PASTED)
def test_a_text_that_cannot_be_the_providers_secret_is_refused(
    provider: str, pasted: str, secret: str
) -> None:
    known = PROVIDERS[provider]
    (refused,) = check_secrets(known, [pasted], "secrets")
    assert known.secret is not None
    assert refused.msg.endswith(f"Where it is: {known.secret.about}")
    assert pasted not in refused.msg
    assert check_secrets(known, [secret], "secrets") == []


def test_a_source_without_its_secret_is_refused_by_name(
    served: ServedGateway, sources: str
) -> None:
    bare = made(served, sources, provider="hint", secrets=[])
    assert bare["trust"] == "none"
    assert bare["allows"] == "Money moves after a person has confirmed it."
    trusted = made(served, sources, provider="hint", secrets=[], config={"confirm": "trust"})
    assert "its owner chose" in trusted["allows"]


def test_there_is_one_default_source_of_a_provider(served: ServedGateway, sources: str) -> None:
    first = made(served, sources, default=True)
    assert first["path"] == "/api/webhooks/pretend"
    other = served.http.post("/app", json={"name": "other"}).json()["id"]
    second = served.http.post(f"/app/{other}/source", json=body(default=True))
    assert second.status_code == 409
    third = made(served, sources)
    assert served.http.patch(f"{sources}/{third['id']}", json={"default": True}).status_code == 409
    assert send(served, first, b"{}") == 200
    served.http.patch(f"{sources}/{first['id']}", json={"default": False})
    assert send(served, first, b"{}") == 404
    moved = served.http.patch(f"{sources}/{third['id']}", json={"default": True})
    assert moved.json()["path"] == "/api/webhooks/pretend"
    served.http.delete(f"{sources}/{third['id']}")
    assert send(served, first, b"{}") == 404


def test_two_sources_cannot_have_one_uid(served: ServedGateway, sources: str) -> None:
    made(served, sources, uid="twice")
    assert served.http.post(sources, json=body(uid="twice")).status_code == 409


def test_a_change_of_config_names_only_what_changes(served: ServedGateway, sources: str) -> None:
    source = made(served, sources, config={"successUrl": "https://a.example", "apiPassword": "p"})
    path = f"{sources}/{source['id']}"
    changed = served.http.patch(path, json={"name": "new", "config": {"mode": "live"}}).json()
    assert changed["name"] == "new"
    assert changed["config"] == {"successUrl": "https://a.example", "mode": "live"}
    assert changed["secretSettings"] == ["apiPassword"]
    cleared = served.http.patch(path, json={"config": {"apiPassword": None, "mode": None}}).json()
    assert cleared["config"] == {"successUrl": "https://a.example"}
    assert cleared["secretSettings"] == []
    assert cleared["version"] == 3


def test_the_networks_of_a_source_are_shown_and_can_be_taken_away(
    served: ServedGateway, sources: str
) -> None:
    config = {"allowedNetworks": ["203.0.113.7", "2001:db8::/32"]}
    source = made(served, sources, config=config)
    path = f"{sources}/{source['id']}"
    assert source["config"] == config
    assert source["trust"] == "signed"
    assert send(served, source, b"{}") == 403
    tested = served.http.post(f"{path}/test", json={"fields": {"id": "a"}}).json()
    assert (tested["answerStatus"], tested["reading"]["trust"]) == (200, "signed")
    served.http.patch(path, json={"config": {"allowedNetworks": ["127.0.0.0/8"]}})
    assert send(served, source, b"{}") == 200
    served.http.patch(path, json={"config": {"allowedNetworks": ["203.0.113.7"]}})
    assert send(served, source, b"{}") == 403
    cleared = served.http.patch(path, json={"config": {"allowedNetworks": None}}).json()
    assert cleared["config"] == {}
    assert send(served, source, b"{}") == 200


def test_a_source_that_was_removed_is_unknown(served: ServedGateway, sources: str) -> None:
    source = made(served, sources)
    assert send(served, source, b"{}") == 200
    assert served.http.delete(f"{sources}/{source['id']}").status_code == 204
    assert send(served, source, b"{}") == 404
    assert served.http.get(f"{sources}/{source['id']}").status_code == 404


def test_the_sources_of_a_removed_application_are_unknown(served: ServedGateway) -> None:
    app = served.http.post("/app", json={"name": "gone"}).json()["id"]
    source = made(served, f"/app/{app}/source")
    assert send(served, source, b"{}") == 200
    assert served.http.delete(f"/app/{app}").status_code == 204
    assert send(served, source, b"{}") == 404


def test_an_application_does_not_see_the_sources_of_another(
    served: ServedGateway, sources: str
) -> None:
    source = made(served, sources, uid="mine")
    other = served.http.post("/app", json={"name": "other"}).json()["id"]
    for name in (source["id"], "mine"):
        assert served.http.get(f"/app/{other}/source/{name}").status_code == 404
    key = served.make_key("write", app_id=other)
    with served.client(key) as stranger:
        assert stranger.get(f"{sources}/mine").status_code == 404


def test_both_secrets_are_good_while_they_overlap_and_the_old_one_not_after(
    served: ServedGateway, sources: str
) -> None:
    """No callback is refused in the overlap, each with the old secret after its end."""
    source = made(served, sources)
    path = f"{sources}/{source['id']}/secret/rotate"
    rotated = served.http.post(path, json={"secret": "pretend-secret-2"})
    assert rotated.status_code == 200
    assert "pretend-secret" not in rotated.text
    assert rotated.json()["secretExpiries"][0] is None
    assert rotated.json()["secretExpiries"][1] is not None
    for secret in (SECRET, "pretend-secret-2"):
        assert send(served, source, b'{"id":"%s"}' % secret.encode(), secret) == 200
    served.http.post(path, json={"secret": "pretend-secret-3", "gracePeriodSeconds": 0})
    for old in (SECRET, "pretend-secret-2"):
        assert send(served, source, b"{}", old) == 401
    assert send(served, source, b"{}", "pretend-secret-3") == 200


def test_rotation_in_a_stream_refuses_nothing(served: ServedGateway, sources: str) -> None:
    source = made(served, sources)
    path = f"{sources}/{source['id']}/secret/rotate"
    old = SECRET
    for number in range(5):
        new = f"pretend-secret-{number}-new"
        assert send(served, source, b'{"id":"a%d"}' % number, old) == 200
        served.http.post(path, json={"secret": new})
        assert send(served, source, b'{"id":"b%d"}' % number, old) == 200
        assert send(served, source, b'{"id":"c%d"}' % number, new) == 200
        old = new


def test_an_empty_secret_cannot_be_rotated_in(served: ServedGateway, sources: str) -> None:
    source = made(served, sources)
    path = f"{sources}/{source['id']}/secret/rotate"
    assert problems(served.http.post(path, json={"secret": ""})) == [
        ("body.secret", "is empty. Where it is: In its settings.")
    ]


def test_a_test_shows_what_would_become_of_a_callback(served: ServedGateway, sources: str) -> None:
    source = made(served, sources)
    path = f"{sources}/{source['id']}/test"
    dry = served.http.post(path, json={"fields": {"id": "e1", "note": "hello"}}).json()
    assert dry["reading"]["trust"] == "signed"
    assert dry["reading"]["notices"] == [{"kind": "note", "text": "hello"}]
    assert (dry["answerStatus"], dry["answerBody"]) == (200, "[OK]")
    assert dry["callbackId"] is None
    log = f"{sources.removesuffix('/source')}/callback"
    assert served.http.get(log).json()["data"] == []
    real = served.http.post(path, json={"fields": {"id": "e1"}, "dryRun": False}).json()
    assert [c["id"] for c in served.http.get(log).json()["data"]] == [real["callbackId"]]


def test_a_stored_test_moves_no_money_and_teaches_no_signature(
    served: ServedGateway, app_id: str, sources: str
) -> None:
    app = f"/app/{app_id}"
    source = made(served, sources, provider="stripe", secrets=["whsec_" + "a" * 32])
    begun = {"uid": "in", "direction": "pay_in", "amount": "10.00", "currency": "EUR"}
    served.http.post(f"{app}/transaction", json={**begun, "pspTransactionId": "pi_1"})
    paid = {"id": "pi_1", "amount": 1000, "amount_received": 1000, "currency": "eur"}
    body = {"case": "approved", "fields": {"data": {"object": paid}}, "dryRun": False}
    with served.client(served.make_key("source:write", app_id=app_id)) as client:
        tested = client.post(f"{sources}/{source['id']}/test", json=body)
        assert tested.status_code == 200, tested.text
    callback = f"{app}/callback/{tested.json()['callbackId']}"
    for _ in range(2):  # a replay moves nothing either
        served.wait_for_callbacks()
        shown = served.http.get(callback).json()
        assert (shown["trust"], shown["outcome"]) == ("simulated", "noted")
        assert "simulated" in shown["why"]
        assert "v1=" not in str(shown["request"])
        transaction = served.http.get(f"{app}/transaction/in").json()
        assert (transaction["status"], transaction["effects"]) == ("Pending", [])
        replayed = served.http.post(f"{callback}/replay")
        assert "simulated" in replayed.json()["why"]
    messages = served.http.get(f"{app}/msg").json()["data"]
    assert [message["eventType"] for message in messages] == ["transaction.pending"]


def test_a_test_takes_the_cases_of_its_provider(served: ServedGateway, sources: str) -> None:
    source = made(served, sources, provider="github", secrets=["github-secret-1"])
    path = f"{sources}/{source['id']}/test"
    names = [case["name"] for case in served.http.get("/provider/github").json()["cases"]]
    assert "ping" in names
    for name in names:
        told = served.http.post(path, json={"case": name})
        assert told.status_code == 200, told.text
        assert told.json()["reading"]["verdict"] == "accepted"
    assert served.http.post(path, json={}).json()["reading"]["verdict"] == "accepted"
    ((where, message),) = problems(served.http.post(path, json={"case": "pong"}))
    assert where == "body.case"
    assert "ping" in message


def test_providers_are_listed_with_their_settings(served: ServedGateway) -> None:
    listed = {p["name"]: p for p in served.http.get("/provider").json()["data"]}
    names = {setting["name"]: setting for setting in listed["pretend"]["settings"]}
    assert names["mode"]["choices"] == ["test", "live"]
    assert names["apiPassword"]["secret"] is True
    assert "confirm" in names
    assert served.http.get("/provider/pretend").json() == listed["pretend"]
    assert served.http.get("/provider/nobody").status_code == 404


def test_a_source_whose_secrets_cannot_be_opened_proves_nothing(
    served: ServedGateway, sources: str
) -> None:
    """Fail closed, and only for that source."""
    import msgspec

    from tillbell.model.sources import Source

    source, other = made(served, sources), made(served, sources)
    live = served.gateway.source_cache.compiled(source["id"])
    assert live is not None
    foreign = served.gateway.source_cache.compiled(other["id"])
    assert foreign is not None
    secrets = foreign.source.secrets
    change = served.gateway.config_cache.change(
        Source,
        live.source.scope,
        live.source.id,
        lambda present: msgspec.structs.replace(present, secrets=secrets),
    )
    served.do(change)
    assert send(served, source, b"{}") == 503
    assert send(served, other, b"{}") == 200
    assert "cannot be opened" in served.http.get(f"{sources}/{source['id']}").json()["problem"]
