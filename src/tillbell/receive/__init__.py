"""The way of a callback until it is stored: find its source, verify, parse, store, answer."""
