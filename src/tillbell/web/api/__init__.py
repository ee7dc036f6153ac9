"""The REST API: one file a resource, each of one shape: guard, read or write, show."""
