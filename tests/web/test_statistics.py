"""Statistics over the API: they equal the lists, and each key sees its own."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.web.served_gateway import ServedGateway
from tests.web.test_operator_views import ROW_MAX, Shop
from tillbell.clock import DAY, HOUR, MINUTE, SECOND
from tillbell.errors import Invalid, StoreUnavailable
from tillbell.statistics.periods import PlotPeriod, WantedPeriod, plot_period
from tillbell.statistics.shared_reads import SharedReads
from tillbell.testing import ManualClock
from tillbell.upkeep.statistics import PendingSampler
from tillbell.web.api.csv_text import csv_text
from tillbell.web.pages import charts

PLOTS = (
    *("attempt", "response-time", "pending", "callback", "attempts-needed"),
    *("event-type", "amount", "endpoint", "marker"),
)


@pytest.fixture
def shop(served: ServedGateway) -> Shop:
    return Shop(served)


def plot(shop: Shop, name: str, **query: Any) -> Any:
    answer = shop.http.get(f"/statistics/{name}", params={"app": shop.id, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def summed(steps: list[dict[str, Any]], member: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for step in steps:
        sums.update({name: number for name, number in step[member].items() if number})
    return sums


def test_plots_equal_the_lists_of_attempts(shop: Shop) -> None:
    good, down = shop.endpoint("/"), shop.endpoint("/status/500")
    for _ in range(ROW_MAX):
        shop.publish(2)
    for endpoint, name in ((good, "accepted"), (down, "refused5xx")):
        listed = shop.get(f"attempt/endpoint/{endpoint}", limit=50)["data"]
        steps = plot(shop, "attempt", endpoint=endpoint)["data"]
        assert summed(steps, "results") == {name: len(listed)} == {name: ROW_MAX}
        assert [step["end"] for step in steps[:-1]] == [step["start"] for step in steps[1:]]
    of_all = {"accepted": ROW_MAX, "refused5xx": ROW_MAX}
    assert summed(plot(shop, "attempt")["data"], "results") == of_all
    of_type = plot(shop, "attempt", event_type="order.paid")["data"]
    assert summed(of_type, "results") == of_all
    assert summed(plot(shop, "attempt", event_type="no.such")["data"], "results") == {}

    (event_type,) = plot(shop, "event-type")["data"]
    assert event_type == {
        "eventType": "order.paid",
        "messages": ROW_MAX,
        "attempts": 2 * ROW_MAX,
        "accepted": ROW_MAX,
    }
    needed = plot(shop, "attempts-needed")
    assert needed["data"][0] == {"attempts": 1, "deliveries": ROW_MAX}
    assert needed["exhausted"] == sum(row["deliveries"] for row in needed["data"][1:]) == 0
    worst, best = plot(shop, "endpoint")["data"]
    assert (worst["endpointId"], worst["successRate"]) == (down, 0)
    assert (best["endpointId"], best["successRate"]) == (good, 1)
    assert 0 < best["response"]["p50"] <= best["response"]["p99"]
    assert worst["response"]["p50"] is None
    assert plot(shop, "endpoint", endpoint=good)["data"] == [best]
    timed = [s["response"] for s in plot(shop, "response-time")["data"] if s["response"]["p50"]]
    assert max(times["p99"] for times in timed) >= best["response"]["p50"]

    markers = plot(shop, "marker", endpoint=down)["data"]
    assert [marker["kind"] for marker in markers] == ["circuit_opened", "change", "start"]
    assert {m["endpointId"] for m in plot(shop, "marker", endpoint=good)["data"]} == {good, None}


def test_the_list_of_endpoints_tells_how_each_has_gone(shop: Shop) -> None:
    shop.endpoint("/status/500")
    shop.endpoint()
    shop.publish()
    listed = shop.http.get(f"/app/{shop.id}/endpoint").json()["data"]

    assert {row["id"]: row["last24Hours"] for row in listed} == {
        row["endpointId"]: {
            "attempts": 1,
            "successRate": row["successRate"],
            "p95Ms": row["response"]["p95"],
        }
        for row in plot(shop, "endpoint")["data"]
    }
    assert {row["last24Hours"]["successRate"] for row in listed} == {0, 1}


def test_what_waits_is_measured_each_minute(shop: Shop) -> None:
    down = shop.endpoint("/status/500")
    for _ in range(ROW_MAX):
        shop.publish()
    sampler = PendingSampler(shop.served.gateway.database, shop.served.gateway.clock)
    shop.served.do(sampler.sample())
    measured = [step for step in plot(shop, "pending")["data"] if step["pending"] is not None]

    assert [step["pending"] for step in measured] == [ROW_MAX]
    assert measured[0]["overdueSeconds"] >= 0
    assert plot(shop, "pending", endpoint=down)["data"][0]["pending"] is None


def test_callbacks_are_counted_by_source_and_unknown_ones_too(shop: Shop) -> None:
    wanted = {"provider": "stripe", "name": "Cards", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZI"]}
    answer = shop.http.post(f"/app/{shop.id}/source", json=wanted)
    assert answer.status_code == 201, answer.text
    source = answer.json()
    path = source["path"].removeprefix("/api/webhooks")
    outside = shop.served.url + "/api/webhooks"
    assert shop.http.post(outside + path, content=b"{}").status_code in (400, 401)
    assert shop.http.post(outside + "/stripe/nobody", content=b"{}").status_code == 404
    shop.served.do(shop.served.gateway.unstored_callbacks.store())

    steps = plot(shop, "callback", by_source=True)["data"]
    assert {step["sourceId"] for step in steps} == {source["id"]}
    assert summed(steps, "arrivals") == {"unauthenticated": 1}
    assert summed(plot(shop, "callback")["data"], "arrivals") == {"unauthenticated": 1}
    everywhere = shop.http.get("/statistics/callback").json()["data"]
    assert summed(everywhere, "arrivals")["unknownSource"] == 1


def test_a_key_sees_the_numbers_of_its_application_alone(shop: Shop) -> None:
    endpoint = shop.endpoint()
    shop.publish()
    other = Shop(shop.served)
    key = shop.served.make_key("read", app_id=other.id)
    with shop.served.client(key) as http:
        for name in PLOTS:
            assert http.get(f"/statistics/{name}").status_code == 200, name
            assert http.get(f"/statistics/{name}", params={"app": shop.id}).status_code == 404
        for name in ("attempt", "response-time", "pending", "attempts-needed", "marker"):
            query = {"endpoint": endpoint}
            assert http.get(f"/statistics/{name}", params=query).status_code == 404, name
        own = http.get("/statistics/attempt").json()["data"]
        assert summed(own, "results") == {}
        assert http.get("/statistics/endpoint").json()["data"] == []
        assert http.get("/statistics/event-type").json()["data"] == []
        texts = [marker["text"] for marker in http.get("/statistics/marker").json()["data"]]
        assert not any(endpoint in text or shop.id in text for text in texts)


def test_every_plot_comes_as_csv_too(shop: Shop) -> None:
    shop.endpoint()
    shop.publish()
    for name in PLOTS:
        rows = plot(shop, name)["data"]
        for format_, headers in (("csv", {}), (None, {"Accept": "text/csv"})):
            query = {"app": shop.id} | ({"format": format_} if format_ else {})
            answer = shop.http.get(f"/statistics/{name}", params=query, headers=headers)
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            lines = list(csv.reader(io.StringIO(answer.text)))
            extra = 1 if name == "attempts-needed" else 0  # "exhausted"
            assert abs(len(lines) - 1 - extra - len(rows)) <= 1, name  # a minute may begin
            assert {len(line) for line in lines} == {len(lines[0])}


def test_no_cell_is_run_as_a_formula() -> None:
    rows = [("=1+1", "@a", "-2", "\tx"), (-2, 1.5, None, "a,b")]

    assert csv_text(("a", "b", "c", "d"), rows).decode().split("\r\n") == [
        "a,b,c,d",
        "'=1+1,'@a,-2,'\tx",
        '-2,1.5,,"a,b"',
        "",
    ]


def test_a_wrong_time_is_refused_where_it_is_wrong(shop: Shop) -> None:
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since"),
        ({"since": "2999-01-01T00:00:00Z"}, "since"),
        ({"step": 90}, "step"),
        ({"step": 1}, "step"),
        ({"since": "2025-01-01T00:00:00Z", "step": 60}, "step"),
        ({"since": "1971-01-01T00:00:00Z", "step": 3600}, "step"),
    )
    for query, member in wrong:
        answer = shop.http.get("/statistics/attempt", params=query)
        assert answer.status_code == 422, (query, answer.text)
        assert answer.json()["detail"][0]["loc"] == ["query", member]


def test_steps_are_whole_and_few() -> None:
    now = 1_760_000_000 * SECOND  # in the middle of an hour

    def period(**wanted: Any) -> PlotPeriod:
        return plot_period(WantedPeriod(**wanted), now, 48 * HOUR)

    assert period().step == MINUTE
    assert period().until == -(-now // MINUTE) * MINUTE
    assert len(period().starts) == 61
    assert period(until=now + DAY) == period()
    for span, step in ((DAY, 15 * MINUTE), (47 * HOUR, 30 * MINUTE), (7 * DAY, 2 * HOUR)):
        assert period(since=now - span).step == step
        assert len(period(since=now - span).starts) <= 121
    assert period(since=now - 49 * HOUR).step == HOUR  # minutes are no more
    assert period(since=0).step % DAY == 0
    assert len(period(since=0).starts) <= 121
    by_hour = period(since=now - DAY, step_s=3_600)
    assert (by_hour.since % HOUR, by_hour.until % HOUR, len(by_hour.starts)) == (0, 0, 25)
    with pytest.raises(Invalid):
        period(since=now - 49 * HOUR, step_s=60)


async def test_readers_share_a_read_for_a_time(clock: ManualClock) -> None:
    reads, shared = 0, SharedReads(clock)
    is_broken = False

    async def read() -> list[int]:
        nonlocal reads
        reads += 1
        number = reads
        await asyncio.sleep(0)
        if is_broken:
            raise StoreUnavailable("broken")
        return [number]

    async def get(key: object = "all") -> list[int]:
        return await shared.get(key, 10 * SECOND, read)

    first = asyncio.create_task(get())
    shared_rows = list(await asyncio.gather(get(), get(), get("other")))
    assert shared_rows == [[1], [1], [2]]
    assert await first == [1]
    clock.advance(9.9)
    assert await get() == [1]
    clock.advance(0.1)
    is_broken = True
    for _ in range(2):  # an error is not kept
        with pytest.raises(StoreUnavailable):
            await get()
    is_broken = False
    assert await get() == [5]
    first = asyncio.create_task(get("third"))
    await asyncio.sleep(0)
    first.cancel()  # its caller goes away
    assert await get("third") == [6]


def test_a_page_draws_what_is_counted_and_gives_its_numbers(shop: Shop) -> None:
    shop.endpoint()
    shop.publish()
    cookies = {"tillbell": shop.served.session()}
    with httpx.Client(base_url=shop.served.url, cookies=cookies, verify=False) as http:
        page = http.get("/plots", params={"app": shop.id}).text
        assert '<section class="panel" aria-labelledby="h-attempts-needed">' in page
        assert "Accepted <b>1</b>" in page
        assert '<rect class="s-accepted"' in page
        assert page.count('<details class="astable">') == 2  # what was counted: no callback yet
        assert "order.paid" in page
        rows = http.get("/plots/attempts", params={"app": shop.id}).json()["data"]
        assert sum(row["accepted"] for row in rows) == 1
        written = http.get("/plots/attempts", params={"app": shop.id, "format": "csv"}).text
        assert len(written.splitlines()) - 1 in (len(rows), len(rows) + 1)
        assert http.get("/plots/nothing").status_code == 404


def test_a_line_is_broken_where_nothing_is_known() -> None:
    drawing = str(charts.lines([[1, 2, None, 4]], "times", highest=4))

    assert drawing.count('class="ln ln1"') == 2
    assert 'd="M0 150.0 333 100.0"' in drawing
    assert str(charts.lines([[None, None]], "times", highest=4)).count("ln1") == 0
