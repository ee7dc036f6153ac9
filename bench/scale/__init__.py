"""Does the cost of work grow with what waits? `make scale`.

A database is filled in bulk with more and more deliveries that wait, over more and more
endpoints, in a year's-quarter of partitions. At each size the store's own methods are timed, and
the statements behind a claim are explained: how many pages they touch.
"""
