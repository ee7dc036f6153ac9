"""What was expunged is in no file any more, once the file is written anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.web.served_gateway import ServedGateway

PERSON = "Anastasija-Petrović-4711"
CARD = "4111111111111111"

pytestmark = pytest.mark.sqlite


def test_nothing_of_an_expunged_payload_is_left_in_the_files(tmp_path: Path) -> None:
    with ServedGateway(tmp_path) as served:
        app_id = served.http.post("/app", json={"name": "shop"}).json()["id"]
        served.http.post(f"/app/{app_id}/endpoint", json={"url": served.receiver.url("/echo")})
        payload = {"name": PERSON, "note": f"paid with {CARD}"}
        body = {"eventType": "order.paid", "payload": payload}
        made = served.http.post(f"/app/{app_id}/msg", json=body).json()
        served.wait_for_attempts(made["id"])
        assert _found(tmp_path), "it was there"

        task = served.http.post(f"/app/{app_id}/msg/expunge-all-contents").json()
        served.wait_for_task(task["id"])
        assert served.http.get(f"/app/{app_id}/msg/{made['id']}").json()["id"] == made["id"]
    with closing(sqlite3.connect(tmp_path / "tillbell.db", isolation_level=None)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert _found(tmp_path) == []


def _found(folder: Path) -> list[str]:
    """Name the files that hold the person or the card in clear."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    wanted = (PERSON.encode(), CARD.encode())
    return [path.name for path in files if any(one in path.read_bytes() for one in wanted)]
