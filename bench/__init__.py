"""The programs that measure Tillbell, and its peers, end to end: `make bench`.

A run is four processes: the gateway as a user starts it, a load generator
(load.py), a receiver (receiver.py) and this orchestrator. Load generator and
receiver share nothing but the form of a message (message.py); each records
instants of the machine's monotonic clock in arrays, and the orchestrator joins
them afterwards. A figure counts only if every message that was accepted arrived,
once, byte for byte, and the gateway's own API says so too.
"""
