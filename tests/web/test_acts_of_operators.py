"""What operators do to deliveries and jobs: cancel, edit and resend, plan, pause, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.deliver.expunge import EXPUNGE_ALL
from tillbell.deliver.resend import RECOVER
from tillbell.deliver.tasks import TaskProgress
from tillbell.model.records import Task, TaskStatus

OLD = "2026-05-01T00:00:00Z"


class Operator:
    """Acts on one application with one endpoint."""

    def __init__(self, served: ServedGateway, name: str) -> None:
        self.served = served
        self.app_id = str(served.http.post("/app", json={"name": name}).json()["id"])
        self.path = f"/app/{self.app_id}"
        body = {"url": served.receiver.url(f"/{name}"), "uid": name}
        self.endpoint = self.ask("POST", "/endpoint", body)["id"]

    def ask(self, method: str, path: str, body: Any = None, status: int = 0) -> Any:
        """Make a request; `status`: the refusal that is expected, 0 for none."""
        answer = self.served.http.request(method, self.path + path, json=body)
        assert answer.is_success if not status else answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def publish(self, **more: Any) -> str:
        """Publish a message; return its id."""
        body = {"eventType": "order.paid", "payload": {"id": 1}, **more}
        return str(self.ask("POST", "/msg", body)["id"])

    def delivery(self, message_id: str) -> dict[str, Any]:
        """Return the only delivery of a message."""
        [delivery] = self.ask("GET", f"/delivery?msg_id={message_id}")["data"]
        return dict(delivery)


@pytest.fixture
def served(tmp_path: Any) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path) as served:
        yield served


def test_operators_cancel_edit_plan_and_stop(served: ServedGateway) -> None:
    operator = Operator(served, "receiver")
    _cancels(operator)
    _edits(operator)
    _plans(operator)
    _stops(operator)
    _keeps_the_step_in_which_it_was_paused(operator)
    _reads_a_job_in_every_state(operator)


def _cancels(operator: Operator) -> None:
    """A waiting delivery is canceled, which the answer to "why" says; a resend begins it again."""
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    message = operator.publish(deliverAt=later, orderKey="k")
    cancel = f"/delivery/{operator.delivery(message)['id']}/cancel"
    canceled = operator.ask("POST", cancel)
    assert (canceled["state"], canceled["statusText"]) == ("discarded", "canceled")
    why = operator.ask("GET", f"/msg/{message}/endpoint/{operator.endpoint}/why")
    assert why["code"] == "deleted"
    assert "canceled by hand" in why["text"]
    assert operator.ask("POST", cancel, status=409)["code"] == "delivery_ended"
    assert operator.ask("POST", "/delivery/dlv_nothing/cancel", status=404)["code"] == "not_found"
    operator.ask("POST", f"/msg/{message}/endpoint/{operator.endpoint}/resend")
    operator.served.wait_for_attempts(message)
    assert operator.delivery(message)["state"] == "succeeded"


def _edits(operator: Operator) -> None:
    """An edited payload goes to one endpoint alone, byte for byte, and to no poller."""
    message = operator.publish(tags=["vip"])
    other = operator.ask("POST", "/endpoint", {"url": operator.served.receiver.url("/other")})
    path = f"/msg/{message}/endpoint/{operator.endpoint}/send-edited"
    exact = '{ "id": 2.50, "id_text":"\\u00e9" }'
    edited = operator.ask("POST", path, {"payload": exact})
    operator.served.wait_for_attempts(edited["id"])
    assert edited["tags"] == ["tillbell-edited", f"tillbell-edited:{message}"]
    assert operator.delivery(edited["id"])["endpointId"] == operator.endpoint != other["id"]
    [attempt] = operator.ask("GET", f"/attempt/msg/{edited['id']}")["data"]
    shown = operator.ask("GET", f"/msg/{edited['id']}/attempt/{attempt['id']}")
    assert shown["requestBody"] == exact
    polled = operator.ask("GET", "/poller/sink?limit=250")["data"]
    assert edited["id"] not in {each["id"] for each in polled}
    assert operator.ask("POST", path, {"payload": "no json"}, status=422)
    url = operator.served.receiver.url("/zenofy")
    shop = operator.ask("POST", "/endpoint", {"url": url, "profile": "zenofy"})["id"]
    raw = {"rawPayload": "<paid/>", "headers": {"content-type": "text/xml"}}
    text = operator.publish(payload={}, transformationsParams=raw)
    path = f"/msg/{text}/endpoint/{shop}/send-edited"
    refused = operator.ask("POST", path, {"payload": "<paid>1</paid>"}, status=409)
    assert refused["code"] == "not_in_profile"
    operator.served.wait_for_attempts(text, 2)  # of the first endpoint and of the other


def _plans(operator: Operator) -> None:
    """A plan says what would be sent, and how much; a paused endpoint cannot begin."""
    plan = f"/endpoint/{operator.endpoint}/replay-plan"
    assert operator.ask("POST", plan, {"kind": "failed", "since": OLD})["count"] == 0
    filtered = {"kind": "filter", "since": OLD, "filter": "type:order.paid"}
    planned = operator.ask("POST", plan, filtered)
    assert (planned["count"], planned["isWhole"], planned["obstacle"]) == (4, True, None)
    assert planned["oldest"] < planned["newest"] < planned["until"]
    late = operator.ask("POST", "/endpoint", {"url": operator.served.receiver.url("/late")})["id"]
    missing = {"kind": "missing", "since": OLD}
    assert operator.ask("POST", f"/endpoint/{late}/replay-plan", missing)["count"] >= 2
    operator.ask("PATCH", f"/endpoint/{operator.endpoint}", {"disabled": True})
    assert "disabled" in operator.ask("POST", plan, filtered)["obstacle"]


def _stops(operator: Operator) -> None:
    """A task that somebody pauses makes no step until it is resumed; one that ended is refused."""
    served = operator.served
    gateway = served.gateway

    async def store(kind: str = RECOVER) -> Task:
        now = gateway.clock.now()
        selection = {"app_id": operator.app_id, "endpoint_id": "ep_gone", "since": 0, "until": now}
        task = Task(
            id=gateway.ids.new("qtask", now),
            scope=operator.app_id,
            created_at=now,
            updated_at=now,
            kind=kind,
            status=TaskStatus.PAUSED,
            arguments=selection,
        )
        await gateway.config_cache.add(task)
        await gateway.tasks.resume()
        return task

    id_ = served.do(store()).id
    shown = served.http.get(f"/background-task/{id_}").json()
    assert (shown["status"], shown["state"]) == ("running", "paused")
    served.http.post(f"/background-task/{id_}/resume")
    assert served.wait_for_task(id_)["state"] == "finished"
    refused = served.http.post(f"/background-task/{id_}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "task_ended")
    second = served.do(store()).id
    canceled = served.http.post(f"/background-task/{second}/cancel").json()
    assert (canceled["status"], canceled["state"]) == ("failed", "canceled")
    with served.client(served.make_key("attempt:write")) as resender:
        third, erasing = served.do(store()).id, served.do(store(EXPUNGE_ALL)).id
        assert resender.post(f"/background-task/{third}/cancel").is_success
        assert resender.post(f"/background-task/{erasing}/cancel").status_code == 403


def _keeps_the_step_in_which_it_was_paused(operator: Operator) -> None:
    """What a task did while it was paused is done once: a resume goes on behind it."""
    gateway = operator.served.gateway
    cursors: list[str] = []

    async def pause_within_a_step() -> Task | None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def step(task: Task) -> TaskProgress:
            cursors.append(task.cursor)
            begun.set()
            await may_end.wait()
            return TaskProgress(f"{len(cursors)}", 10, is_last=len(cursors) == 2)

        gateway.tasks.register("paused-within", step)
        task = await gateway.tasks.begin("paused-within", operator.app_id, {})
        await begun.wait()
        await gateway.tasks.control(task, TaskStatus.PAUSED)
        may_end.set()
        await gateway.tasks.wait_idle()
        paused = await gateway.database.get(Task, task.id, operator.app_id)
        assert paused is not None
        assert (paused.status, paused.cursor, paused.result["count"]) == ("paused", "1", 10)
        await gateway.tasks.control(paused, TaskStatus.RUNNING)
        await gateway.tasks.wait_idle()
        return await gateway.database.get(Task, task.id, operator.app_id)

    finished = operator.served.do(pause_within_a_step())
    assert finished is not None
    assert (finished.status, finished.result["count"], cursors) == ("finished", 20, ["", "1"])


def _reads_a_job_in_every_state(operator: Operator) -> None:
    gateway, cookies = operator.served.gateway, {"tillbell": operator.served.session()}
    for status in TaskStatus:
        now = gateway.clock.now()
        task = Task(
            id=gateway.ids.new("qtask", now),
            scope=operator.app_id,
            created_at=now,
            updated_at=now,
            kind=RECOVER,
            status=status,
            arguments={"app_id": operator.app_id, "endpoint_id": operator.endpoint},
        )
        operator.served.do(gateway.config_cache.add(task))
        url = f"{operator.served.url}/jobs/{task.id}?app={operator.app_id}"
        page = httpx.get(url, cookies=cookies, headers={"accept": "text/html"})
        assert (page.status_code, task.id in page.text) == (200, True), (status, page.text[:300])
