"""Secrets planted in every place an owner can put one are nowhere in clear."""

import pytest

from tests.flow.world import World
from tillbell.web.edge.health import HealthProbe
from tillbell.web.edge.metrics import MetricsReading, render

SIGNING = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC0wMTIzNDU2Nzg5"
HEADER = "Bearer planted-header-value-0123456789"
LITERAL = "planted-literal-password-0123456789"
PLANTED = (SIGNING[6:], "planted-header-value", LITERAL)


@pytest.mark.sqlite
async def test_planted_secrets_reach_the_receiver_and_nothing_else(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    signed = await world.endpoint("/status/500", secret=SIGNING, retry_schedule=(0,))
    sealed = world.gateway.vault.seal(HEADER, signed.id)
    await world.change(signed, headers={"Authorization": sealed})
    await world.endpoint("/status/401", secret=LITERAL, profile="zenofy", retry_schedule=())
    await world.endpoint("/x", url=f"http://127.0.0.1:1/?key={LITERAL}", retry_schedule=())
    await world.publish(b'{"type":"order.paid","data":{"id":"1"}}')
    await world.next_ended(4)
    reading = MetricsReading("", 0, world.gateway.meters, HealthProbe(world.gateway).vitals())
    shown = render([reading]).decode()
    await world.gateway.database.backup(str(world.folder / "copy.db"))
    await world.stop()
    files = {
        path.name: path.read_bytes() for path in world.folder.iterdir() if path.suffix != ".key"
    }
    await world.start()

    sent = "\n".join(r.head.decode() for r in world.receiver.requests)
    logged = "".join(capfd.readouterr())
    assert HEADER in sent
    assert LITERAL in sent
    assert "attempt.failed" in logged
    for secret in PLANTED:
        assert secret not in logged
        assert secret not in shown
    for secret in PLANTED[:2]:
        assert {name for name, data in files.items() if secret.encode() in data} == set()
