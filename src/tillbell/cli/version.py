"""Version: what runs, and whether its hot modules are compiled."""

from __future__ import annotations

from importlib.util import find_spec

from tillbell import __version__


def version() -> None:
    """Print the version."""
    print(version_text())


def version_text() -> str:
    """Return the version, and whether the modules that `make wheel` compiles run compiled."""
    hot = find_spec("tillbell.ids")
    is_compiled = hot is not None and not (hot.origin or "").endswith(".py")
    return f"tillbell {__version__} ({'compiled' if is_compiled else 'pure Python'})"
