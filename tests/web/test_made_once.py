"""What many ask for at the same moment is made once, and every one of them gets it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.cases import each
from tests.web.served_gateway import ServedGateway

AT_ONCE = 16


@each(
    ("method", "path", "body"),
    [
        ("POST", "/app?get_if_exists=true", {"name": "shop", "uid": "asked-for"}),
        ("PUT", "/app/replaced", {"name": "shop"}),
        ("PUT", "/event-type/order.asked", {"description": ""}),
        ("PUT", "/app/{app}/endpoint/asked", {"url": "https://shop.example/", "disabled": True}),
    ],
)
def test_it_is_made_once_and_nobody_is_refused(
    served: ServedGateway, app_id: str, method: str, path: str, body: dict[str, Any]
) -> None:
    target = path.replace("{app}", app_id)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [
            pool.submit(served.http.request, method, target, json=body) for _ in range(AT_ONCE)
        ]
        answers = [future.result() for future in asked]

    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: AT_ONCE - 1}
    assert len({answer.json().get("id", answer.json().get("name")) for answer in answers}) == 1


def test_an_application_made_beside_its_first_message_has_all_that_was_asked_for(
    served: ServedGateway,
) -> None:
    asked = {"name": "shop", "uid": "beside", "metadata": {"a": "b"}, "checkSchemas": True}
    body = {"eventType": "order.paid", "payload": {}, "application": asked}
    served.http.post("/app/beside/msg", json=body)

    application = served.http.get("/app/beside").json()
    assert asked.items() <= application.items()
