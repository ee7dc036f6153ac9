"""What pages cost a gateway that holds much history.

`fill.py` fills the store, `visits.py` opens pages, `run.py` puts both together. `watch.py` keeps
pages open, and `open_pages.py` measures what that costs a gateway under load.
"""
