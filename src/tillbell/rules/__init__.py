"""Decisions: plain functions over nouns and the standard library. No I/O, no clock."""
