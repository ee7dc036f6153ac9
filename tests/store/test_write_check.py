"""Would a write be accepted now?"""

from tests.store.outbound_harness import OutboundHarness


async def test_the_store_says_that_it_would_accept_a_write(outbound: OutboundHarness) -> None:
    await outbound.publish()
    before = await outbound.store.counts()
    await outbound.store.check()

    assert await outbound.store.counts() == before
