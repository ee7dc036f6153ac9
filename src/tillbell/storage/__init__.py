"""The database: a narrow port, and the stores behind it."""
