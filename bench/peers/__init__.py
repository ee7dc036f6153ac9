"""The task queues a Python user would pick, doing the same delivery.

These programs run in `.venv-bench` (requirements/bench.txt), never beside the
gateway's own dependencies. Each peer is given what favours it: its queue is filled
beforehand with no HTTP in front, and Redis persists nothing.
"""
