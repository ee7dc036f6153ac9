"""A callback that we sign ourselves, as the provider would, to see what becomes of it."""

from __future__ import annotations

from tillbell.app import Gateway
from tillbell.errors import Invalid, Problem
from tillbell.flow.reading import read
from tillbell.flow.receive import answer_to
from tillbell.flow.sources import LiveSource
from tillbell.providers.base import Case, Incoming
from tillbell.web.api.callback_view import reading_out
from tillbell.web.api.shapes.sources import TestIn, TestOut
from tillbell.web.api.source_view import source_out


async def simulate(gateway: Gateway, live: LiveSource, body: TestIn) -> TestOut:
    """Sign, verify and read a callback; store and process it too, unless it is a dry run."""
    incoming = _signed(gateway, live, body)
    reading = read(live, incoming)
    answer = answer_to(live, incoming, reading.heard)
    stored = None
    if not body.dry_run:
        stored = await gateway.receiver.accept(live, incoming, reading)
    return TestOut(
        reading=reading_out(reading),
        answer_status=answer.status,
        answer_body=answer.body.decode("utf-8", "replace"),
        callback_id=stored.id if stored is not None else None,
    )


def _signed(gateway: Gateway, live: LiveSource, body: TestIn) -> Incoming:
    now = gateway.clock.now()
    methods = live.provider.methods
    usual = "POST" if "POST" in methods else min(methods)
    case = Case(body.fields, body.method or usual, body.query, body.headers, at=now)
    if body.id is not None:
        case = case._replace(id=body.id)
    try:
        url = source_out(gateway, live).url
        return live.provider.sign(case, live.setup_at(now), url)._replace(received_at=now)
    except Exception as error:  # whatever the fields lack, the adapter finds it
        what = f"cannot be made of these fields: {type(error).__name__}: {error}"
        raise Invalid(Problem(("body", "fields"), what, "case")) from error
