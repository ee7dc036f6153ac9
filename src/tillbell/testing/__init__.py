"""Public helpers for tests: a clock, receivers that misbehave, providers."""

from tillbell.testing.clock import ManualClock
from tillbell.testing.receiver import Receiver
from tillbell.testing.simulator import SimulatedCallback, Simulation, simulate

__all__ = ["ManualClock", "Receiver", "SimulatedCallback", "Simulation", "simulate"]
