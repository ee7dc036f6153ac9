"""The publisher of a peer: fills its queue with messages.

Run as `python -m bench.peers.publish <module> <first> <until>`, numbers of messages.
"""

from __future__ import annotations

import importlib
import sys

from bench.message import body_of

TOGETHER = 100


def main() -> None:
    """Enqueue as asked."""
    module, first, until = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    peer = importlib.import_module(f"bench.peers.{module}")
    for start in range(first, until, TOGETHER):
        together = range(start, min(start + TOGETHER, until))
        peer.enqueue([body_of(number).decode() for number in together])


if __name__ == "__main__":
    main()
