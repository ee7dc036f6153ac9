"""A callback that we sign ourselves, as the provider would, to see what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any

from tillbell.app import Gateway
from tillbell.errors import Invalid, Problem
from tillbell.providers.kit.base import Incoming, Provider, SimulationCase
from tillbell.providers.kit.cases import samples
from tillbell.receive.receive import answer_to
from tillbell.receive.source_cache import CompiledSource
from tillbell.receive.verify_and_parse import explained, verify_and_parse
from tillbell.web.api.callback_view import reading_out
from tillbell.web.api.shapes.sources import TestIn, TestOut
from tillbell.web.api.source_view import source_out


async def simulate(gateway: Gateway, live: CompiledSource, body: TestIn) -> TestOut:
    """Sign, verify and read a callback; store and process it too, unless it is a dry run."""
    incoming = _signed(gateway, live, body)
    reading = await asyncio.to_thread(explained, live, incoming, verify_and_parse(live, incoming))
    answer = answer_to(live, incoming, reading.intake_status)
    stored = None
    if not body.dry_run:
        stored = await gateway.receiver.store_reading(live, incoming, reading)
    return TestOut(
        reading=reading_out(reading),
        answer_status=answer.status,
        answer_body=answer.body.decode("utf-8", "replace"),
        callback_id=stored.id if stored is not None else None,
    )


def _signed(gateway: Gateway, live: CompiledSource, body: TestIn) -> Incoming:
    now = gateway.clock.now()
    case = _case(live.provider, body)._replace(at=now)
    try:
        url = source_out(gateway, live).url
        return live.provider.sign(case, live.setup_at(now), url)._replace(received_at=now)
    except Exception as error:  # whatever the fields lack, the adapter finds it
        what = f"cannot be made of these fields: {type(error).__name__}"
        raise Invalid(Problem(("body", "fields"), what, "case")) from error


def _case(provider: Provider, body: TestIn) -> SimulationCase:
    """Return the case that is named, or the first, changed as the body says."""
    known = samples(provider.name)
    if body.case is not None and body.case not in known:
        what = f"unknown case; there are {', '.join(known) or 'none'}"
        raise Invalid(Problem(("body", "case"), what, "case"))
    named = body.case if body.case or body.fields else next(iter(known), None)
    usual = "POST" if "POST" in provider.methods else min(provider.methods)
    base = known[named].case if named is not None else SimulationCase({}, usual)
    return base._replace(
        fields=_over(base.fields, body.fields),
        method=body.method or base.method,
        query={**base.query, **body.query},
        headers={**base.headers, **body.headers},
        id=body.id or base.id,
    )


def _over(fields: Any, changes: dict[str, Any]) -> Any:
    """Return a case's fields with some changed; a case may be a list, which is sent as it is."""
    return {**fields, **changes} if isinstance(fields, dict) else fields
