"""Decisions about sending messages: plain functions, no I/O, no clock."""
