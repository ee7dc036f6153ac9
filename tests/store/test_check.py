"""Would a write be accepted now?"""

from tests.store.world import World


async def test_the_store_says_that_it_would_accept_a_write(world: World) -> None:
    await world.publish()
    before = await world.store.counts()
    await world.store.check()

    assert await world.store.counts() == before
