"""The bench's own arithmetic, and that it runs."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from bench import against, figures, flames, lines, message, page, table
from tests import scale

ROOT = Path(__file__).resolve().parents[2]
SVG = "http://www.w3.org/2000/svg"


def test_a_payload_carries_its_number_and_every_byte_counts() -> None:
    body = message.body_of(1234)
    assert len(body) == message.BODY_BYTES
    assert message.sequence_of(body) == 1234
    for place in (0, 5, 500, len(body) - 1):
        altered = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        assert message.sequence_of(altered) == -1


def test_ratios_compare_with_the_best_variant_of_the_same_round() -> None:
    rounds = [
        {"throughput": {"per_s": 1000.0}, "celery-prefork-2": {"per_s": 10.0},
         "celery-prefork-8": {"per_s": 20.0}},
        {"throughput": {"per_s": 900.0}, "celery-prefork-2": {"per_s": 30.0},
         "celery-prefork-8": {"per_s": 20.0}},
    ]  # fmt: skip
    found = {figure.line.title: figure.spread for figure in table.figures(lines.SQLITE, rounds)}
    assert found["Tillbell against the best Celery"] == figures.Spread(40.0, 30.0, 50.0, 2)


def test_a_ratio_above_one_says_that_this_checkout_is_faster() -> None:
    turns = [
        against.Turn({"per_s": 100.0, "cpu_us": 300.0}, {"per_s": 200.0, "cpu_us": 100.0}),
        against.Turn({"per_s": 100.0, "cpu_us": 200.0}, {"per_s": 100.0, "cpu_us": 100.0}),
    ]
    ratios = [cells[-1] for cells in against.lines_of("publish", turns)]
    assert ratios == ["1.5, 1 – 2", "2.5, 2 – 3"]
    assert against.best_ratio(turns) == 2.5
    assert against.best_ratio(turns[1:]) == 2.0
    slower = [against.Turn(turn.present, turn.reference) for turn in turns]
    assert against.best_ratio(slower) == 0.75


def test_a_flame_graph_shows_shares_without_waits_and_folders() -> None:
    stacks = flames.stacks_of(
        "run (asyncio/runners.py:86);send (tillbell/http/client.py:9) 3\n"
        "run (asyncio/runners.py:86);<lambda> (/srv/somewhere/site/hook.py:1) 1\n"
        "run (threading.py:971);_worker (concurrent/futures/thread.py:69) 96\n"
    )
    drawn = flames.svg("publish", stacks)
    titles = [title.text for title in ET.fromstring(drawn).iter(f"{{{SVG}}}title")]
    assert titles == [
        "all: 100.0%",
        "run (asyncio/runners.py:86): 100.0%",
        "<lambda> (hook.py:1): 25.0%",
        "send (tillbell/http/client.py:9): 75.0%",
    ]
    assert "/srv" not in drawn


def test_cases_that_did_not_run_leave_no_lines() -> None:
    assert all(table.figures(part, [{}]) == [] for part in lines.PARTS.values())


def test_the_page_has_a_place_for_every_part() -> None:
    text = page.PAGE.read_text()
    for part in lines.PARTS:
        assert "measured anew" in page.replaced(text, part, "measured anew")


@pytest.mark.parametrize("module", [figures, page, table])
def test_examples_in_docstrings_are_true(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.slow
def test_a_quick_run_of_cases_of_the_gateway_ends_well() -> None:
    cases = ["gateway"] if scale.IS_WHOLE else ["latency-1000", "callbacks"]
    command = [sys.executable, "-m", "bench", "--quick", *cases]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "p99" in done.stdout


@pytest.mark.slow
def test_a_comparison_with_another_program_ends_well() -> None:
    reference = str(Path(sys.executable).with_name("tillbell"))
    effort = ["--rounds", "1", "--seconds", "0.3", "--stores", "sqlite"]
    command = [sys.executable, "-m", "bench", "against", "--reference", reference, *effort]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| callbacks, sqlite: a second |" in done.stdout
