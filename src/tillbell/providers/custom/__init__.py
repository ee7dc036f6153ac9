"""A provider that is declared by its owner instead of programmed."""
