"""The fault battery of a fleet on PostgreSQL: `make faults`, or `python -m tests.faults`.

Several real processes on a real server are hurt from outside (killed, stopped, cut off, their
server restarted or away, their clocks wrong) under load. Then the accounts of the producer, the
receiver and the product's API are compared, as tests/crash does for one process.
"""
