"""The receivers of docs/verify.md. A test holds page and programs together."""
