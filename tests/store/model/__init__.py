"""The ports of the store in executable form: dicts, no SQL, nothing is kept.

It says what `storage/ports/outbound.py` and `storage/ports/inbound.py` promise as plainly as it
can. Random simulations of every database must agree with it, row by row. It is slow on purpose:
each question is answered by looking at everything. It has what these simulations need: all writes,
and the reads that show every row.
"""

from tests.store.model.outbound import ModelStore

__all__ = ["ModelStore"]
