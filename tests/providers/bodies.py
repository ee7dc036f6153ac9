"""Bodies that nobody should send, by what is wrong with them."""

from __future__ import annotations

import gzip

DEEP = 20_000
BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b'{"a":[' * DEEP,
    "huge integer": b'{"amount":' + b"9" * 100_000 + b',"currency":"EUR"}',
    "huge exponent": b'{"amount":1e999999999,"currency":"EUR"}',
    "NaN": b'{"amount":NaN,"currency":"EUR"}',
    "infinity": b'{"amount":-Infinity}',
    "float overflow": b'{"amount":1e400}',
    "same member twice": b'{"status":"failed","status":"paid"}',
    "NUL": b'{"name":"a\\u0000b","status":"\\u0000"}',
    "lone surrogate": b'{"name":"\\ud800","status":"\\udfff"}',
    "not UTF-8": b'{"status":"\xc0\xaf"}',
    "UTF-16": '{"status":"paid"}'.encode("utf-16"),
    "UTF-32": '{"status":"paid"}'.encode("utf-32"),
    "a mark first": b'\xef\xbb\xbf{"status":"paid"}',
    "not an object": b"[]",
    "a number": b"42",
    "null": b"null",
    "two documents": b'{"a":1} {"b":2}',
    "cut off": b'{"status":"pa',
    "same parameter twice": b"payload=%7B%7D&payload=%7B%7D",
    "many parameters": b"&".join(b"p%d=1" % n for n in range(5_000)),
    "bad percent": b"status=%zz&amount=%",
    "not UTF-8, encoded": b"status=%C0%AF",
    "XML with a file": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM "
    b"'file:///etc/passwd'>]><x>&e;</x>",
    "XML bomb": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>"
    b"<!ENTITY c '&b;&b;&b;&b;'>]><x>&c;</x>",
    "XML with parameters": b"<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/'> %p;]><x/>",
    "deep XML": b"<a>" * 10_000 + b"</a>" * 10_000,
    "XML cut off": b"<paymentService><notify>",
    "XML in UTF-7": b"<?xml version='1.0' encoding='utf-7'?><x/>",
    "gzip": gzip.compress(b"0" * 100_000),
    "long text": b'{"status":"' + b"x" * 200_000 + b'"}',
    "direction override": '{"status":"../../admin\u202e\\n"}'.encode(),
    "all bytes": bytes(range(256)) * 4,
    "members of other types": b'{"status":{},"amount":[],"currency":7,"data":"x","id":true,'
    b'"transaction_id":null,"notificationItems":{},"uuid":[1],"type":{"a":1}}',
}
