"""Stored = signed = sent, for every payload that is JSON."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from tests.flow.world import SECRET, World
from tillbell.web.hot import decode

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


async def test_odd_payloads_arrive_byte_for_byte(world: World) -> None:
    await world.endpoint("/ok")
    for payload in ODD:
        message = decode(b'{"eventType":"a.b","payload":' + payload + b"}")
        await world.publish(bytes(message.payload), "a.b")
    await world.next_ended(len(ODD))

    assert sorted(r.body for r in world.receiver.requests) == sorted(ODD)
    for request in world.receiver.requests:
        Webhook(SECRET).verify(request.body, dict(request.headers))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
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
