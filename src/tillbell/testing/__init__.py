"""Public helpers for tests: a clock to turn, receivers that misbehave."""
