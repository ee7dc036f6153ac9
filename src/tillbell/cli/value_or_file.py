"""Values of flags: text, @FILE, or - for standard input.

A secret in a file is not visible in the shell's history or the list of processes, and a body is
read byte for byte.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tillbell.errors import Misconfigured


def read_value_or_file(value: str) -> bytes:
    """Return the bytes of a value; `Misconfigured` if the file cannot be read."""
    if value == "-":
        return sys.stdin.buffer.read()
    if not value.startswith("@"):
        return value.encode()
    try:
        return Path(value[1:]).read_bytes()
    except OSError as error:
        raise Misconfigured(f"cannot read {value[1:]}: {error.strerror}") from error
