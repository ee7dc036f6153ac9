"""Messages out: one file a dialect, all of one shape."""
