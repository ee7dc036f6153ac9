"""Tillbell: the webhook gateway for commerce and payments."""

from importlib.util import find_spec

__version__ = "0.1.0"


def version_text() -> str:
    """Return the version, and whether the hot modules run as compiled ones (`make wheel`)."""
    hot = find_spec("tillbell.ids")
    is_compiled = hot is not None and not (hot.origin or "").endswith(".py")
    return f"tillbell {__version__} ({'compiled' if is_compiled else 'pure Python'})"
