"""What a flag holds: text, @FILE, or - for standard input.

Secrets in files are seen neither by a shell nor by a list of processes, and no byte of a body is
changed on the way.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tillbell.errors import Misconfigured


def read_value_or_file(given: str) -> bytes:
    """Return what is meant; `Misconfigured` if the file cannot be read."""
    if given == "-":
        return sys.stdin.buffer.read()
    if not given.startswith("@"):
        return given.encode()
    try:
        return Path(given[1:]).read_bytes()
    except OSError as error:
        raise Misconfigured(f"cannot read {given[1:]}: {error.strerror}") from error
