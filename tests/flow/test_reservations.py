"""A place reserved in a lane is used or free again, whatever happens to the commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flow.gateway_harness import START, GatewayHarness
from tillbell.deliver.application_views import ApplicationView
from tillbell.deliver.lane import Lane
from tillbell.deliver.publish import MessageDraft
from tillbell.errors import ConflictError, StoreUnavailable
from tillbell.testing import ManualClock

DRAFT = MessageDraft("order.paid", b'{"a":1}', event_id="evt-1")


class Broken:
    """A profile that cannot render its second message."""

    def __init__(self, profile: Any) -> None:
        self._profile = profile
        self._rendered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._profile, name)

    def variant(self, part: str) -> str:
        return "broken"

    def render(self, part: str, context: Any) -> bytes:
        self._rendered += 1
        if self._rendered > 1:
            raise ValueError("It cannot be rendered.")
        return b"{}"


async def lane_and_view(harness: GatewayHarness) -> tuple[Lane, ApplicationView]:
    endpoint = await harness.endpoint("/ok")
    view = await harness.gateway.config_cache.view(harness.app.id)
    assert view is not None
    return harness.gateway.lanes.open(view.compiled_endpoints[endpoint.id]), view


async def test_a_block_that_ends_without_a_stored_message_frees_its_place(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        lane, view = await lane_and_view(harness)

        with harness.gateway.publisher.prepared(view, (DRAFT, DRAFT)) as messages:
            assert (len(messages.publications), lane.reserved) == (2, 2)
        assert lane.reserved == 0

        with pytest.raises(StoreUnavailable), harness.gateway.publisher.prepared(view, (DRAFT,)):
            raise StoreUnavailable("The disk is full.")
        assert lane.reserved == 0


async def test_a_repeated_event_id_frees_its_place(tmp_path: Path) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        lane, view = await lane_and_view(harness)
        await harness.gateway.publisher.publish_for(view, DRAFT)
        with pytest.raises(ConflictError):
            await harness.gateway.publisher.publish_for(view, DRAFT)

        assert lane.reserved == 0
        await harness.next_ended()


async def test_a_later_message_that_cannot_be_rendered_frees_the_places_of_earlier_ones(
    tmp_path: Path,
) -> None:
    async with GatewayHarness(tmp_path, ManualClock(START)) as harness:
        lane, view = await lane_and_view(harness)
        broken: Any = Broken(lane.compiled.profile)
        view.put_endpoint(lane.id, lane.compiled._replace(profile=broken))

        with pytest.raises(ValueError, match="cannot be rendered"):
            harness.gateway.publisher.prepared(view, (DRAFT, DRAFT))
        assert lane.reserved == 0
