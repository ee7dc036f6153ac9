"""What is wrong with a declaration is told by its member; what nearly matched is named."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.cases import each
from tests.providers.test_custom import CUSTOM, SECRET, sent, setup, verify, with_header
from tillbell.providers.custom.config import problems
from tillbell.providers.custom.provider import explain
from tillbell.providers.custom.template import template
from tillbell.providers.kit.base import Incoming, SourceSetup

HMAC = {"check": "hmac", "at": "header:X-Sig"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "checks", "is needed"),
    ({"checks": []}, "checks", "is needed"),
    ({"checks": {}}, "checks", "expected `array`"),
    ({"checks": [{"check": "hmak"}]}, "checks[0].check", "there are static_header"),
    ({"checks": [{"at": "x"}]}, "checks[0]", "required field `check`"),
    ({"checks": [{**HMAC, "algorithm": "md5"}]}, "checks[0].algorithm", "there are sha256"),
    ({"checks": [{**HMAC, "att": 1}]}, "checks[0]", "unknown field `att`"),
    ({"checks": [{**HMAC, "template": "{bdy}"}]}, "checks[0].template", "there are {body}"),
    ({"checks": [{**HMAC, "template": "{body"}]}, "checks[0].template", "stands alone"),
    ({"checks": [{**HMAC, "template": "x"}]}, "checks[0].template", "cover nothing"),
    ({"checks": [{**HMAC, "template": "{secret}"}]}, "checks[0].template", "field_hash"),
    ({"checks": [{**HMAC, "template": "{body}" * 3}]}, "checks[0].template", "at most 2"),
    ({"checks": [{**HMAC, "template": "{timestamp}"}]}, "checks[0].timestamp", "is needed"),
    ({"checks": [{**HMAC, "at": "/sig"}]}, "checks[0].at", "list the {field:…}s"),
    ({"checks": [{**HMAC, "at": ""}]}, "checks[0].at", "characters"),
    (
        {"checks": [{**HMAC, "template": "{method}", "timestamp": {"at": "header:X-Time"}}]},
        "checks[0].template",
        "time would not be signed",
    ),
    ({"checks": [{"check": "none"}]}, "checks[0].acknowledged", '"acknowledged": true'),
    (
        {"checks": [{"check": "none", "acknowledged": True}], "confirm": "trust"},
        "confirm",
        "pull or review",
    ),
    ({"checks": [{"check": "any", "of": [HMAC, {"check": "none"}]}]}, "checks[0].of[1]", "true"),
    ({"checks": [{"check": "any", "of": []}]}, "checks[0].of", "1 to 20"),
    (
        {"checks": [{"check": "ip_allowlist", "networks": ["10.0.0.0/8", "here"]}]},
        "checks[0].networks[1]",
        "192.0.2.0/24",
    ),
    (
        {"checks": [{"check": "mtls", "header": "X", "fingerprints": ["xyz"]}]},
        "checks[0].fingerprints[0]",
        "hex",
    ),
    (
        {"checks": [{**HMAC, "check": "asymmetric", "algorithm": "ed25519", "publicKey": "x"}]},
        "checks[0].publicKey",
        "PEM",
    ),
    ({"checks": [{**HMAC, "secret": "other"}]}, "credentials", "'other'"),
    ({"checks": [HMAC], "format": "yaml"}, "format", "there are auto"),
    ({"checks": [HMAC], "event": {"status": "/s"}}, "event.ours", "is needed"),
    ({"checks": [HMAC], "event": {"ours": ["/a"], "amount": "/b"}}, "event.currency", "EUR"),
    (
        {"checks": [HMAC], "event": {"kind": {"at": "/k", "words": {"x": "sale"}}}},
        "event.kind.words.x",
        "payment, refund",
    ),
    (
        {"checks": [HMAC], "event": {"kind": {"at": "/k", "words": {"x": "refund"}}}},
        "event.linkedId",
        "is needed",
    ),
    (
        {"checks": [HMAC], "event": {"occurredAt": {"at": "/t", "zone": "Mars"}}},
        "event.occurredAt.zone",
        "Europe/Belgrade",
    ),
    ({"checks": [HMAC], "event": {"movementId": "/m"}}, "event.linkedId", "beside movementId"),
    (
        {"checks": [HMAC], "event": {"captureAmount": "/c", "currencyIs": "EUR"}},
        "event.captureId",
        "beside captureAmount",
    ),
    (
        {"checks": [HMAC], "event": {"linkedAmount": "/c", "currencyIs": "EUR"}},
        "event.linkedId",
        "beside linkedAmount",
    ),
    (
        {"checks": [HMAC], "event": {"linkedId": "/l", "linkedAmount": "/c"}},
        "event.currency",
        "EUR",
    ),
    ({"checks": [HMAC], "event": {"attempt": ""}}, "event.attempt", "characters"),
    ({"checks": [HMAC], "event": {"testMode": {"at": "/t"}}}, "event.testMode", "one of test and"),
    (
        {"checks": [HMAC], "event": {"testMode": {"at": "/t", "test": ["1"], "live": ["0"]}}},
        "event.testMode",
        "one of test and",
    ),
    (
        {"checks": [HMAC], "event": {"authorized": ["ok"]}, "statuses": {"ok": "Approved"}},
        "event.authorized",
        "call Pending",
    ),
    ({"checks": [HMAC], "event": {"endsAttempt": ["no"]}}, "event.endsAttempt", "call Declined"),
    (
        {"checks": [HMAC], "event": {"undoesCapture": ["no"]}, "statuses": {"no": "Failed"}},
        "event.captureId",
        "beside undoesCapture",
    ),
    (
        {"checks": [HMAC], "event": {"closes": ["no"]}, "statuses": {"no": "Cancelled"}},
        "event.linkedId",
        "beside closes",
    ),
    ({"checks": [HMAC], "exponents": {"eur": 2}}, "exponents.eur", "currency's code"),
    ({"checks": [HMAC], "exponents": {"EUR": 19}}, "exponents.EUR", "0 to 18"),
    ({"checks": [HMAC], "exponents": {"EUR": "2"}}, "exponents", "expected `int`"),
    ({"checks": [HMAC], "statuses": {"ok": "Paid"}}, "statuses.ok", "Approved"),
    ({"checks": [HMAC], "dedupe": "{x}"}, "dedupe", "no variable"),
    ({"checks": [HMAC], "answer": {"status": 500}}, "answer.status", "200 to 299"),
    ({"checks": [HMAC], "answer": {"contentType": "a\r\nb"}}, "answer.contentType", "json"),
    ({"checks": [HMAC], "answer": {"redirectUrl": "javascript:1"}}, "answer.redirectUrl", "http"),
]


@each(("config", "member", "says"), WRONG)
def test_a_wrong_declaration_is_told_by_its_member(
    config: dict[str, Any], member: str, says: str
) -> None:
    found = problems(config)
    named = [text for where, text in found if where.startswith(member)]
    assert named, found
    assert says in named[0]


@each(("config", "member", "says"), WRONG)
def test_a_wrong_declaration_proves_nothing_and_breaks_nothing(
    config: dict[str, Any], member: str, says: str
) -> None:
    incoming = Incoming("POST", "/", (("x-sig", "00" * 32),), b'{"a": 1}', 0)
    verdict = CUSTOM.verify(incoming, SourceSetup((SECRET,), config))
    assert verdict.trust is None or "none" in str(config)


@pytest.mark.parametrize("nesting", [{"check": "any"}, {"check": "all"}])
def test_groups_nest_only_so_deep(nesting: dict[str, Any]) -> None:
    check: dict[str, Any] = dict(HMAC)
    for _ in range(6):
        check = {**nesting, "of": [check]}
    assert "deeper" in problems({"checks": [check]})[0].text


def test_a_template_is_no_code_and_has_its_caps() -> None:
    for text in ("{0}", "{body.__class__}", "{body!r}", "{body:>9}", "{{body}", "{}", "x" * 1_001):
        with pytest.raises(ValueError):
            template(text)
    assert [part.text for part in template(r"{{a}}\n\\").parts] == ["{a}\n\\"]


# ── near misses ──────────────────────────────────────────────────────────────────────────────────

BODY = b'{"order":"ORD-1001","state":"paid","n":[1,2]}'
HEX = "00112233445566778899aabbccddeeff"


def mac(body: bytes = BODY, key: bytes = SECRET.encode(), algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, body, algorithm)


SPACED = json.dumps(json.loads(BODY)).encode()
NEAR: list[tuple[str, dict[str, Any], str, str]] = [
    (SECRET, {}, base64.b64encode(mac()).decode(), 'the output "base64"'),
    (SECRET, {}, mac(algorithm="sha512").hex(), 'the algorithm "sha512"'),
    (SECRET, {}, mac(algorithm="md5").hex(), 'the algorithm "md5"'),
    (SECRET + "\n", {}, mac().hex(), "the space at its ends"),
    (HEX, {}, mac(key=bytes.fromhex(HEX)).hex(), 'the key "hex"'),
    (HEX, {}, mac(key=base64.b64decode(HEX)).hex(), 'the key "base64"'),
    (HEX, {"key": "hex"}, mac(key=HEX.encode()).hex(), 'the key "utf8"'),
    (SECRET, {}, mac(SPACED).hex(), "before a proxy wrote it anew"),
    (SECRET, {}, mac(BODY + b"\n").hex(), "before a proxy wrote it anew"),
    (SECRET, {"template": "{target}.{body}"}, mac(b"/in." + BODY).hex(), "without its query"),
    (SECRET, {"template": "{method}.{body}"}, mac().hex(), "the template {body}"),
    (
        SECRET,
        {"template": "{sha256(body)}"},
        mac(hashlib.md5(BODY).hexdigest().encode()).hex(),
        "{md5(body)}",
    ),
]


@each(("secret", "changes", "given", "says"), NEAR)
def test_what_would_have_matched_is_named_and_not_accepted(
    secret: str, changes: dict[str, Any], given: str, says: str
) -> None:
    how = setup({**HMAC, **changes}, secrets=(secret,))
    made = sent(how)._replace(body=BODY, target="/in?a=1")
    refused = with_header(made, "x-sig", given)
    verdict = explain(refused, how)
    assert verdict.trust is None
    assert says in verdict.why
    assert says not in verify(refused, how).why, "a stranger's request does not cost so much"
    assert secret.strip() not in verdict.why
    for signature in (mac().hex(), base64.b64encode(mac()).decode()):
        assert signature not in verdict.why


def test_what_is_plainly_wrong_has_no_near_miss() -> None:
    how = setup(HMAC)
    verdict = explain(with_header(sent(how), "x-sig", "ab" * 32), how)
    assert verdict.trust is None
    assert "would match" not in verdict.why
