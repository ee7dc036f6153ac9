"""What a battery found: figures to print, and violations that fail the run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import percentile

SHOWN = 10


class Report:
    """Figures and violations of one battery."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: list[tuple[str, str]] = []
        self.violations: list[str] = []

    def figure(self, title: str, value: object) -> None:
        """Note a figure."""
        self.figures.append((title, str(value)))

    def times(self, title: str, seconds: Sequence[float]) -> None:
        """Note how long something took, over many times."""
        if seconds:
            middle, high = percentile(seconds, 0.5), percentile(seconds, 0.99)
            self.figure(title, f"p50 {middle:.2f} s, p99 {high:.2f} s, max {max(seconds):.2f} s")

    def must(self, holds: bool, violation: str) -> None:
        """Note a violation unless the claim holds."""
        if not holds:
            self.violations.append(violation)

    def must_be_empty(self, title: str, wrong: Sequence[object]) -> None:
        """Note how many broke a rule, and the first few of them."""
        self.figure(title, len(wrong))
        if wrong:
            listed = ", ".join(map(str, wrong[:SHOWN]))
            self.violations.append(f"{title}: {len(wrong)}: {listed}")

    def show(self) -> None:
        """Print it all."""
        print(f"\n== {self.name} ==")
        for title, value in self.figures:
            print(f"  {title:<58} {value}")
        for violation in self.violations:
            print(f"  VIOLATION {violation}")
        print(f"  {'failed' if self.violations else 'holds'}", flush=True)
