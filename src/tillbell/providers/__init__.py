"""Callbacks in: one file a provider, all of one shape."""
