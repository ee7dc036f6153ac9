"""Public helpers for tests: a clock to turn, receivers that misbehave."""

from tillbell.testing.clock import ManualClock
from tillbell.testing.receiver import Receiver

__all__ = ["ManualClock", "Receiver"]
