"""The REST API. Each resource has one file with its shapes, access rules and routes."""
