"""The records that everything else is about. No behaviour, no I/O."""
