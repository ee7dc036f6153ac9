"""Tillbell: the webhook gateway for commerce and payments."""

__version__ = "0.1.0"
