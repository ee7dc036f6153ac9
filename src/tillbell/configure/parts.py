"""What every use case of configuration is made of."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import Clock
from tillbell.deliver.config_cache import ConfigCache
from tillbell.ids import IdMaker
from tillbell.vault import Vault


class Parts(NamedTuple):
    """Where records are changed, and what makes their ids, times and seals."""

    directory: ConfigCache
    clock: Clock
    ids: IdMaker
    vault: Vault
    secret_overlap_hours: int  # how long rotated secrets go on, unless a request says otherwise
