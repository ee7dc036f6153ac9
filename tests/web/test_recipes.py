"""The recipes of docs/recipes.md: each is run as it is written there, with a real gateway."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tillbell.verify import VerificationError

pytestmark = pytest.mark.sqlite_first
TEXT = Path("docs/recipes.md").read_text(encoding="utf-8")
ORDER = {"amount": "10.00", "currency": "EUR", "items": [{"productId": "course"}]}


def _blocks(title: str) -> list[tuple[str, str]]:
    """Return the language and text of each block of code of a recipe."""
    part = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", part, re.DOTALL)


class Shop:
    """The application of the recipes, and a folder in which they run."""

    def __init__(self, served: ServedGateway, folder: Path) -> None:
        self.served, self.folder = served, folder
        key = served.make_key("write", app_id=self._application())
        self.environment = {
            **os.environ,
            "API": f"{served.url}/api/v1/app/shop",
            "AUTH": f"Authorization: Bearer {key}",
            "JSON": "Content-Type: application/json",
        }

    def _application(self) -> str:
        self.served.http.delete("/app/shop")
        answer = self.served.http.post("/app", json={"name": "Shop", "uid": "shop"})
        return str(answer.json()["id"])

    def run(self, title: str, number: int = 0, **more: str) -> None:
        """Run a block of a recipe."""
        language, text = _blocks(title)[number]
        command = ["bash", "-euo", "pipefail", "-c", text]
        if language == "python":
            command = [sys.executable, "-c", text]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def put(self, path: str, body: dict[str, Any]) -> None:
        answer = self.served.http.put(f"/app/shop/{path}", json=body)
        assert answer.is_success, answer.text

    def received(self, path: str) -> list[Any]:
        """Return the bodies that came to a path, after all that was published has arrived."""
        for message in self.served.http.get("/app/shop/msg", params={"limit": 250}).json()["data"]:
            listed = self.served.http.get("/app/shop/delivery", params={"msg_id": message["id"]})
            self.served.wait_for_attempts(message["id"], len(listed.json()["data"]))
        requests = self.served.receiver.requests
        return [json.loads(request.body) for request in requests if request.path == path]


@pytest.fixture
def shop(served: ServedGateway, tmp_path: Path) -> Shop:
    return Shop(served, tmp_path)


def test_orders_reach_an_erp_with_each_change_once(shop: Shop) -> None:
    def synced() -> list[tuple[str, str]]:
        shop.run("Orders into an ERP")
        lines = (shop.folder / "erp.jsonl").read_text().splitlines()
        return [(order["uid"], order["status"]) for order in map(json.loads, lines)]

    for uid in ("o1", "o2"):
        shop.put(f"order/{uid}", ORDER)
    first = [("o1", "pending"), ("o2", "pending")]
    assert synced() == first
    assert synced() == first, "nothing has changed"
    shop.put("order/o1", {**ORDER, "status": "paid"})
    assert synced() == [*first, ("o1", "paid")]


def test_stock_goes_out_by_a_link_and_in_by_a_file(shop: Shop) -> None:
    shop.put("product/course", {"name": "Course", "stock": 12})
    shop.run("Inventory in a spreadsheet")
    url = json.loads((shop.folder / "link.json").read_text())["url"]
    link = shop.served.url + "/export-link/" + url.partition("/export-link/")[2]
    head, row = httpx.get(link).text.splitlines()
    cells = dict(zip(head.split(","), row.split(","), strict=True))
    assert (cells["uid"], cells["stock"]) == ("course", "12")
    (shop.folder / "stock.csv").write_text("uid;stock\ncourse;11\n", encoding="utf-8-sig")
    shop.run("Inventory in a spreadsheet", 1)
    report = json.loads((shop.folder / "report.json").read_text())
    assert (report["changed"], report["isWritten"]) == (1, False)
    assert shop.served.http.get("/app/shop/product/course").json()["stock"] == 11


def test_only_customers_who_agreed_reach_the_mailing_tool(shop: Shop) -> None:
    url = shop.served.receiver.url
    shop.run("Customers into a mailing tool", MAILING_URL=url("/mailing"))
    for uid, is_given in (("ada", True), ("bo", False)):
        shop.put(f"customer/{uid}", {"name": uid, "consent": {"isGiven": is_given}})
    shop.put("customer/ada", {"name": "ada", "consent": {"isGiven": False}})
    assert [body["data"]["id"] for body in shop.received("/mailing/subscribe")] == ["ada"]
    assert [body["data"]["id"] for body in shop.received("/mailing/unsubscribe")] == ["ada"]
    assert shop.served.http.delete("/app/shop/customer/bo").status_code == 204
    gone = [body["data"]["id"] for body in shop.received("/mailing/unsubscribe")]
    assert gone == ["ada", "bo"]


def test_slack_is_told_of_a_new_order(shop: Shop) -> None:
    shop.run("Slack on new orders", SLACK_URL=shop.served.receiver.url("/slack"))
    shop.put("order/o1", ORDER)
    shop.put("order/o1", {**ORDER, "status": "paid"})
    [body] = shop.received("/slack")
    assert "o1" in json.dumps(body)


def test_a_paid_order_is_fulfilled_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    address = {"url": shop.served.receiver.url("/paid"), "filterTypes": ["order.paid"]}
    endpoint = shop.served.http.post("/app/shop/endpoint", json=address).json()["id"]
    secret = shop.served.http.get(f"/app/shop/endpoint/{endpoint}/secret").json()["key"]
    for name, value in (shop.environment | {"ENDPOINT_SECRET": secret}).items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}
    [(_, text)] = _blocks("Fulfil on payment")
    exec(text, names)
    shop.put("order/o1", {**ORDER, "status": "paid"})
    shop.received("/paid")
    [request] = [r for r in shop.served.receiver.requests if r.path == "/paid"]
    headers = {
        name: request.header(name)
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    for _ in range(2):
        names["fulfil"](request.body, headers)
    parcels = shop.served.http.get("/app/shop/shipment").json()["data"]
    assert [(p["orderId"], p["version"]) for p in parcels] == [("o1", 1)]
    with pytest.raises(VerificationError):
        names["fulfil"](request.body + b" ", headers)


def test_a_zap_is_left_without_a_gap(shop: Shop) -> None:
    url = shop.served.receiver.url
    shop.run("From Zapier", ZAPIER_HOOK=url("/zap"), OWN_URL=url("/own"))
    shop.put("order/o1", ORDER)
    shop.received("/zap")
    shop.run("From Zapier", 1)
    shop.put("order/o2", ORDER)
    assert [body["data"]["id"] for body in shop.received("/zap")] == ["o1"]
    assert sorted(body["data"]["id"] for body in shop.received("/own")) == ["o1", "o2"]
