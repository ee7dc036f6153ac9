"""Public helpers for tests: a clock, receivers that misbehave, a store in memory, providers."""

from tillbell.testing.clock import ManualClock
from tillbell.testing.memory import MemoryStore
from tillbell.testing.receiver import Receiver
from tillbell.testing.simulator import SimulatedCallback, Simulation, simulate

__all__ = ["ManualClock", "MemoryStore", "Receiver", "SimulatedCallback", "Simulation", "simulate"]
