"""The ASGI edge: routing, authentication, limits, the two hot routes."""
