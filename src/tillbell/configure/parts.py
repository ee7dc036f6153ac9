"""The dependencies that all changes of configuration share."""

from __future__ import annotations

from typing import NamedTuple

from tillbell.clock import Clock
from tillbell.deliver.config_cache import ConfigCache
from tillbell.ids import IdMaker
from tillbell.vault import Vault


class Parts(NamedTuple):
    """The config cache, and the makers of ids, times and sealed secrets."""

    directory: ConfigCache
    clock: Clock
    ids: IdMaker
    vault: Vault
    secret_overlap_hours: int  # how long rotated secrets stay valid by default
