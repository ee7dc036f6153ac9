"""Secrets are rotated amid a stream, in both directions: nothing is lost, nothing wrongly refused.

While old and new overlap a provider may sign with either, and what we send is signed with both.
Once the overlap is over, the old secret is worth nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

import httpx
import pytest

from tests.patience import PATIENCE_S
from tests.walks.subscribed_shop import ProviderAccount, SubscribedShop, sent
from tests.web.served_gateway import ServedGateway
from tillbell.clock import SECOND, Micros, from_datetime
from tillbell.providers.kit.base import Incoming
from tillbell.testing import ManualClock
from tillbell.verify import VerificationError, verify

pytestmark = pytest.mark.sqlite_first

OLD, NEW = "secret-that-was-first-01", "secret-that-comes-next-02"
COUNT = 40
GRACE_S = 3_600


def payment(account: ProviderAccount, number: int, secret: str) -> Incoming:
    """Return the callback that approves one of the payments."""
    names = f"merchantTransactionId=PAY-{number}", f"uuid=psp-{number}"
    return account.says("approved", *names, secret=secret)


async def stream(
    served: ServedGateway, account: ProviderAccount, rotate: tuple[str, dict[str, str]]
) -> list[int]:
    """Send from two machines of a provider; rotate when half is sent.

    One learns of the new secret at once, the other keeps the old one to the end.
    """
    rotated, is_half = asyncio.Event(), asyncio.Event()
    async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE_S) as client:

        async def machine(numbers: Sequence[int], *, is_quick: bool) -> list[int]:
            statuses = []
            for number in numbers:
                if number >= COUNT // 2:
                    is_half.set()
                    await (rotated if is_quick else is_half).wait()
                secret = NEW if is_quick and rotated.is_set() else OLD
                one = payment(account, number, secret)
                answer = await client.post(one.target, content=one.body, headers=[*one.headers])
                statuses.append(answer.status_code)
            return statuses

        async def owner() -> list[int]:
            await is_half.wait()
            path, body = rotate
            headers = {"authorization": f"Bearer {served.key}"}
            answer = await client.post(f"/api/v1{path}", json=body, headers=headers)
            rotated.set()
            return [answer.status_code]

        slow = machine(range(0, COUNT, 2), is_quick=False)
        quick = machine(range(1, COUNT, 2), is_quick=True)
        return [status for found in await asyncio.gather(slow, quick, owner()) for status in found]


def begun(shop: SubscribedShop) -> list[str]:
    return [str(shop.begin(uid=f"PAY-{n}", amount="49.90")["id"]) for n in range(COUNT)]


def test_a_provider_whose_secret_changes_amid_a_stream_is_always_believed(
    served: ServedGateway,
) -> None:
    shop = SubscribedShop(served)
    account = shop.account("allsecure", OLD)
    payments = begun(shop)
    path = f"{shop.path}/source/{account.source['id']}/secret/rotate"
    assert set(asyncio.run(stream(served, account, (path, {"secret": NEW})))) == {200}
    shop.served.wait_for_callbacks()
    assert {shop.shown(one)["status"] for one in payments} == {"Approved"}
    assert {one["outcome"] for one in shop.log(limit=250)} == {"applied"}


def test_a_subscriber_whose_secret_changes_amid_a_stream_can_verify_each(
    served: ServedGateway,
) -> None:
    shop = SubscribedShop(served)
    account = shop.account("allsecure", OLD)
    begun(shop)
    before = shop.secret
    path = f"{shop.path}/endpoint/{shop.endpoint['id']}/secret/rotate"
    for number in range(COUNT // 2):
        shop.hear(payment(account, number, OLD))
    assert shop.http.post(path, json={}).status_code == 200
    after = str(shop.get(f"endpoint/{shop.endpoint['id']}/secret")["key"])
    for number in range(COUNT // 2, COUNT):
        shop.hear(payment(account, number, OLD))
    shop.delivered()
    found = [one for one in served.receiver.to(shop.hook) if b"transaction.approved" in one.body]
    assert len(found) == COUNT
    for arrival in found:
        verify(arrival.body, arrival.headers, before)
    late = [one for one in found if is_by(after, one.headers, one.body)]
    assert len(late) == COUNT // 2


def is_by(secret: str, headers: Sequence[tuple[str, str]], body: bytes) -> bool:
    try:
        verify(body, headers, secret)
    except VerificationError:
        return False
    return True


# ── the end of the overlap ───────────────────────────────────────────────────────────────────────


class Rotated:
    """A source whose secret was rotated, and a clock that stands."""

    def __init__(self, served: ServedGateway, provider: str) -> None:
        self.served, self.shop = served, SubscribedShop(served)
        self.account = self.shop.account(provider, OLD)
        path = f"{self.shop.path}/source/{self.account.source['id']}/secret/rotate"
        body = {"secret": NEW, "gracePeriodSeconds": GRACE_S}
        shown = self.shop.http.post(path, json=body).json()
        self.ends_at: Micros = from_datetime(datetime.fromisoformat(shown["secretExpiries"][1]))

    def answers(self, case: str, at: Micros) -> tuple[int, int]:
        """Return how both secrets are answered at that time."""
        self.served.gateway.clock = ManualClock(at)
        requests = [self.account.says(case, secret=secret) for secret in (OLD, NEW)]
        old, new = [sent(self.served, request).status_code for request in requests]
        return old, new


@pytest.fixture
def clock(served: ServedGateway) -> Iterator[None]:
    """Put the gateway's clock back afterwards."""
    before = served.gateway.clock
    yield
    served.gateway.clock = before


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("provider", "case"),
    [("shoppex", "order-paid"), ("mozarto", "approved"), ("zenofy", "order-paid")],
)
def test_the_old_secret_is_good_to_its_last_second_and_not_after(
    served: ServedGateway, provider: str, case: str
) -> None:
    rotated = Rotated(served, provider)
    for seconds in (-GRACE_S, -60, -1):
        assert rotated.answers(case, rotated.ends_at + seconds * SECOND) == (200, 200)
    for seconds in (0, 1, 60, GRACE_S):
        assert rotated.answers(case, rotated.ends_at + seconds * SECOND) == (401, 200)
