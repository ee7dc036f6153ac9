"""What pages cost a gateway that holds much history.

`fill.py` fills the store, `visits.py` opens pages, `run.py` puts both together.
"""
