"""Moves a SQLite store into an empty PostgreSQL database."""
