"""The HTTP server: listening, slow clients, the process’s own pages."""
