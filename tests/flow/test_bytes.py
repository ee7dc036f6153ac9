"""Stored = signed = sent, for every payload that is JSON."""

import asyncio
import json
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from tests.flow.gateway_harness import SECRET, GatewayHarness
from tests.patience import PATIENCE_S
from tests.scale import full_or_tenth, soak
from tillbell.model.endpoints import Endpoint
from tillbell.testing.exchange import ReceiverExchange
from tillbell.web.edge.publish_route import decode

ODD = [
    b'{"a":1e400}',
    b'{"a":1,"a":2}',
    b'{"a":"\\u0000"}',
    b'{ "a" : -0.0 , "b":1E5}',
    b'{"a":123456789012345678901234567890.000000000000000001}',
    '{"čokolada":"\U0001f36b","عربي":"\\u202e"}'.encode(),
    b'{"a":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}',
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


async def test_odd_payloads_arrive_byte_for_byte(harness: GatewayHarness) -> None:
    await harness.endpoint("/ok")
    for payload in ODD:
        message = decode(b'{"eventType":"a.b","payload":' + payload + b"}")
        await harness.publish(bytes(message.payload), "a.b")
    await harness.next_ended(len(ODD))

    assert sorted(r.body for r in harness.receiver.requests) == sorted(ODD)
    for request in harness.receiver.requests:
        Webhook(SECRET).verify(request.body, dict(request.headers))


@soak
@settings(max_examples=full_or_tenth(300), suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.integers(0, 4))
def test_the_payload_is_cut_out_of_the_request_unchanged(
    value: dict[str, object], pad: int
) -> None:

    payload = json.dumps(value, ensure_ascii=False, indent=pad or None).encode(
        "utf-8", "surrogatepass"
    )
    try:
        payload.decode()
    except UnicodeDecodeError:
        return
    body = b'{"eventType": "a.b", "payload": ' + payload + b', "eventId": null}'

    assert bytes(decode(body).payload) == payload


def odd_json(random: Random, depth: int = 0) -> str:
    """Write JSON as no serializer of ours would: odd numbers, blanks, escapes, repeated keys."""
    kind = random.randrange(9 if depth < 4 else 6)
    blank = random.choice(["", " ", "\n", "\t", "  "])
    if kind < 2:
        digits = str(random.getrandbits(random.choice([8, 64, 200])))
        return digits + random.choice(["", ".10", "e400", "E-7", ".000", "e+2"])
    if kind < 5:
        text = random.choice(["é", "\\u0000", "\\/", "🍫", "a" * random.randrange(40), "\\n"])
        return f'"{text}"'
    if kind == 5:
        return random.choice(["true", "false", "null", "-0", "-0.0", "{}", "[]"])
    items = [odd_json(random, depth + 1) for _ in range(random.randrange(4))]
    if kind == 6:
        return f"[{blank}" + f"{blank},".join(items) + f"{blank}]"
    return "{" + ",".join(f'{blank}"k{random.randrange(2)}"{blank}:{item}' for item in items) + "}"


@pytest.mark.sqlite
@soak
async def test_many_odd_payloads_are_stored_signed_and_sent_as_they_were(
    harness: GatewayHarness,
) -> None:
    random = Random(7)
    await harness.endpoint("/ok")
    payloads = {}
    for start in range(0, full_or_tenth(10_000), 100):
        for number in range(start, start + 100):
            payload = f'{{"n": {number} ,"v":{odd_json(random)}}}'.encode()
            message = decode(b'{"eventType":"a.b","payload": ' + payload + b" }")
            stored = await harness.publish(bytes(message.payload), "a.b")
            payloads[stored.id] = payload
        await harness.next_ended(100)

    arrived = {r.header("webhook-id") or "": r for r in harness.receiver.requests}
    verifier = Webhook(SECRET)
    assert {id_: r.body for id_, r in arrived.items()} == payloads
    for id_, request in arrived.items():
        verifier.verify(request.body, dict(request.headers))
        if id_.endswith("0"):
            assert await harness.gateway.database.body(harness.app.id, id_) == payloads[id_]


async def test_a_header_name_is_sent_once(harness: GatewayHarness) -> None:
    """What older versions saved may name one twice; the proof of the profile goes first."""
    collisions: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {"x-signature": "mine"}),
        ({"webhook-signature": "X-Signature"}, {"x-signature": "mine"}),
        ({"webhook-signature": "X-One", "webhook-timestamp": "x-one"}, {}),
        ({"webhook-signature": "webhook-id"}, {}),
        ({"webhook-signature": "Authorization"}, {"authorization": "Bearer mine"}),
        ({"webhook-id": "webhook-timestamp", "webhook-timestamp": "webhook-id"}, {}),
    ]
    for header_names, custom in collisions:
        endpoint = await harness.endpoint("/ok", header_names=header_names or None)
        sealed = {n: harness.gateway.vault.seal(v, endpoint.id) for n, v in custom.items()}
        await harness.change(endpoint, headers=sealed)
        before = len(harness.receiver.requests)
        await harness.publish()
        await harness.next_ended()
        (request,) = harness.receiver.requests[before:]
        names = [name.lower() for name, _ in request.headers]
        signed = [value for _, value in request.headers if value.startswith("v1,")]

        assert len(names) == len(set(names)), header_names
        assert len(signed) == 1
        assert len([n for n in names if n.startswith(("webhook", "x-", "auth"))]) in (3, 4)
        await harness.gateway.config_cache.remove(Endpoint, endpoint.id, endpoint.scope)


async def test_long_bodies_wait_in_the_store_and_arrive_as_they_are(
    harness: GatewayHarness,
) -> None:
    """Handed over while others wait, or claimed after a restart: memory holds none of them."""
    may_answer = asyncio.Event()

    async def late(exchange: ReceiverExchange) -> None:
        await may_answer.wait()
        await exchange.answer(200)

    harness.receiver.on("/mute", late)
    endpoint = await harness.endpoint("/mute", max_concurrency=1)
    payloads = [b'{"n":%d,"x":"%s"}' % (n, b"x" * size) for n, size in enumerate([50_000, 10] * 8)]
    for payload in payloads:
        await harness.publish(payload)
    await harness.receiver.wait_for(1)
    for is_restarted in (False, True):
        lane = harness.gateway.lanes.get(endpoint.id)
        assert lane is not None
        assert len(lane.ready) >= 14
        assert sum(len(claim.body or b"") for claim in lane.ready) < 1_000
        if not is_restarted:
            await harness.stop(timeout_s=0)
            await harness.start()
            await harness.receiver.wait_for(2)
            await harness.settle()
    may_answer.set()
    async with asyncio.timeout(PATIENCE_S):
        while (await harness.accounts()) != {"succeeded": len(payloads)}:
            await asyncio.wait_for(harness.ended.get(), PATIENCE_S)
            await harness.gateway.leases.flush()
    assert {r.body for r in harness.receiver.requests} == set(payloads)
