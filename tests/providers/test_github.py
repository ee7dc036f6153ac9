"""GitHub: the published vector, the old signature refused, events passed on."""

from typing import Any

import pytest

from tillbell.model.callbacks import ForwardNotice, NoteNotice
from tillbell.model.sources import Trust
from tillbell.providers.github import PROVIDER
from tillbell.providers.kit.base import Incoming, SimulationCase, SourceSetup, Unreadable

SETUP = SourceSetup(("It's a Secret to Everybody",))
BODY = b"Hello, World!"
RIGHT = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def posted(body: bytes = BODY, **headers: str) -> Incoming:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Incoming("POST", "/", named, body, 0)


def test_the_published_vector_matches() -> None:
    assert PROVIDER.verify(posted(x_hub_signature_256=RIGHT), SETUP).trust is Trust.SIGNED


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_hub_signature_256": RIGHT.removeprefix("sha256=")},
        {"x_hub_signature_256": "sha1=" + RIGHT.removeprefix("sha256=")},
        {"x_hub_signature_256": RIGHT[:-2]},
        {"x_hub_signature_256": RIGHT[:-1] + "8"},
    ],
)
def test_anything_else_is_refused(headers: dict[str, Any]) -> None:
    assert PROVIDER.verify(posted(**headers), SETUP).trust is None


def test_the_old_signature_alone_is_refused_by_name() -> None:
    verdict = PROVIDER.verify(posted(x_hub_signature="sha1=00"), SETUP)

    assert verdict.trust is None
    assert "SHA-1" in verdict.why


def test_a_secret_with_a_line_end_is_told_as_the_likely_cause() -> None:
    verdict = PROVIDER.verify(
        posted(x_hub_signature_256=RIGHT), SourceSetup((SETUP.secrets[0] + "\n",))
    )

    assert verdict.trust is None
    assert "line end" in verdict.why


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_an_event_is_passed_on_whether_json_or_form(kind: str) -> None:
    headers = {"x-github-event": "pull_request", "content-type": kind}
    case = SimulationCase({"action": "opened", "title": "čaj & 100 %"}, headers=headers, id="d-1")
    incoming = PROVIDER.sign(case, SETUP, "https://hooks.example/x")

    assert PROVIDER.verify(incoming, SETUP).trust is Trust.SIGNED
    parsed = PROVIDER.parse(incoming, SETUP)
    payload = '{"action":"opened","title":"čaj & 100 %"}'.encode()
    assert parsed.notices == (ForwardNotice("github.pull_request", payload),)
    assert parsed.dedupe_key == "d-1"


def test_a_ping_is_only_kept() -> None:
    (notice,) = PROVIDER.parse(posted(b'{"zen":"x"}', x_github_event="ping"), SETUP).notices

    assert isinstance(notice, NoteNotice)


@pytest.mark.parametrize("event", ["", "push!", "Push", "a" * 65])
def test_an_event_without_a_name_is_unreadable(event: str) -> None:
    with pytest.raises(Unreadable):
        PROVIDER.parse(posted(b"{}", x_github_event=event), SETUP)
