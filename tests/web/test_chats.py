"""Endpoints for people: preview, test, templates, and answers of a chat."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.web.served_gateway import ServedGateway

pytestmark = pytest.mark.sqlite_first


def test_a_chat_gets_what_the_preview_shows(served: ServedGateway, app_id: str) -> None:
    target = {"url": served.receiver.url("/chat"), "profile": "slack"}
    chat = served.http.post(f"/app/{app_id}/endpoint", json=target).json()
    assert chat["notes"] == []
    path = f"/app/{app_id}/endpoint/{chat['id']}"
    example = {"eventType": "order.paid"}
    preview = served.http.post(path + "/preview", json=example).json()
    (part,) = preview["data"]
    assert (preview["contentType"], part["problem"]) == ("application/json", None)
    sent = served.http.post(path + "/send-example", json=example).json()
    served.wait_for_attempts(sent["id"])
    (request,) = served.receiver.to("/chat")
    shown, received = json.loads(part["body"]), json.loads(request.body)
    assert shown["blocks"][:-1] == received["blocks"][:-1]
    assert request.header("webhook-signature") is None

    tried = {**example, "textTemplate": "Paid: {{ data.number }}"}
    (part,) = served.http.post(path + "/preview", json=tried).json()["data"]
    assert json.loads(part["body"])["text"] == "Paid: ORD-1001"
    wrong = {**example, "textTemplate": "{{ data.number"}
    assert served.http.post(path + "/preview", json=wrong).status_code == 422


def test_a_wrong_template_is_refused_when_it_is_saved(served: ServedGateway, app_id: str) -> None:
    def refusal(**fields: Any) -> str:
        body = {"url": served.receiver.url(), **fields}
        answer = served.http.post(f"/app/{app_id}/endpoint", json=body)
        assert answer.status_code == 422
        (problem,) = answer.json()["detail"]
        assert problem["loc"] == ["body", "textTemplate"]
        return str(problem["msg"])

    assert refusal(profile="slack", textTemplate="a\n{{ b }}").startswith("line 2: there is no 'b'")
    assert "only the profiles slack, discord, teams" in refusal(textTemplate="a")


def test_a_template_that_fails_stops_no_other_subscriber(
    served: ServedGateway, app_id: str
) -> None:
    def endpoint(path: str, **fields: Any) -> str:
        body = {"url": served.receiver.url(path), "filterTypes": ["customer.updated"], **fields}
        return str(served.http.post(f"/app/{app_id}/endpoint", json=body).json()["id"])

    template = "first\n{% if data.tags > 3 %}{% endif %}"
    failing = endpoint("/failing", profile="teams", textTemplate=template)
    fine = endpoint("/fine", profile="discord", textTemplate="Hello {{ data.name }}")
    plain = endpoint("/plain")
    body = {"eventType": "customer.updated", "payload": {"name": "Ada", "tags": "a"}}
    message = served.http.post(f"/app/{app_id}/msg", json=body).json()["id"]
    served.wait_for_attempts(message, 3)
    attempts = served.http.get(f"/app/{app_id}/attempt/msg/{message}").json()["data"]
    by_endpoint = {attempt["endpointId"]: attempt for attempt in attempts}
    assert by_endpoint[failing]["error"] == "template_failed"
    assert "line 2: '>' not supported" in by_endpoint[failing]["detail"]
    assert {by_endpoint[id_]["result"] for id_ in (fine, plain)} == {"accepted"}
    received = {r.path: r.body for r in served.receiver.requests}
    assert "/failing" not in received
    assert json.loads(received["/fine"])["embeds"][0]["description"] == "Hello Ada"
    fate = served.http.get(f"/app/{app_id}/msg/{message}/endpoint/{failing}/why").json()
    assert fate["code"] == "failed"
    served.http.patch(f"/app/{app_id}/endpoint/{failing}", json={"textTemplate": None})
    assert served.http.get(f"/app/{app_id}/endpoint/{failing}").json()["failingSince"] is None


def test_a_chat_that_is_gone_disables_its_endpoint(served: ServedGateway, app_id: str) -> None:
    body = {"url": served.receiver.url("/status/404"), "profile": "slack"}
    chat = served.http.post(f"/app/{app_id}/endpoint", json=body).json()["id"]
    path = f"/app/{app_id}/endpoint/{chat}"
    sent = served.http.post(path + "/send-example", json={"eventType": "test.ping"}).json()
    served.wait_for_attempts(sent["id"])
    served.do(served.gateway.health_monitor.wait_idle())
    stopped = served.http.get(path).json()
    assert (stopped["status"], stopped["statusReason"]) == ("disabled", "gone")


def test_the_recipe_for_slack_works(served: ServedGateway) -> None:
    guide = Path(__file__).parents[2].joinpath("docs/alerts.md").read_text(encoding="utf-8")
    steps = re.findall(r"/api/v1(/app/shop/endpoint\S*)\".*? -d '({.*?})'", guide, re.DOTALL)
    assert len(steps) == 3
    served.http.post("/app", json={"name": "Shop", "uid": "shop"})
    endpoint = ""
    for path, written in steps:
        body = json.loads(written)
        if "url" in body:
            body["url"] = served.receiver.url("/slack")
        answer = served.http.post(path.replace("ENDPOINT", endpoint), json=body)
        assert answer.is_success, answer.text
        endpoint = endpoint or answer.json()["id"]
    served.wait_for_attempts(answer.json()["id"])
    (request,) = served.receiver.to("/slack")
    assert json.loads(request.body)["text"] == "*New order ORD-1001*: 149.99 MZN"
