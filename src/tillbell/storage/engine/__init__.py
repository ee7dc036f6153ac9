"""How operations run: group commit on one thread, reads on a few."""
