"""The operations guide and the alerts name only what is there, and all of the alerts."""

from __future__ import annotations

import re

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cases import each
from tests.deploy.reading import DEPLOY, GUIDE, ROOT, blocks, run
from tillbell.config import FIELDS
from tillbell.counters import Meters
from tillbell.logs import LOG_EVENTS
from tillbell.model.callbacks import Outcome
from tillbell.web.api.rest import openapi_document
from tillbell.web.edge.metrics import render
from tillbell.web.server.shared_metrics import DispatchVitals, MetricsReading

GROUPS = yaml.safe_load((DEPLOY / "prometheus" / "tillbell.rules.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]
METERS = Meters()
METERS.request("GET", "none", 404, 0.001)
METERS.received("stored", "stripe")
METERS.concluded(Outcome.APPLIED, "stripe")
FAMILIES = list(
    text_string_to_metric_families(
        render([MetricsReading("", 0, METERS, DispatchVitals())]).decode()
    )
)
SERIES = {sample.name for family in FAMILIES for sample in family.samples}
LABELS = {
    (sample.name, name, value)
    for family in FAMILIES
    for sample in family.samples
    for name, value in sample.labels.items()
}
# A series, and what stands in braces behind it.
USED = re.compile(r"\b(tillbell_[a-z_]+)(?:\{([^}]*)\})?")


@each("rule", RULES, ids=NAMES)
def test_an_alert_asks_for_series_that_are_there(rule: dict[str, str]) -> None:
    used = USED.findall(rule["expr"])
    assert used
    for series, braces in used:
        assert series in SERIES
        for label, values in re.findall(r'(\w+)[!=]=?~?"([^"]*)"', braces):
            for value in values.split("|"):
                assert (series, label, value) in LABELS


@each("rule", RULES, ids=NAMES)
def test_an_alert_says_how_urgent_it_is_and_what_it_means(rule: dict[str, object]) -> None:
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert set(rule["annotations"]) == {"summary"}  # type: ignore[call-overload]


def test_the_guide_has_a_line_for_each_alert_with_its_urgency() -> None:
    lines = dict(re.findall(r"^\| `(Tillbell\w+)` (?:\*\*)?(page|ticket)", GUIDE, re.MULTILINE))
    assert lines == {rule["alert"]: rule["labels"]["severity"] for rule in RULES}


def test_the_guide_lists_every_series() -> None:
    listed = set(re.findall(r"^\| `(tillbell_\w+)`", GUIDE, re.MULTILINE))
    assert listed == {re.sub("_(bucket|count|sum)$", "", series) for series in SERIES}
    assert set(re.findall(r"`(tillbell_[a-z_]+)`", GUIDE)) <= listed


def test_the_guide_names_settings_that_are_there() -> None:
    named = set(re.findall(r"TILLBELL_([A-Z_]*[A-Z])", GUIDE))
    assert {name.lower() for name in named} <= set(FIELDS)


def test_the_guide_names_happenings_that_are_there() -> None:
    logs = GUIDE.partition("### Logs")[2].partition("### A canary")[0]
    named = set(re.findall(r"`([a-z]+\.[a-z]+)`", logs))
    assert len(named) > 10
    assert named <= set(LOG_EVENTS)


def test_the_guide_names_routes_that_are_there() -> None:
    known = {re.sub(r"\{\w+\}", "{}", path) for path in openapi_document()["paths"]}
    named = re.findall(r"(?:GET|POST) (/api/v1/[^\s`?]+)", GUIDE)
    assert len(named) > 4
    assert {re.sub(r"\{\w+\}", "{}", path) for path in named} <= known


def test_the_guide_names_commands_files_and_headings_that_are_there() -> None:
    for command in set(re.findall(r"`?tillbell (\w+)\b(?= )", "\n".join(blocks()))):
        assert run("tillbell", command, "--help").returncode == 0, command
    for path in re.findall(r"`(deploy/[\w./@-]+)`", GUIDE):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\]\(([\w./-]+\.md)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
    headings = {
        heading.lower().replace(",", "").replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", GUIDE)) <= headings
