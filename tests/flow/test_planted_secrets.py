"""Secrets planted in every place an owner can put one are nowhere in clear."""

import pytest

from tests.flow.gateway_harness import GatewayHarness
from tillbell.web.edge.health import HealthProbe
from tillbell.web.edge.metrics import render
from tillbell.web.server.shared_metrics import MetricsReading

SIGNING = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC0wMTIzNDU2Nzg5"
HEADER = "Bearer planted-header-value-0123456789"
LITERAL = "planted-literal-password-0123456789"
PLANTED = (SIGNING[6:], "planted-header-value", LITERAL)


@pytest.mark.sqlite
async def test_planted_secrets_reach_the_receiver_and_nothing_else(
    harness: GatewayHarness, capfd: pytest.CaptureFixture[str]
) -> None:
    signed = await harness.endpoint("/status/500", secret=SIGNING, retry_schedule=(0,))
    sealed = harness.gateway.vault.seal(HEADER, signed.id)
    await harness.change(signed, headers={"Authorization": sealed})
    await harness.endpoint("/status/401", secret=LITERAL, profile="zenofy", retry_schedule=())
    await harness.endpoint("/x", url=f"http://127.0.0.1:1/?key={LITERAL}", retry_schedule=())
    await harness.publish(b'{"type":"order.paid","data":{"id":"1"}}')
    await harness.next_ended(4)
    reading = MetricsReading("", 0, harness.gateway.meters, HealthProbe(harness.gateway).vitals())
    shown = render([reading]).decode()
    await harness.gateway.database.backup(str(harness.folder / "copy.db"))
    await harness.stop()
    files = {
        path.name: path.read_bytes() for path in harness.folder.iterdir() if path.suffix != ".key"
    }
    await harness.start()

    sent = "\n".join(r.head.decode() for r in harness.receiver.requests)
    logged = "".join(capfd.readouterr())
    assert HEADER in sent
    assert LITERAL in sent
    assert "attempt.failed" in logged
    for secret in PLANTED:
        assert secret not in logged
        assert secret not in shown
    for secret in PLANTED[:2]:
        assert {name for name, data in files.items() if secret.encode() in data} == set()
