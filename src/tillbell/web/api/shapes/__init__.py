"""The shapes of the REST API: what bodies look like on the wire."""
