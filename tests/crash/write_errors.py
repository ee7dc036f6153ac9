"""The n-th write or sync fails, for every n that a run reaches, or for so many of them.

A 2xx must never follow a failed commit. The process may recover or end with an
error; the producer's repeat of the same request must not make a second message.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway import GatewayProcess

from tests.crash.accounts import ApiRecords
from tests.crash.producer import Acknowledged, payload_of, request_of
from tests.crash.report import Report
from tests.crash.stage import integrity
from tests.patience import PATIENCE_S

FAULTS = (("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO"))
EVENTS = 12
_MARK = "(INJECTED)"
_REPEAT_S = 15.0
_PAUSE_S = 0.2


@dataclass
class _Tally:
    """What the runs of one fault showed."""

    hit: int = 0
    refused: int = 0
    exits: list[int] = field(default_factory=list)
    starts_failed: int = 0
    wrong: list[str] = field(default_factory=list)


def run(folder: Path, most: int) -> Report:
    """Run the battery; at most `most` values of n for each kind of error, spread over a run."""
    report = Report(f"write errors, at most {most} of each kind")
    template, app = _template(folder)
    for call, error in FAULTS:
        tally = _Tally()
        reached = _calls_in_a_run(folder, template, app, call)
        for number in _spread(reached, most):
            _one(folder, template, app, (call, error, number), tally)
        name = f"{call} {error}"
        report.figure(f"{name}: calls in a run", reached)
        report.figure(f"{name}: errors injected", tally.hit)
        report.figure(f"{name}: requests not acknowledged at first", tally.refused)
        report.figure(f"{name}: process ended by itself with", sorted(set(tally.exits)) or "never")
        report.figure(f"{name}: start refused", tally.starts_failed)
        report.must_be_empty(f"{name}: wrong", tally.wrong)
        report.must(tally.hit > 0, f"{name}: no error was ever injected")
    return report


def _spread(reached: int, most: int) -> list[int]:
    """Return all numbers from 1 to `reached`, or `most` of them evenly spread."""
    if reached <= most:
        return list(range(1, reached + 1))
    return sorted({1 + round(step * (reached - 1) / max(1, most - 1)) for step in range(most)})


def _calls_in_a_run(folder: Path, template: Path, app: str, call: str) -> int:
    """Count the calls of the busiest thread in a run without errors: strace counts by thread."""
    place = folder / f"{call}-count"
    shutil.copytree(template, place)
    trace = folder / f"{place.name}.trace"
    wrapper = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={call}", "-o", str(trace)]
    gateway = GatewayProcess(place, wrapper=wrapper)
    _publish_all(gateway, app, _Tally())
    gateway.kill()
    shutil.rmtree(place)
    threads = Counter(line.split()[0] for line in trace.read_text().splitlines() if call in line)
    return max(threads.values())


def _template(folder: Path) -> tuple[Path, str]:
    """Make a store with an application, so that errors hit work and not only migrations."""
    gateway = GatewayProcess(folder / "template")
    gateway.start()
    app = gateway.application("errors")
    gateway.stop()
    return gateway.data_dir, app


def _one(
    folder: Path, template: Path, app: str, fault: tuple[str, str, int], tally: _Tally
) -> None:
    """Run with one error, then see what a product without errors finds."""
    call, error, number = fault
    place = folder / f"{call}-{error}-{number}"
    shutil.copytree(template, place)
    trace = folder / f"{place.name}.trace"
    inject = f"inject={call}:error={error}:when={number}"
    wrapper = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        f"trace={call}",
        "-e",
        inject,
        "-o",
        str(trace),
    ]
    gateway = GatewayProcess(place, wrapper=wrapper)
    acknowledged = _publish_all(gateway, app, tally)
    if gateway.process is not None and gateway.process.poll() is None:
        gateway.kill()
    if _MARK in trace.read_text(errors="replace"):
        tally.hit += 1
        _verify(GatewayProcess(place), app, acknowledged, (place.name, tally))
    shutil.rmtree(place)


def _publish_all(gateway: GatewayProcess, app: str, tally: _Tally) -> list[Acknowledged]:
    """Publish each event until acknowledged; start the product again if it ends."""
    try:
        gateway.start()
    except RuntimeError:
        tally.starts_failed += 1
        if gateway.process is not None and gateway.process.poll() is None:
            tally.wrong.append(f"{gateway.data_dir.name}: neither ready nor ended")
        else:
            _note_exit(gateway, tally)
        return []
    found: list[Acknowledged] = []
    for number in range(EVENTS):
        event_id = f"evt-{number}"
        deadline = time.monotonic() + _REPEAT_S
        while (status := _publish(gateway, app, event_id)) not in {202, 409}:
            tally.refused += 1
            if gateway.process is not None and gateway.process.poll() is not None:
                _note_exit(gateway, tally)
                return found
            if time.monotonic() > deadline:
                tally.wrong.append(
                    f"{gateway.data_dir.name}: {event_id} answered {status} for ever"
                )
                return found
            time.sleep(_PAUSE_S)
        found.append(Acknowledged(event_id, payload_of(event_id), "", time.time()))
    return found


def _publish(gateway: GatewayProcess, app: str, event_id: str) -> int:
    """Publish once; 0 when no answer came."""
    body = request_of(event_id, payload_of(event_id))
    try:
        return gateway.call("POST", f"/api/v1/app/{app}/msg", body, timeout_s=10).status
    except (OSError, json.JSONDecodeError):
        return 0


def _note_exit(gateway: GatewayProcess, tally: _Tally) -> None:
    assert gateway.process is not None
    code = gateway.process.wait(PATIENCE_S)
    tally.exits.append(code)
    if code == 0:
        tally.wrong.append(f"{gateway.data_dir.name}: ended with 0 after an error")


def _verify(
    gateway: GatewayProcess, app: str, acknowledged: list[Acknowledged], run_: tuple[str, _Tally]
) -> None:
    """Start without errors: what was acknowledged is there, and each event once."""
    name, tally = run_
    gateway.start()
    try:
        again = [_publish(gateway, app, event.event_id) for event in acknowledged]
        account = ApiRecords().read(gateway, app, [])
    finally:
        gateway.stop()
    if set(again) - {409}:
        tally.wrong.append(f"{name}: an acknowledged event was accepted a second time: {again}")
    lost = [e.event_id for e in acknowledged if e.event_id not in account.messages]
    altered = [
        e.event_id
        for e in acknowledged
        if e.event_id not in lost and e.payload not in account.stored[account.messages[e.event_id]]
    ]
    if lost or altered:
        tally.wrong.append(f"{name}: lost {lost}, altered {altered}")
    if len(account.stored) != len(account.messages):
        tally.wrong.append(
            f"{name}: {len(account.stored)} messages, {len(account.messages)} events"
        )
    if (verdict := integrity(gateway.data_dir)) != "ok":
        tally.wrong.append(f"{name}: {verdict}")
