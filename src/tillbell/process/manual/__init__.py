"""Manual actions: what people do to transactions and conflicts, each with a reason."""
