"""Public helpers for tests: a clock to turn, receivers that misbehave, a store in memory."""

from tillbell.testing.clock import ManualClock
from tillbell.testing.memory import MemoryStore
from tillbell.testing.receiver import Receiver

__all__ = ["ManualClock", "MemoryStore", "Receiver"]
